//! One simulated node: what it holds, and the dead-man that takes it back on its own clock.

use tokio::time::Instant;
use windlass_core::observed::{AttemptPhase, NodeState};
use windlass_core::release::ReleaseMeta;

pub(super) struct Node {
    pub(super) state: NodeState,
    pub(super) drained: bool,
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
