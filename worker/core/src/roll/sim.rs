//! A node as the search sees it: the agent's rules, without a machine.

use jiff::{SignedDuration, Timestamp};

use super::{Act, RollEvent, Step};
use crate::codes::nodes::UNREACHABLE;
use crate::finding::Finding;
use crate::ids::{Digest, NodeName};
use crate::observed::{Attempt, AttemptPhase, NodeState};

/// What a node is, as far as a roll can tell.
#[derive(Debug, Clone)]
pub(super) struct Sim {
    pub(super) state: NodeState,
    drained: bool,
    deadman: Option<Timestamp>,
    pub(super) cut_until: Timestamp,
}

impl Sim {
    pub(super) fn new(state: NodeState) -> Self {
        Self {
            state,
            drained: false,
            deadman: None,
            cut_until: Timestamp::MIN,
        }
    }

    pub(super) fn phase(&self) -> AttemptPhase {
        let attempt = self.state.attempt.as_ref();
        attempt.map_or(AttemptPhase::RolledBack, |attempt| attempt.phase)
    }

    fn set(&mut self, phase: AttemptPhase) {
        if let Some(attempt) = &mut self.state.attempt {
            attempt.phase = phase;
        }
        if phase != AttemptPhase::Activated {
            self.deadman = None;
        }
    }

    fn go_back(&mut self) {
        self.set(AttemptPhase::RolledBack);
        self.drained = false;
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        if self.deadman.is_some_and(|at| at <= now) {
            self.go_back();
        }
    }

    /// In the middle: neither in rotation with the old release nor confirmed with the new one.
    pub(super) fn is_between(&self) -> bool {
        self.drained || self.phase() == AttemptPhase::Activated
    }
}

pub(super) fn seconds(count: u32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(count))
}

pub(super) fn failed(node: &NodeName, act: Act, culprit: Option<NodeName>) -> RollEvent {
    RollEvent::Failed {
        node: node.clone(),
        act,
        what: "gate".into(),
        message: "no".into(),
        log: Vec::new(),
        culprit,
    }
}

pub(super) fn refused(node: NodeName) -> RollEvent {
    let finding = Finding::error(UNREACHABLE, "lost");
    RollEvent::Refused {
        findings: [finding.on(&node)].into_iter().collect(),
        node,
    }
}

/// One verb of the agent, with its guards.
pub(super) fn do_it(
    sim: &mut Sim,
    step: &Step,
    act: Act,
    choice: u8,
    token: &str,
    now: Timestamp,
) -> RollEvent {
    use AttemptPhase::{Activated, Confirmed, RolledBack, Staged, Stuck};
    let node = step.node().unwrap().clone();
    let fails = (180..=200).contains(&choice);
    let declined = |node| RollEvent::Declined {
        node,
        act,
        message: "not now".into(),
    };
    match (act, sim.phase()) {
        (Act::Stage, RolledBack) if fails => return refused(node),
        (Act::Stage, RolledBack) => {
            sim.state.attempt = Some(Attempt {
                token: token.to_owned(),
                fence: 7,
                base: None,
                target: Digest::of(b"t"),
                phase: Staged,
                reason: String::new(),
            });
        }
        (Act::Check, _) if fails => return refused(node),
        (Act::Drain, _) if fails => {
            sim.drained = true;
            return failed(&node, act, None);
        }
        (Act::Drain, _) => sim.drained = true,
        (Act::Activate, Staged) if fails && choice.is_multiple_of(2) => return declined(node),
        (Act::Activate, Staged) if fails => {
            sim.go_back();
            return failed(&node, act, None);
        }
        (Act::Activate | Act::Extend, Staged | Activated) => {
            let (Step::Activate { seconds: wait, .. } | Step::Extend { seconds: wait, .. }) = step
            else {
                panic!("{step:?}");
            };
            sim.set(Activated);
            sim.deadman = Some(now.saturating_add(seconds(*wait)).unwrap());
        }
        (Act::Undrain, _) if fails => return failed(&node, act, None),
        (Act::Undrain, _) => sim.drained = false,
        (Act::Confirm, Activated) if fails => return failed(&node, act, None),
        (Act::Confirm, Activated) => sim.set(Confirmed),
        (Act::Rollback, _) if choice == 180 => {
            sim.set(Stuck);
            let message = "reload failed".into();
            return RollEvent::Stuck { node, message };
        }
        (Act::Rollback, _) => {
            sim.go_back();
            if let (Step::Rollback { reason, .. }, Some(attempt)) = (step, &mut sim.state.attempt) {
                attempt.reason.clone_from(reason);
            }
        }
        (Act::Activate | Act::Extend | Act::Confirm, RolledBack | Stuck) => return declined(node),
        _ => {}
    }
    RollEvent::Done { node, act }
}
