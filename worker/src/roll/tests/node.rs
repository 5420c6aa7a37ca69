//! One simulated node: the agent's rules, and what can go wrong with a call.

use tokio::time::Instant;
use windlass_core::ids::NodeName;
use windlass_core::observed::{AttemptPhase, NodeState};
use windlass_core::release::ReleaseMeta;

use crate::ports::{Fence, NodeError};

/// What goes wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The call never arrives.
    LostBefore,
    /// It is done, but the answer is lost.
    LostAfter,
    Fails,
    Refuses,
    /// The call does what it should, twice.
    Twice,
    /// The node cannot be reached for five minutes from now on.
    Cut,
    /// The worker is stopped before the call arrives, until it is woken. One that never is has died.
    HangBefore,
    /// The same after the call was carried out.
    HangAfter,
}

pub(super) struct Node {
    pub(super) state: NodeState,
    pub(super) drained: bool,
    /// How often its files were really changed to a new release.
    pub(super) activations: usize,
    pub(super) target: Option<ReleaseMeta>,
    pub(super) base: Option<ReleaseMeta>,
    pub(super) deadman: Option<Instant>,
    pub(super) cut_until: Option<Instant>,
}

impl Node {
    pub(super) fn phase(&self) -> Option<AttemptPhase> {
        self.state.attempt.as_ref().map(|attempt| attempt.phase)
    }

    pub(super) fn enter(&mut self, phase: AttemptPhase) {
        if let Some(attempt) = &mut self.state.attempt {
            attempt.phase = phase;
        }
        if phase != AttemptPhase::Activated {
            self.deadman = None;
        }
    }

    pub(super) fn go_back(&mut self, reason: &str) {
        if self.phase() == Some(AttemptPhase::Confirmed) {
            self.state.current = self.base.clone();
        }
        self.enter(AttemptPhase::RolledBack);
        self.drained = false;
        if let Some(attempt) = &mut self.state.attempt {
            attempt.reason = reason.to_owned();
        }
    }

    pub(super) fn tick(&mut self) {
        if self.deadman.is_some_and(|at| at <= Instant::now()) {
            self.go_back("nobody confirmed in time");
        }
    }

    pub(super) fn is_between(&self) -> bool {
        self.drained || self.phase() == Some(AttemptPhase::Activated)
    }
}

pub(super) fn fenced(node: &mut Node, fence: &Fence, name: &NodeName) -> Result<(), NodeError> {
    let mine = (fence.number, fence.holder.as_str());
    let theirs = (node.state.fence, node.state.holder.as_str());
    if mine.0 < theirs.0 || (mine.0 == theirs.0 && mine.1 != theirs.1) {
        return Err(NodeError::Fenced {
            node: name.clone(),
            why: format!("fence {} of {}", theirs.0, theirs.1),
        });
    }
    node.state.fence = fence.number;
    node.state.holder.clone_from(&fence.holder);
    Ok(())
}

pub(super) fn unreachable(node: &NodeName) -> NodeError {
    NodeError::Unreachable {
        node: node.clone(),
        why: "timed out".into(),
    }
}

pub(super) fn refused(node: &NodeName, why: &str) -> NodeError {
    NodeError::Refused {
        node: node.clone(),
        why: why.to_owned(),
        drift: Vec::new(),
    }
}

pub(super) fn failed(node: &NodeName, step: &str) -> NodeError {
    NodeError::Failed {
        node: node.clone(),
        step: step.to_owned(),
        why: "exit status 1".into(),
        log: vec!["it broke".into()],
    }
}

pub(super) fn mine(node: &Node, token: &str) -> Result<AttemptPhase, String> {
    let attempt = node.state.attempt.as_ref().filter(|a| a.token == token);
    attempt
        .map(|a| a.phase)
        .ok_or_else(|| "there is no such attempt".to_owned())
}
