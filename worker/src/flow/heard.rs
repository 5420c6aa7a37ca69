//! What the worker hears of its own rolls while they go on.

use std::sync::Arc;

use windlass_core::fence::Claim;
use windlass_core::ids::NodeName;
use windlass_core::plan::Plan;
use windlass_core::report::step;
use windlass_core::roll::{Entry, RollEvent, RollState};

use super::newer::Newer;
use crate::live::Live;
use crate::roll::Observer;

pub(super) struct Heard {
    pub(super) newer: Arc<Newer>,
    pub(super) live: Live,
}

impl Observer for Heard {
    fn happened(&self, plan: &Plan, _: &RollState, entry: &Entry) {
        self.newer.stalls(false);
        self.live.note(plan, entry);
        match step::words(&entry.event) {
            Some((node, words)) if !matches!(entry.event, RollEvent::Begun { .. }) => {
                tracing::info!(cluster = %plan.cluster, %node, "{words}");
            }
            _ => match &entry.event {
                RollEvent::Newer { commit } => {
                    tracing::info!(cluster = %plan.cluster, commit, "a newer commit is there");
                }
                // The nodes are claimed for it: whoever has the same message besides begins nothing any more.
                RollEvent::TakenOver { holder, .. } => {
                    let turn = Claim::parse(holder).map(|claim| claim.turn);
                    let (roll, turn) = turn.map(|turn| (turn.roll, turn.number)).unzip();
                    tracing::info!(cluster = %plan.cluster, roll, turn, "a turn begins");
                }
                event => tracing::debug!(cluster = %plan.cluster, ?event, "roll"),
            },
        }
    }

    fn waiting(&self, node: &NodeName, _: &NodeName, gate: &str, seen: &str) {
        tracing::debug!(%node, gate, seen, "a gate does not hold yet");
    }

    fn stalls(&self, stalls: bool) {
        self.newer.stalls(stalls);
    }
}
