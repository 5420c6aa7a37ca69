//! A machine, a forge with the cluster's repository, and a worker that watches it over HTTPS with a token.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use windlass_tests::cluster::program;
use windlass_tests::forge::{Fake, Flavour, SECRET, State, Word};
use windlass_tests::lab::{Lab, LabSpec, wait_until};

/// For what takes seconds, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(150);

pub(crate) struct Place {
    pub(crate) fake: Fake,
    pub(crate) lab: Lab,
    pub(crate) port: u16,
    dir: tempfile::TempDir,
    worker: Child,
}

/// What the machine is to hold.
pub(crate) fn component(version: &str, gate: &str) -> String {
    format!(
        "name: app\ndescription: What the test rolls.\non: all\nfiles:\n  \
         - {{ path: /etc/app.conf, content: \"{version}\\n\" }}\n\
         gates:\n  - {{ command: \"{gate}\", hold: 0s, deadline: 4s }}\n"
    )
}

pub(crate) const APP: &str = "components/app/component.yaml";

impl Place {
    /// With version 1 rolled out.
    pub(crate) fn make(flavour: Flavour) -> Result<Self> {
        Self::with_policy(flavour, "on_divergence: roll")
    }

    pub(crate) fn with_policy(flavour: Flavour, policy: &str) -> Result<Self> {
        Self::with_poll(flavour, policy, "5s")
    }

    /// Kills the worker and starts it again, with something in its configuration changed.
    pub(crate) fn reconfigure(&mut self, from: &str, to: &str) -> Result<()> {
        self.stop()?;
        let path = self.dir.path().join("worker.yaml");
        let text = fs::read_to_string(&path)?;
        anyhow::ensure!(text.contains(from), "no {from:?} in {text}");
        fs::write(&path, text.replacen(from, to, 1))?;
        self.start()
    }

    /// The forge is asked so often for what no webhook told.
    pub(crate) fn with_poll(flavour: Flavour, policy: &str, poll: &str) -> Result<Self> {
        let lab = Lab::boot(&LabSpec::only(&["vps1"]))?;
        let fake = Fake::start(flavour);
        let node = lab.node("vps1");
        let host = lab.host_ip().to_string();
        let (network, _) = host.rsplit_once('.').context("an address")?;
        let vps1 = format!(
            "roles: [web]\naddresses: {{ public: {} }}\n\
             ssh: {{ network: public, user: root, host_keys: [\"{}\"] }}\n",
            node.ip(),
            node.host_key()
        );
        let cluster = format!(
            "name: example\ndomain: example.org\nnetworks: {{ public: {network}.0/24 }}\norder: [vps1]\n\
             edge: {{ role: web, network: public }}\n\
             policy: {{ min_healthy_time: 0s, healthy_deadline: 20s, progress_deadline: 2m, reconnect_deadline: 30s, {policy} }}\n"
        );
        let app = component("1", "true");
        let commit = fake.push_main(&[
            ("cluster.yaml", &cluster),
            ("nodes/vps1.yaml", &vps1),
            (APP, &app),
        ]);
        let dir = tempfile::tempdir()?;
        let port = windlass_tests::port::free()?;
        fs::write(dir.path().join("hook"), SECRET)?;
        let address = fake.address();
        let (token, ca) = (fake.token_file(), fake.ca_file());
        let (token, ca) = (token.display(), ca.display());
        let config = format!(
            "state: state\nlisten: 127.0.0.1:{port}\npublic_url: http://127.0.0.1:{port}\nhook: {{ secret_files: [hook] }}\n\
             ssh: {{ identity_file: {key} }}\nsweep: 60s\nclusters:\n  - name: example\n    poll: 3s\n    \
             repository: {{ url: {address}/ops/cluster.git, token_file: {token}, ca_file: {ca} }}\n    \
             forge: {{ kind: {kind}, url: '{address}', project: ops/cluster, token_file: {token}, ca_file: {ca}, poll: {poll} }}\n",
            key = lab.ssh_key().display(),
            kind = flavour.word(),
        );
        fs::write(dir.path().join("worker.yaml"), config)?;
        let worker = work(dir.path())?;
        let place = Self {
            fake,
            lab,
            port,
            dir,
            worker,
        };
        place.until("version 1", |_| place.holds("1"))?;
        place.until("its status", |_| place.log().contains(&commit[..12]))?;
        Ok(place)
    }

    /// Kills the worker and starts another one on what it left.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        self.worker.kill()?;
        self.worker.wait()?;
        Ok(())
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        self.worker = work(self.dir.path())?;
        Ok(())
    }

    /// What the worker keeps.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Waits until the forge holds what is wanted.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&State) -> bool) -> Result<()> {
        let waited = wait_until(SOON, || holds(&self.fake.state()));
        waited.with_context(|| {
            let state = self.fake.state();
            format!(
                "waited in vain for {what}\n{}\n{:#?}\n{:#?}\n{:#?}",
                self.log(),
                state.comments.iter().rev().take(3).collect::<Vec<_>>(),
                state.statuses,
                state.asked.iter().rev().take(30).collect::<Vec<_>>()
            )
        })
    }

    /// Until our one comment says this, and nothing else of ours is there.
    pub(crate) fn says(&self, request: u64, part: &str) -> Result<u64> {
        self.until(part, |state| {
            let own = state.own(request);
            own.iter().any(|it| it.body.contains(part))
        })?;
        let state = self.fake.state();
        let own = state.own(request);
        anyhow::ensure!(own.len() == 1, "{own:#?}");
        Ok(own[0].id)
    }

    pub(crate) fn has_status(&self, commit: &str, word: &str, part: &str) -> Result<()> {
        self.until(&format!("{word}: {part}"), |state| {
            let status = state.status(commit);
            status.is_some_and(|it| {
                it.state == word
                    && it.description.contains(part)
                    && it.context == "windlass/example"
            })
        })
    }

    pub(crate) fn deliver(&self, id: &str, word: Word) -> u16 {
        self.fake.deliver(self.port, id, word)
    }

    pub(crate) fn holds(&self, version: &str) -> bool {
        let path = self.lab.node("vps1").root().join("etc/app.conf");
        fs::read_to_string(path).is_ok_and(|text| text.trim() == version)
    }
}

fn work(dir: &Path) -> Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))?;
    let mut command = Command::new(program()?);
    command
        .args(["worker", "--config"])
        .arg(dir.join("worker.yaml"));
    Ok(command.stdin(Stdio::null()).stderr(log).spawn()?)
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = self.worker.kill();
        _ = self.worker.wait();
    }
}
