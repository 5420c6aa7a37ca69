//! Nodes that do what they are told. A command gate holds where its text says `good`, or, where it says `slow`, once it
//! has been asked for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use windlass_core::gate::{Gate, ProbeResult};
use windlass_core::ids::{ClusterName, Digest, NodeName, NodePath};
use windlass_core::model::Model;
use windlass_core::observed::{Attempt, AttemptPhase, NodeState};
use windlass_core::plan::Turn;
use windlass_core::release::{Release, ReleaseMeta};

use crate::flow::fleet::Fleet;
use crate::ports::{CheckOutput, Claimed, Fence, NodeError, NodeReader, NodeWriter, Prober};

/// Longer than a worker needs to notice a newer commit.
const SLOW: Duration = Duration::from_secs(8);

#[derive(Default)]
struct Node {
    fence: u64,
    holder: String,
    current: Option<ReleaseMeta>,
    base: Option<ReleaseMeta>,
    target: Option<ReleaseMeta>,
    attempt: Option<Attempt>,
    rolled_back: Vec<Digest>,
    contents: BTreeMap<Digest, BTreeMap<NodePath, Arc<[u8]>>>,
}

#[derive(Default)]
struct Inside {
    nodes: BTreeMap<NodeName, Node>,
    away: BTreeSet<NodeName>,
    activations: Vec<String>,
    /// Since when a slow gate is asked.
    asked: Option<Instant>,
}

/// Cheap to clone: all clones are the same nodes.
#[derive(Clone, Default)]
pub(super) struct Memory {
    inside: Arc<Mutex<Inside>>,
}

impl Memory {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    pub(super) fn set_away(&self, node: &str, away: bool) {
        let node: NodeName = node.parse().unwrap();
        let mut inside = self.inside();
        if away {
            inside.away.insert(node);
        } else {
            inside.away.remove(&node);
        }
    }

    /// The commit whose release each node holds.
    pub(super) fn commits(&self) -> BTreeMap<String, String> {
        let inside = self.inside();
        let held = inside.nodes.iter().filter_map(|(name, node)| {
            let current = node.current.as_ref()?;
            Some((name.to_string(), current.commit.clone()))
        });
        held.collect()
    }

    /// From now on slow gates are slow.
    pub(super) fn forget_when_asked(&self) {
        self.inside().asked = None;
    }

    /// As if the roll that was over last had not let its nodes go.
    pub(super) fn hold_again(&self) {
        for node in self.inside().nodes.values_mut() {
            node.holder = node.holder.trim_end_matches('!').to_owned();
        }
    }

    /// As if one node were in the turn of a roll that began since.
    pub(super) fn lend_one_to(&self, roll: &str) {
        let mut inside = self.inside();
        if let Some(node) = inside.nodes.values_mut().next() {
            node.fence += 1000;
            node.holder = format!("another#1@{}/{roll}", node.fence);
        }
    }

    /// The holders of before, at the same fence.
    pub(super) fn take_again(&self, holders: &[String]) {
        for (node, holder) in self.inside().nodes.values_mut().zip(holders) {
            node.holder.clone_from(holder);
        }
    }

    /// As if so many claims of the same holder had come in between.
    pub(super) fn raise(&self, by: u64) {
        for node in self.inside().nodes.values_mut() {
            node.fence += by;
        }
    }

    pub(super) fn fences(&self) -> Vec<u64> {
        let inside = self.inside();
        inside.nodes.values().map(|node| node.fence).collect()
    }

    pub(super) fn holders(&self) -> Vec<String> {
        let inside = self.inside();
        inside.nodes.values().map(|it| it.holder.clone()).collect()
    }

    pub(super) fn activations(&self) -> Vec<String> {
        self.inside().activations.clone()
    }

    fn on<T>(&self, name: &NodeName, act: impl FnOnce(&mut Node) -> T) -> Result<T, NodeError> {
        let mut inside = self.inside();
        if inside.away.contains(name) {
            return Err(NodeError::Unreachable {
                node: name.clone(),
                why: "away".to_owned(),
            });
        }
        Ok(act(inside.nodes.entry(name.clone()).or_default()))
    }

    /// The agent's guard.
    fn guard(&self, name: &NodeName, fence: &Fence) -> Result<(), NodeError> {
        let behind = self.on(name, |node| {
            let behind = fence.number < node.fence
                || (fence.number == node.fence && fence.holder != node.holder);
            if !behind {
                node.fence = fence.number;
                node.holder.clone_from(&fence.holder);
            }
            behind.then(|| format!("fence {} of {}", node.fence, node.holder))
        })?;
        behind.map_or(Ok(()), |why| {
            let node = name.clone();
            Err(NodeError::Fenced { node, why })
        })
    }

    fn enter(&self, name: &NodeName, fence: &Fence, phase: AttemptPhase) -> Result<(), NodeError> {
        self.guard(name, fence)?;
        self.on(name, |node| {
            if let Some(attempt) = &mut node.attempt {
                attempt.phase = phase;
            }
        })
    }
}

