//! A cluster of a few machines with one small component, so that a turn takes about a second, and what the machines
//! themselves say of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use windlass_tests::lab::{Lab, LabSpec};

/// For what takes seconds, on a busy machine.
pub const SOON: Duration = Duration::from_secs(120);

const COMPONENT: &str = "\
name: app
description: What the test rolls.
on: all
files:
  - { path: /etc/app.conf, content: \"VERSION\\n\" }
gates:
  - { command: \"test ! -e /run/hold && ! grep -q broken /etc/app.conf\", hold: 0s, deadline: 3m }
";

pub struct Place {
    pub lab: Lab,
    pub dir: tempfile::TempDir,
}

impl Place {
    /// `policy`: what it has besides.
    pub fn make(nodes: &[&str], policy: &str) -> Result<Self> {
        let lab = Lab::boot(&LabSpec::only(nodes))?;
        let dir = tempfile::tempdir()?;
        let place = Self { lab, dir };
        place.git(".", &["init", "-q", "--bare", "-b", "main", "cluster.git"])?;
        place.git(".", &["init", "-q", "-b", "main", "work"])?;
        let host = place.lab.host_ip().to_string();
        let (network, _) = host.rsplit_once('.').context("an address")?;
        let mut order = String::new();
        for node in place.lab.nodes() {
            write!(order, "{}, ", node.name())?;
            let text = format!(
                "roles: [web]\naddresses: {{ public: {} }}\n\
                 ssh: {{ network: public, user: root, host_keys: [\"{}\"] }}\n",
                node.ip(),
                node.host_key()
            );
            place.write(&format!("nodes/{}.yaml", node.name()), &text)?;
        }
        let cluster = format!(
            "name: example\ndomain: example.org\nnetworks: {{ public: {network}.0/24 }}\norder: [{order}]\n\
             edge: {{ role: web, network: public }}\n\
             policy: {{ min_healthy_time: 0s, healthy_deadline: 3m, progress_deadline: 10m, reconnect_deadline: 30s{policy} }}\n"
        );
        place.write("cluster.yaml", &cluster)?;
        Ok(place)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.dir.path().join("work").join(path);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Pushes a version and gives its commit.
    pub fn push(&self, version: &str) -> Result<String> {
        let component = COMPONENT.replace("VERSION", version);
        self.write("components/app/component.yaml", &component)?;
        self.git("work", &["add", "--all"])?;
        self.git("work", &["commit", "-q", "-m", version])?;
        self.git("work", &["push", "-q", "../cluster.git", "main"])?;
        self.git("work", &["rev-parse", "HEAD"])
    }

    pub fn repository(&self) -> PathBuf {
        self.dir.path().join("cluster.git")
    }

    fn git(&self, at: &str, args: &[&str]) -> Result<String> {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
        git.args(["-c", "commit.gpgsign=false"]).args(args);
        said(git.current_dir(self.dir.path().join(at)))
    }

    /// Whether every machine has this version in place.
    pub fn holds(&self, version: &str) -> bool {
        let nodes = self.lab.nodes();
        nodes.iter().all(|node| {
            fs::read_to_string(node.root().join("etc/app.conf"))
                .is_ok_and(|text| text.trim() == version)
        })
    }

    /// How often each attempt of a node came to this phase, by its own journal.
    pub fn times(&self, node: &str, phase: &str) -> BTreeMap<String, usize> {
        let journal = self.lab.node(node).root().join("var/lib/windlass/journal");
        let text = fs::read_to_string(journal).unwrap_or_default();
        let mut times = BTreeMap::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if let [_, token, said] = words.as_slice()
                && *said == phase
            {
                *times.entry((*token).to_owned()).or_default() += 1;
            }
        }
        times
    }

    /// No attempt was carried out twice on any machine.
    pub fn check_turns(&self) -> Result<()> {
        for node in self.lab.nodes() {
            for phase in ["activating", "confirmed"] {
                let times = self.times(node.name(), phase);
                let twice = times.iter().find(|(_, count)| **count > 1);
                ensure!(twice.is_none(), "{}: {phase} {twice:?}", node.name());
            }
        }
        Ok(())
    }
}

pub fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {text}{errors}");
    Ok(text)
}
