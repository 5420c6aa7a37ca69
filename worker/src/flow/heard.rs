//! What the worker hears of its own rolls while they go on.

use std::sync::Arc;

use windlass_core::ids::NodeName;
use windlass_core::plan::Plan;
use windlass_core::roll::{Entry, RollState};

use super::newer::Newer;
use crate::roll::Observer;

pub(super) struct Heard {
    pub(super) newer: Arc<Newer>,
}

impl Observer for Heard {
    fn happened(&self, plan: &Plan, _: &RollState, entry: &Entry) {
        self.newer.waits(false);
        tracing::debug!(cluster = %plan.cluster, commit = plan.commit, event = ?entry.event, "roll");
    }

    fn waiting(&self, node: &NodeName, _: &NodeName, gate: &str, seen: &str) {
        self.newer.waits(true);
        tracing::debug!(%node, gate, seen, "a gate does not hold yet");
    }
}
