//! One node, its client, and releases made by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass::node::{Login, Nodes, Target};
use windlass::ports::{Fence, NodeError, NodeReader, NodeWriter};
use windlass_core::ids::{Digest, NodeName, NodePath};
use windlass_core::observed::{AttemptPhase, NodeState};
use windlass_core::plan::{ChangeKind, FileChange, Turn};
use windlass_core::release::{
    Check, CheckOn, Command, FileMeta, Release, ReleaseComponent, ReleaseMeta,
};
use windlass_tests::lab::{Lab, LabSpec, Node};

pub const NEW: &str = "/etc/demo/new.conf";
pub const OLD: &str = "/etc/demo/old.conf";
pub const ZONE: &str = "/etc/demo/example.zone";

pub struct Bench {
    lab: Lab,
    pub nodes: Nodes,
    pub name: NodeName,
}

impl Bench {
    pub fn boot() -> Self {
        Self::boot_as("root", false)
    }

    pub fn boot_as(user: &str, sudo: bool) -> Self {
        let lab = Lab::boot(&LabSpec::only(&["vps1"])).unwrap();
        let target = target(lab.node("vps1"), user, sudo);
        let nodes = clients(&lab, target);
        let name = "vps1".parse().unwrap();
        Self { lab, nodes, name }
    }

    /// A second worker.
    pub fn other_worker(&self) -> Nodes {
        clients(&self.lab, target(self.node(), "root", false))
    }

    pub fn worker_with(&self, change: impl FnOnce(&mut Target)) -> Nodes {
        let mut target = target(self.node(), "root", false);
        change(&mut target);
        clients(&self.lab, target)
    }

    pub fn node(&self) -> &Node {
        self.lab.node("vps1")
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|_| "(none)".to_owned())
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub fn path(&self, path: &str) -> std::path::PathBuf {
        self.node().root().join(path.trim_start_matches('/'))
    }

    pub fn sh(&self, script: &str) -> String {
        self.node().sh(script).unwrap()
    }

    pub async fn status(&self) -> NodeState {
        self.nodes.status(&self.name).await.unwrap()
    }

    pub async fn phase(&self) -> AttemptPhase {
        self.status().await.attempt.unwrap().phase
    }

    pub async fn stage(&self, token: &str, base: Option<&Release>, target: &Release) {
        let turn = turn(base, target);
        self.nodes
            .stage(&fence(1), token, target, &turn)
            .await
            .unwrap();
    }

    pub async fn activate(&self, token: &str, seconds: u32) -> Result<(), NodeError> {
        self.nodes
            .activate(&fence(1), token, &self.name, seconds)
            .await
    }

    pub async fn confirm(&self, token: &str) -> Result<(), NodeError> {
        self.nodes.confirm(&fence(1), token, &self.name).await
    }

    pub async fn rollback(&self, token: &str) -> Result<(), NodeError> {
        self.nodes
            .rollback(&fence(1), token, &self.name, "a test asked for it")
            .await
    }

    /// A whole turn to the end.
    pub async fn roll(&self, token: &str, turn: &Turn, target: &Release) {
        let fence = fence(1);
        let (nodes, name) = (&self.nodes, &self.name);
        nodes.stage(&fence, token, target, turn).await.unwrap();
        nodes.activate(&fence, token, name, 60).await.unwrap();
        nodes.extend(&fence, token, name, 60).await.unwrap();
        nodes.confirm(&fence, token, name).await.unwrap();
    }