impl NodeReader for Memory {
    async fn status(&self, name: &NodeName) -> Result<NodeState, NodeError> {
        self.on(name, |node| NodeState {
            boot_id: "boot".to_owned(),
            clock: jiff::Timestamp::now().as_second(),
            cluster: None::<ClusterName>,
            fence: node.fence,
            holder: node.holder.clone(),
            current: node.current.clone(),
            previous: None,
            attempt: node.attempt.clone(),
            drift: BTreeMap::new(),
            standing: None,
            rolled_back: node.rolled_back.clone(),
        })
    }

    async fn read_files(
        &self,
        _: &NodeName,
        _: &[NodePath],
    ) -> Result<BTreeMap<NodePath, Vec<u8>>, NodeError> {
        Ok(BTreeMap::new())
    }

    async fn logs(&self, _: &NodeName, _: &str, _: u32) -> Result<Vec<String>, NodeError> {
        Ok(Vec::new())
    }
}

impl NodeWriter for Memory {
    async fn read_secrets(
        &self,
        name: &NodeName,
        paths: &[NodePath],
    ) -> Result<BTreeMap<NodePath, Vec<u8>>, NodeError> {
        self.on(name, |node| {
            let Some(current) = &node.current else {
                return BTreeMap::new();
            };
            let held = node.contents.get(&current.digest).into_iter().flatten();
            let secret = |path: &NodePath| current.files[path].secret && paths.contains(path);
            let held = held.filter(|(path, _)| secret(path));
            held.map(|(path, content)| (path.clone(), content.to_vec()))
                .collect()
        })
    }

    async fn claim(&self, fence: &Fence, name: &NodeName) -> Result<Claimed, NodeError> {
        let before = self.status(name).await?;
        self.guard(name, fence)?;
        Ok(Claimed {
            before: (before.fence, before.holder),
            state: self.status(name).await?,
        })
    }

    async fn stage(
        &self,
        fence: &Fence,
        token: &str,
        release: &Release,
        turn: &Turn,
    ) -> Result<(), NodeError> {
        let attempt = Attempt {
            token: token.to_owned(),
            fence: fence.number,
            base: turn.base,
            target: turn.target,
            phase: AttemptPhase::Staged,
            reason: String::new(),
        };
        self.guard(&turn.node, fence)?;
        self.on(&turn.node, |node| {
            node.base = node.current.clone();
            node.target = Some(release.meta.clone());
            let contents = release.contents.clone();
            node.contents.insert(release.meta.digest, contents);
            node.attempt = Some(attempt);
        })?;
        self.enter(&turn.node, fence, AttemptPhase::Staged)
    }

    async fn check(&self, _: &Fence, _: &str, _: &NodeName) -> Result<Vec<CheckOutput>, NodeError> {
        Ok(Vec::new())
    }

    async fn drain(&self, _: &Fence, _: &str, _: &NodeName) -> Result<(), NodeError> {
        Ok(())
    }

    async fn undrain(&self, _: &Fence, _: &str, _: &NodeName) -> Result<(), NodeError> {
        Ok(())
    }

    async fn activate(
        &self,
        fence: &Fence,
        _: &str,
        name: &NodeName,
        _: u32,
    ) -> Result<(), NodeError> {
        self.enter(name, fence, AttemptPhase::Activated)?;
        self.inside().activations.push(name.to_string());
        Ok(())
    }

    async fn extend(&self, _: &Fence, _: &str, name: &NodeName, _: u32) -> Result<(), NodeError> {
        self.on(name, |_| ())
    }

    async fn confirm(&self, fence: &Fence, _: &str, name: &NodeName) -> Result<(), NodeError> {
        self.guard(name, fence)?;
        self.on(name, |node| node.current = node.target.clone())?;
        self.enter(name, fence, AttemptPhase::Confirmed)
    }

    async fn rollback(
        &self,
        fence: &Fence,
        _: &str,
        name: &NodeName,
        reason: &str,
    ) -> Result<(), NodeError> {
        self.on(name, |node| {
            node.current = node.base.clone();
            node.rolled_back
                .extend(node.target.as_ref().map(|target| target.digest));
            if let Some(attempt) = &mut node.attempt {
                attempt.reason = reason.to_owned();
            }
        })?;
        self.enter(name, fence, AttemptPhase::RolledBack)
    }

    async fn run(
        &self,
        name: &NodeName,
        script: &str,
        _: u32,
    ) -> Result<(Option<i32>, String), NodeError> {
        let since = *self.inside().asked.get_or_insert_with(Instant::now);
        self.on(name, |_| {
            let up = script.contains("slow") && since.elapsed() > SLOW;
            let good = script.contains("good") || up;
            (Some(i32::from(!good)), script.to_owned())
        })
    }
}

impl Prober for Memory {
    async fn probe(&self, _: &Gate) -> ProbeResult {
        ProbeResult {
            ok: true,
            seen: "fine".to_owned(),
        }
    }
}

impl Fleet for Memory {
    type Nodes = Self;
    type Prober = Self;

    fn nodes(&self, _: &Model) -> io::Result<Self> {
        Ok(self.clone())
    }

    fn prober(&self) -> Arc<Self> {
        Arc::new(self.clone())
    }
}
