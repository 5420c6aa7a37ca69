//! The rolls that are under way, node by node, for the API. A picture for people, kept in memory only: what a roll
//! is at stands in its journal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;
use windlass_core::ids::{ClusterName, NodeName};
use windlass_core::plan::Plan;
use windlass_core::report::step;
use windlass_core::roll::Entry;

#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Mutex<BTreeMap<ClusterName, LiveRoll>>>);

/// A roll under way.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LiveRoll {
    pub commit: String,
    pub subject: String,
    /// In the order of their turns.
    pub nodes: Vec<LiveNode>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LiveNode {
    pub node: NodeName,
    /// What happened there last, in words.
    pub state: String,
}

impl Live {
    pub fn of(&self, cluster: &ClusterName) -> Option<LiveRoll> {
        self.lock().get(cluster).cloned()
    }

    /// Takes one more event of a roll in.
    pub fn note(&self, plan: &Plan, entry: &Entry) {
        let Some((node, words)) = step::words(&entry.event) else {
            return;
        };
        let mut rolls = self.lock();
        let roll = rolls
            .entry(plan.cluster.clone())
            .or_insert_with(|| LiveRoll::of(plan));
        if let Some(row) = roll.nodes.iter_mut().find(|row| row.node == *node) {
            row.state = words;
        }
    }

    pub fn over(&self, cluster: &ClusterName) {
        self.lock().remove(cluster);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClusterName, LiveRoll>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveRoll {
    fn of(plan: &Plan) -> Self {
        let nodes = plan.waves.iter().flatten().map(|node| LiveNode {
            node: node.clone(),
            state: "waits for its turn".to_owned(),
        });
        Self {
            commit: plan.commit.clone(),
            subject: plan.subject.clone(),
            nodes: nodes.collect(),
        }
    }
}