    /// Waits until the node has gone back by itself.
    pub async fn wait_rolled_back(&self) {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        while tokio::time::Instant::now() < deadline {
            let state = self.nodes.status(&self.name).await;
            let attempt = state.ok().and_then(|state| state.attempt);
            if attempt.is_some_and(|attempt| attempt.phase == AttemptPhase::RolledBack) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        panic!(
            "the node did not go back; its journal:\n{}",
            self.read("/var/lib/windlass/journal")
        );
    }
}

fn target(node: &Node, user: &str, sudo: bool) -> Target {
    Target {
        host: node.ip().to_string(),
        port: 22,
        user: user.to_owned(),
        host_keys: vec![node.host_key().to_owned()],
        sudo,
    }
}

fn clients(lab: &Lab, target: Target) -> Nodes {
    let login = Login {
        key: Some(lab.ssh_key()),
        ..Login::default()
    };
    Nodes::new(login, BTreeMap::from([("vps1".parse().unwrap(), target)])).unwrap()
}

pub fn fence(number: u64) -> Fence {
    Fence {
        cluster: "example".parse().unwrap(),
        number,
        holder: format!("roll-{number}"),
    }
}

pub fn path(path: &str) -> NodePath {
    path.parse().unwrap()
}

pub fn command(run: &str) -> Command {
    Command {
        component: "demo".parse().unwrap(),
        label: format!("step `{}`", run.chars().take(40).collect::<String>()),
        run: run.to_owned(),
        timeout: 20,
    }
}

pub fn check(run: &str, timeout: u32) -> Check {
    Check {
        command: Command {
            timeout,
            ..command(run)
        },
        fail_on: None,
        finding: None,
        on: CheckOn::Both,
        scripts: BTreeMap::new(),
    }
}

/// A release of one component with these files, 0644 root:root.
pub fn release(files: &[(&str, &str)]) -> Release {
    let component = ReleaseComponent {
        name: "demo".parse().unwrap(),
        packages: Vec::new(),
        checks: Vec::new(),
        apply: Vec::new(),
        drain: Vec::new(),
        undrain: Vec::new(),
        remove: Vec::new(),
        units: Vec::new(),
    };
    let mut metas = BTreeMap::new();
    let mut contents: BTreeMap<NodePath, Arc<[u8]>> = BTreeMap::new();
    for (name, content) in files {
        let meta = FileMeta {
            digest: Digest::of(content.as_bytes()),
            mode: "0644".to_owned(),
            owner: "root:root".to_owned(),
            component: "demo".parse().unwrap(),
            secret: false,
            serial: content.contains("@WINDLASS_SERIAL@"),
            inputs: Vec::new(),
        };
        metas.insert(path(name), meta);
        contents.insert(path(name), content.as_bytes().into());
    }
    let components = vec![component];
    let meta = ReleaseMeta {
        cluster: "example".parse().unwrap(),
        node: "vps1".parse().unwrap(),
        digest: Release::digest_of(&metas, &components),
        commit: "0000000".to_owned(),
        files: metas,
        components,
        gates: Vec::new(),
        sources: BTreeMap::new(),
    };
    Release { meta, contents }
}

/// What changes from `base` to `target`.
pub fn turn(base: Option<&Release>, target: &Release) -> Turn {
    let nothing = BTreeMap::new();
    let before = base.map_or(&nothing, |base| &base.meta.files);
    let after = &target.meta.files;
    let mut changes = Vec::new();
    for (path, meta) in after {
        let kind = match before.get(path) {
            None => ChangeKind::Create,
            Some(old) if old.digest != meta.digest => ChangeKind::Replace,
            Some(old) if old == meta => continue,
            Some(_) => ChangeKind::Attributes,
        };
        changes.push(change(path, kind, before.get(path), Some(meta)));
    }
    for (path, meta) in before.iter().filter(|(path, _)| !after.contains_key(*path)) {
        changes.push(change(path, ChangeKind::Remove, Some(meta), None));
    }
    Turn {
        node: "vps1".parse().unwrap(),
        base: base.map(|base| base.meta.digest),
        target: target.meta.digest,
        changes,
        packages: Vec::new(),
        drain: Vec::new(),
        undrain: Vec::new(),
        forward: Vec::new(),
        backward: Vec::new(),
        gates: Vec::new(),
        units: BTreeMap::new(),
        adopt: Vec::new(),
    }
}

fn change(
    path: &NodePath,
    kind: ChangeKind,
    before: Option<&FileMeta>,
    after: Option<&FileMeta>,
) -> FileChange {
    let meta = after.or(before).unwrap();
    FileChange {
        path: path.clone(),
        kind,
        component: meta.component.clone(),
        before: before.map(|meta| meta.digest),
        after: after.map(|meta| meta.digest),
        secret: meta.secret,
        serial: meta.serial,
        because: Vec::new(),
    }
}

pub fn zone(records: &str) -> String {
    format!("@ SOA ns hostmaster ( @WINDLASS_SERIAL@ 60 30 86400 5 )\n{records}\n")
}
