//! Simulated nodes behind the worker's ports, with the agent's rules: the fence, one attempt at a time, verbs that
//! may be repeated, a dead-man that goes back on its own clock. Faults are asked for by the number of the call.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::{Duration, Instant, sleep};
use windlass_core::ids::{NodeName, NodePath};
use windlass_core::observed::{Attempt, AttemptPhase, NodeState};
use windlass_core::plan::Turn;
use windlass_core::release::Release;

use super::node::{Fault, Node, failed, fenced, mine, refused, unreachable};
use crate::ports::{CheckOutput, Claimed, Fence, NodeError, NodeReader, NodeWriter};

#[derive(Default)]
struct Inside {
    nodes: BTreeMap<NodeName, Node>,
    calls: usize,
    fault: Option<(usize, Fault)>,
    /// Most nodes that were out of rotation at the same time.
    widest: usize,
    /// What each changing call was, in order.
    log: Vec<String>,
}

#[derive(Default)]
pub(super) struct Fleet {
    inside: Mutex<Inside>,
    hung: Notify,
    wake: Notify,
}

impl Fleet {
    pub(super) fn of(states: impl IntoIterator<Item = (NodeName, NodeState)>) -> Self {
        let node = |(name, state)| {
            let node = Node {
                state,
                drained: false,
                activations: 0,
                target: None,
                base: None,
                deadman: None,
                cut_until: None,
            };
            (name, node)
        };
        let inside = Inside {
            nodes: states.into_iter().map(node).collect(),
            ..Inside::default()
        };
        Self {
            inside: Mutex::new(inside),
            ..Self::default()
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    pub(super) fn set_fault(&self, call: usize, fault: Fault) {
        self.inside().fault = Some((call, fault));
    }

    /// Until a worker hangs as it was asked to.
    pub(super) async fn hung(&self) {
        self.hung.notified().await;
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    async fn hang(&self) {
        self.hung.notify_one();
        self.wake.notified().await;
    }

    pub(super) fn calls(&self) -> usize {
        self.inside().calls
    }

    pub(super) fn widest(&self) -> usize {
        self.inside().widest
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.inside().log.clone()
    }

    /// Someone else rolled in the meantime.
    pub(super) fn overtake(&self, fence: u64) {
        for node in self.inside().nodes.values_mut() {
            node.state.fence = fence;
        }
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&BTreeMap<NodeName, Node>) -> T) -> T {
        let mut inside = self.inside();
        inside.nodes.values_mut().for_each(Node::tick);
        look(&inside.nodes)
    }

    /// One call of a verb, with whatever fault was asked for.
    async fn call(
        &self,
        verb: &str,
        fence: &Fence,
        name: &NodeName,
        act: impl Fn(&mut Node) -> Result<(), String> + Send,
    ) -> Result<(), NodeError> {
        // The network takes its time, and other tasks get theirs.
        sleep(Duration::from_millis(20)).await;
        let fault = self.count();
        if fault == Some(Fault::HangBefore) {
            self.hang().await;
        }
        let done = self.carry_out(verb, fence, name, fault, act);
        if fault == Some(Fault::HangAfter) {
            self.hang().await;
        }
        done
    }

    fn count(&self) -> Option<Fault> {
        let mut inside = self.inside();
        let number = inside.calls;
        inside.calls += 1;
        inside
            .fault
            .filter(|(call, _)| *call == number)
            .map(|(_, fault)| fault)
    }

    fn carry_out(
        &self,
        verb: &str,
        fence: &Fence,
        name: &NodeName,
        fault: Option<Fault>,
        act: impl Fn(&mut Node) -> Result<(), String>,
    ) -> Result<(), NodeError> {
        let mut inside = self.inside();
        inside.log.push(format!("{verb} {name}"));
        let node = inside.nodes.get_mut(name).unwrap();
        node.tick();
        if fault == Some(Fault::Cut) {
            node.cut_until = Some(Instant::now() + Duration::from_secs(300));
        }
        let cut = node.cut_until.is_some_and(|until| Instant::now() < until);
        if cut || fault == Some(Fault::LostBefore) {
            return Err(unreachable(name));
        }
        fenced(node, fence, name)?;
        match fault {
            Some(Fault::Refuses) => return Err(refused(name, "asked to")),
            Some(Fault::Fails) => {
                if verb == "activate" {
                    node.go_back("a step failed");
                }
                return Err(failed(name, verb));
            }
            Some(Fault::Twice) => act(node).map_err(|why| refused(name, &why))?,
            _ => {}
        }
        let done = act(node).map_err(|why| refused(name, &why));
        let between = inside
            .nodes
            .values()
            .filter(|node| node.is_between())
            .count();
        inside.widest = inside.widest.max(between);
        if fault == Some(Fault::LostAfter) {
            return Err(unreachable(name));
        }
        done
    }
}

impl NodeReader for Fleet {
    async fn status(&self, name: &NodeName) -> Result<NodeState, NodeError> {
        sleep(Duration::from_millis(20)).await;
        let mut inside = self.inside();
        let node = inside.nodes.get_mut(name).unwrap();
        node.tick();
        if node.cut_until.is_some_and(|until| Instant::now() < until) {
            return Err(unreachable(name));
        }
        Ok(node.state.clone())
    }

    async fn read_files(
        &self,
        _: &NodeName,
        _: &[NodePath],
    ) -> Result<BTreeMap<NodePath, Vec<u8>>, NodeError> {
        Ok(BTreeMap::new())
    }

    async fn logs(&self, _: &NodeName, unit: &str, _: u32) -> Result<Vec<String>, NodeError> {
        Ok(vec![format!("{unit}: last words")])
    }
}

impl NodeWriter for Fleet {
    async fn read_secrets(
        &self,
        _: &NodeName,
        _: &[NodePath],
    ) -> Result<BTreeMap<NodePath, Vec<u8>>, NodeError> {
        Ok(BTreeMap::new())
    }

    async fn claim(&self, fence: &Fence, name: &NodeName) -> Result<Claimed, NodeError> {
        let held = |nodes: &BTreeMap<NodeName, Node>| nodes[name].state.clone();
        let before = self.look(held);
        self.call("claim", fence, name, |_| Ok(())).await?;
        Ok(Claimed {
            before: (before.fence, before.holder),
            state: self.look(held),
        })
    }

    async fn stage(
        &self,
        fence: &Fence,
        token: &str,
        release: &Release,
        turn: &Turn,
    ) -> Result<(), NodeError> {
        self.call("stage", fence, &turn.node, |node| {
            if mine(node, token).is_ok() {
                return Ok(());
            }
            node.base = node.state.current.clone();
            node.target = Some(release.meta.clone());
            node.state.attempt = Some(Attempt {
                token: token.to_owned(),
                fence: fence.number,
                base: turn.base,
                target: turn.target,
                phase: AttemptPhase::Staged,
                reason: String::new(),
            });
            Ok(())
        })
        .await
    }

    async fn check(
        &self,
        fence: &Fence,
        token: &str,
        name: &NodeName,
    ) -> Result<Vec<CheckOutput>, NodeError> {
        let checked = self.call("check", fence, name, |node| mine(node, token).map(drop));
        checked.await.map(|()| Vec::new())
    }

    async fn drain(&self, fence: &Fence, token: &str, name: &NodeName) -> Result<(), NodeError> {
        self.call("drain", fence, name, |node| {
            mine(node, token)?;
            node.drained = true;
            Ok(())
        })
        .await
    }

    async fn undrain(&self, fence: &Fence, token: &str, name: &NodeName) -> Result<(), NodeError> {
        self.call("undrain", fence, name, |node| {
            mine(node, token)?;
            node.drained = false;
            Ok(())
        })
        .await
    }

    async fn activate(
        &self,
        fence: &Fence,
        token: &str,
        name: &NodeName,
        seconds: u32,
    ) -> Result<(), NodeError> {
        self.call("activate", fence, name, |node| match mine(node, token)? {
            AttemptPhase::Staged => {
                node.activations += 1;
                node.enter(AttemptPhase::Activated);
                node.deadman = Some(Instant::now() + Duration::from_secs(u64::from(seconds)));
                Ok(())
            }
            AttemptPhase::Activated | AttemptPhase::Confirmed => Ok(()),
            phase => Err(format!("{phase:?}")),
        })
        .await
    }

    async fn extend(
        &self,
        fence: &Fence,
        token: &str,
        name: &NodeName,
        seconds: u32,
    ) -> Result<(), NodeError> {
        self.call("extend", fence, name, |node| match mine(node, token)? {
            AttemptPhase::Activated => {
                node.deadman = Some(Instant::now() + Duration::from_secs(u64::from(seconds)));
                Ok(())
            }
            AttemptPhase::Confirmed => Ok(()),
            phase => Err(format!("{phase:?}")),
        })
        .await
    }

    async fn confirm(&self, fence: &Fence, token: &str, name: &NodeName) -> Result<(), NodeError> {
        self.call("confirm", fence, name, |node| match mine(node, token)? {
            AttemptPhase::Activated => {
                node.enter(AttemptPhase::Confirmed);
                node.state.current = node.target.clone();
                Ok(())
            }
            AttemptPhase::Confirmed => Ok(()),
            phase => Err(format!("{phase:?}")),
        })
        .await
    }

    async fn rollback(
        &self,
        fence: &Fence,
        token: &str,
        name: &NodeName,
        reason: &str,
    ) -> Result<(), NodeError> {
        self.call("rollback", fence, name, |node| {
            mine(node, token)?;
            node.go_back(reason);
            Ok(())
        })
        .await
    }

    async fn run(&self, _: &NodeName, _: &str, _: u32) -> Result<(Option<i32>, String), NodeError> {
        Ok((Some(0), String::new()))
    }
}
