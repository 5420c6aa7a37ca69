//! What a node says of itself: the truth a plan is made against.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gate::Probe;
use crate::ids::{ClusterName, Digest, NodeName, NodePath};
use crate::release::ReleaseMeta;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeState {
    /// Changes with every boot.
    pub boot_id: String,
    /// Seconds since 1970 by the node's clock.
    pub clock: i64,
    /// `None` on a node that Windlass never touched.
    pub cluster: Option<ClusterName>,
    /// The highest fence that the agent has accepted, and who holds it; 0 where none.
    pub fence: u64,
    pub holder: String,
    /// The release last confirmed.
    pub current: Option<ReleaseMeta>,
    pub previous: Option<Digest>,
    /// The latest attempt, finished or not.
    pub attempt: Option<Attempt>,
    /// The one confirmed last, where the latest attempt has changed nothing and so left it standing.
    #[serde(default)]
    pub standing: Option<Attempt>,
    /// Owned files that are not as the confirmed release says.
    pub drift: BTreeMap<NodePath, DriftKind>,
    /// Digests of releases that were rolled back on this node, newest last.
    pub rolled_back: Vec<Digest>,
}

impl NodeState {
    /// The hosts that its release serves over TLS, as its gates say.
    pub fn over_tls(&self) -> impl Iterator<Item = &String> {
        let gates = self.current.iter().flat_map(|current| &current.gates);
        gates.filter_map(|gate| match &gate.probe {
            Probe::Tls { name, .. } => Some(name),
            _ => None,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Unguessable, one per attempt.
    pub token: String,
    pub fence: u64,
    pub base: Option<Digest>,
    pub target: Digest,
    pub phase: AttemptPhase,
    /// Why it went back, in words; empty otherwise.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptPhase {
    /// On the node, nothing live touched.
    Staged,
    /// Files and services are being changed; the dead-man is armed.
    Activating,
    /// Changed; the dead-man waits for the confirmation.
    Activated,
    Confirmed,
    RollingBack,
    RolledBack,
    /// Going back failed half way: a person must act.
    Stuck,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DriftKind {
    Modified,
    Missing,
    /// Mode or owner differ.
    Attributes,
}

/// A file that is not as its node's release says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drifted {
    pub node: NodeName,
    pub path: NodePath,
    pub kind: DriftKind,
}

/// The nodes as they were seen at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observed {
    pub nodes: BTreeMap<NodeName, Seen>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    State(Box<NodeState>),
    /// Why it could not be reached.
    Unreachable(String),
    /// It answers, and is not as its file says: another host key, no root. Why, in words.
    Refused(String),
}

impl Observed {
    /// The nodes that answered.
    pub fn states(&self) -> impl Iterator<Item = &NodeState> {
        self.nodes.values().filter_map(|seen| match seen {
            Seen::State(state) => Some(state.as_ref()),
            Seen::Unreachable(_) | Seen::Refused(_) => None,
        })
    }

    pub fn highest_fence(&self) -> u64 {
        self.states().map(|state| state.fence).max().unwrap_or(0)
    }
}
