//! The starter repository behind a bare path, requests against it, and nodes that hold what its first commit renders
//! to, can be read and cannot be written to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use windlass::check::{Checker, Limits, Sandbox};
use windlass::flow::prepare::{self, Memory};
use windlass::flow::preview::{Asked, Previews, Readers, Stranger, Superseded};
use windlass::git::checkout;
use windlass::git::mirror::Mirror;
use windlass::git::remote::{Access, Remote};
use windlass::git::source::Source;
use windlass::materials::Directories;
use windlass::ports::{NodeError, NodeReader};
use windlass_core::ids::{NodeName, NodePath};
use windlass_core::model::Model;
use windlass_core::observed::NodeState;
use windlass_core::preview::Preview;
use windlass_core::release::{Bundle, Release};

pub(crate) const SECRET: &str = "c2VjcmV0LW9mLXRoZS13b3JrZXItbm9ib2R5LXNlZXM=";

#[derive(Clone, Default)]
pub(crate) struct Nodes {
    held: Arc<Mutex<BTreeMap<NodeName, Release>>>,
    pub(crate) away: Arc<Mutex<BTreeSet<String>>>,
    /// The files that were read from them.
    pub(crate) read: Arc<Mutex<BTreeSet<String>>>,
}

impl Readers for Nodes {
    type Nodes = Self;
    fn readers(&self, _: &Model) -> io::Result<Arc<Self>> {
        Ok(Arc::new(self.clone()))
    }
}

impl Nodes {
    fn release(&self, node: &NodeName) -> Result<Release, NodeError> {
        let unreachable = || NodeError::Unreachable {
            node: node.clone(),
            why: "it was switched off".to_owned(),
        };
        if self.away.lock().unwrap().contains(node.as_str()) {
            return Err(unreachable());
        }
        let held = self.held.lock().unwrap();
        held.get(node).cloned().ok_or_else(unreachable)
    }
}

impl NodeReader for Nodes {
    async fn status(&self, node: &NodeName) -> Result<NodeState, NodeError> {
        let release = self.release(node)?;
        Ok(NodeState {
            boot_id: "boot".to_owned(),
            clock: jiff::Timestamp::now().as_second(),
            cluster: Some(release.meta.cluster.clone()),
            fence: 1,
            holder: "worker".to_owned(),
            current: Some(release.meta),
            previous: None,
            attempt: None,
            drift: BTreeMap::new(),
            standing: None,
            rolled_back: Vec::new(),
        })
    }

    async fn read_files(
        &self,
        node: &NodeName,
        paths: &[NodePath],
    ) -> Result<BTreeMap<NodePath, Vec<u8>>, NodeError> {
        let release = self.release(node)?;
        let read = paths.iter().filter_map(|path| {
            let secret = release.meta.files.get(path)?.secret;
            assert!(!secret, "a preview wants to read {path}");
            self.read.lock().unwrap().insert(path.to_string());
            Some((path.clone(), release.contents.get(path)?.to_vec()))
        });
        Ok(read.collect())
    }

    async fn logs(&self, _: &NodeName, _: &str, _: u32) -> Result<Vec<String>, NodeError> {
        Ok(Vec::new())
    }
}

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) nodes: Nodes,
    pub(crate) previews: Previews<Nodes>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let origin = dir.path().join("origin");
        let init = Command::new(env!("CARGO_BIN_EXE_windlass"))
            .arg("init")
            .arg(&origin)
            .output()
            .unwrap();
        assert!(init.status.success());
        fs::create_dir(dir.path().join("secrets")).unwrap();
        fs::write(dir.path().join("secrets/xfer_key"), SECRET).unwrap();
        let nodes = Nodes::default();
        let previews = previews(dir.path(), nodes.clone());
        let world = Self {
            dir,
            nodes,
            previews,
        };
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world.commit("Begin");
        world.roll();
        world
    }

    /// From now on the nodes hold what `main` renders to.
    pub(crate) fn roll(&self) {
        *self.nodes.held.lock().unwrap() = self.bundle("main").releases;
    }

    pub(crate) fn origin(&self) -> PathBuf {
        self.dir.path().join("origin")
    }

    /// What a worker that has the secrets would roll.
    pub(crate) fn bundle(&self, rev: &str) -> Bundle {
        let snapshot = checkout::snapshot_rev(&self.origin(), rev).unwrap();
        let directories = directories(self.dir.path());
        let prepared =
            prepare::render(Arc::new(snapshot), &directories, &Memory::default()).unwrap();
        let rendered = prepared.rendered;
        let rendered = rendered.unwrap_or_else(|| panic!("{:#?}", prepared.findings));
        (*rendered.bundle).clone()
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(["-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(self.origin())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {error}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn commit(&self, subject: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", subject]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.origin().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let old = fs::read_to_string(self.origin().join(path)).unwrap();
        assert!(old.contains(from), "{path} lacks {from:?}");
        self.write(path, &old.replacen(from, to, 1));
    }

    /// A request with these changes, from where `main` is.
    pub(crate) fn request(&self, number: u64, change: impl FnOnce(&Self)) -> Asked {
        self.git(&["checkout", "--quiet", "-B", "request", "main"]);
        change(self);
        let head = self.commit("Change");
        let reference = format!("refs/pull/{number}/head");
        self.git(&["update-ref", &reference, &head]);
        self.git(&["checkout", "--quiet", "main"]);
        Asked {
            number,
            reference,
            head,
            branch: "main".to_owned(),
        }
    }

    pub(crate) async fn look(&self, asked: &Asked) -> Preview {
        self.try_look(asked).await.unwrap()
    }

    pub(crate) async fn try_look(&self, asked: &Asked) -> Result<Preview, Superseded> {
        self.previews.look(asked, &CancellationToken::new()).await
    }
}

fn directories(dir: &Path) -> Directories {
    Directories {
        secrets: Some(dir.join("secrets")),
        ..Directories::default()
    }
}

pub(crate) fn previews(dir: &Path, nodes: Nodes) -> Previews<Nodes> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_windlass"));
    let stranger = Stranger::with(program, Sandbox::default());
    with(dir, nodes, stranger)
}

pub(crate) fn with(dir: &Path, nodes: Nodes, stranger: Stranger) -> Previews<Nodes> {
    let remote = Remote {
        url: dir.join("origin").display().to_string(),
        branch: "main".to_owned(),
        access: Access::Open,
        authorities: None,
        signers: None,
    };
    let mirror = Mirror::new(dir.join("previews.git"), remote, String::new());
    Previews::new(
        "example".parse().unwrap(),
        Source::new(mirror),
        directories(dir),
        (stranger, Checker::new(Sandbox::new(Limits::default()))),
        nodes,
    )
}
