//! A repository of a cluster with two nodes and one component, and a worker's flow on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use windlass_core::ids::ClusterName;
use windlass_core::outcome::Outcome;

use super::fleet::Memory;
use crate::acme::Ledger;
use crate::check::{Checker, Limits, Sandbox};
use crate::flow::deploy::Deploy;
use crate::flow::newer::Newer;
use crate::flow::trouble::Trouble;
use crate::flow::turn::{Handover, MAX_MESSAGE_BYTES, UnderWay};
use crate::git::mirror::Mirror;
use crate::git::remote::{Access, Remote};
use crate::git::source::Source;
use crate::materials::Directories;
use crate::queue::{Event, EventKind};
use crate::store::Store;
use crate::store::reports::Report;

pub(super) const CLUSTER: &str = "\
name: example
domain: example.org
networks: { public: 192.0.2.0/24 }
order: [one, two]
edge: { role: web, network: public }
policy: { min_healthy_time: 0s, healthy_deadline: 1m, unreachable: skip }
";
const COMPONENT: &str = "\
name: app
description: What the test rolls.
on: all
vars: { probe: good, text: first }
files:
  - { path: /etc/app.conf, content: \"{{ vars.text }}\\n\" }
gates:
  - { command: \"{{ vars.probe }}\", hold: 0s, deadline: DEADLINE }
";

pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) fleet: Memory,
    pub(super) deploy: Deploy<Memory>,
}

impl World {
    /// Another worker for the same cluster, with a database of its own.
    pub(super) fn another(&self, name: &str) -> Deploy<Memory> {
        let dir = self.dir.path().join(name);
        fs::create_dir(&dir).unwrap();
        let origin = self.dir.path().join("origin");
        let mut deploy = deploy(&dir, &origin.display().to_string(), &self.fleet);
        deploy.holder = name.to_owned();
        deploy.handover = Handover::EachTurn;
        deploy
    }

    /// With a first commit that is good.
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let origin = dir.path().join("origin");
        let fleet = Memory::default();
        let deploy = deploy(dir.path(), &origin.display().to_string(), &fleet);
        let world = Self { dir, fleet, deploy };
        fs::create_dir(&origin).unwrap();
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world.write("cluster.yaml", CLUSTER);
        for (node, address) in [("one", "192.0.2.1"), ("two", "192.0.2.2")] {
            world.node(node, address);
        }
        world.app("first", "good", "1m");
        world.commit("First");
        world
    }

    pub(super) fn app(&self, text: &str, probe: &str, deadline: &str) {
        let component = COMPONENT.replace("first", text).replace("good", probe);
        self.write(
            "components/app/component.yaml",
            &component.replace("DEADLINE", deadline),
        );
    }

    fn node(&self, name: &str, address: &str) {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPxe0TE9sf+0ZEKn8nb7GuqMrKEUutLebAZrj5YqAHdd";
        let text = format!(
            "roles: [web]\naddresses: {{ public: {address} }}\nssh: {{ network: public, host_keys: [{key}] }}\n"
        );
        self.write(&format!("nodes/{name}.yaml"), &text);
    }

    pub(super) fn third_node(&self) {
        self.node("three", "192.0.2.3");
        let path = self.dir.path().join("origin/cluster.yaml");
        let cluster = fs::read_to_string(path).unwrap();
        let order = cluster.replace("[one, two]", "[one, two, three]");
        self.write("cluster.yaml", &order);
    }

    pub(super) fn stops_for_newer(&self) {
        let policy = "policy: { on_newer_commit: stop, ";
        self.write("cluster.yaml", &CLUSTER.replace("policy: { ", policy));
    }

    /// Until so many turns were begun.
    pub(super) async fn until_activated(&self, count: usize) {
        while self.fleet.activations().len() < count {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join("origin").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn commit(&self, subject: &str) -> String {
        commit(&self.dir.path().join("origin"), subject)
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        git(&self.dir.path().join("origin"), args)
    }
}

/// Whatever was written in the repository, as a commit.
pub(super) fn commit(origin: &Path, subject: &str) -> String {
    git(origin, &["add", "--all"]);
    git(
        origin,
        &["commit", "--quiet", "--allow-empty", "--message", subject],
    );
    git(origin, &["rev-parse", "HEAD"])
}

fn git(origin: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(args)
        .current_dir(origin)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl World {
    pub(super) async fn run(&self, kind: EventKind) -> Option<Report> {
        match self.deploy.run(&self.event(kind)).await {
            Ok(answered) => answered.report,
            Err(trouble) => panic!("{trouble}"),
        }
    }

    pub(super) async fn trouble(&self, kind: EventKind) -> Trouble {
        self.deploy.run(&self.event(kind)).await.unwrap_err()
    }

    pub(super) fn event(&self, kind: EventKind) -> Event {
        let id = uuid::Uuid::new_v4().to_string();
        Event::new(kind, "/test", &self.deploy.cluster, id)
    }

    /// The codes of what it was refused for, each once.
    pub(super) fn refusal(report: &Report) -> BTreeSet<&'static str> {
        match &report.outcome {
            Outcome::Refused { findings } => findings.iter().map(|f| f.code.as_str()).collect(),
            other => panic!("not refused: {other:?}"),
        }
    }
}

fn deploy(dir: &Path, url: &str, fleet: &Memory) -> Deploy<Memory> {
    let remote = Remote {
        url: url.to_owned(),
        branch: "main".to_owned(),
        access: Access::Open,
        authorities: None,
        signers: None,
    };
    let store = Store::open(&dir.join("windlass.db")).unwrap();
    let cluster: ClusterName = "example".parse().unwrap();
    Deploy {
        ledger: Ledger::new(store.clone(), cluster.clone()),
        cluster,
        source: Source::new(Mirror::new(dir.join("mirror.git"), remote, String::new())),
        materials: Directories::default(),
        checker: Checker::new(Sandbox::new(Limits::default())),
        memory: Arc::default(),
        trial: None,
        fleet: fleet.clone(),
        store,
        state: dir.to_path_buf(),
        holder: "worker-test".to_owned(),
        handover: Handover::Never,
        under_way: UnderWay::default(),
        largest_message: MAX_MESSAGE_BYTES,
        newer: Arc::new(Newer::default()),
        review: None,
        live: crate::live::Live::default(),
        stop: CancellationToken::new(),
    }
}
