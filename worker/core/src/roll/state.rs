//! The state of a roll: a fold over its events, nothing more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::event::{Act, Entry};
use crate::finding::Findings;
use crate::ids::NodeName;
use crate::outcome::Failure;
use crate::plan::{OnNewerCommit, Plan};

/// An event that cannot have happened in this state: the journal is damaged, or the driver is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot happen here: {why}")]
pub struct IllegalEvent {
    pub(super) event: String,
    pub(super) why: &'static str,
}

/// How far a node's turn has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    #[default]
    Fresh,
    Staged,
    /// Staged, and the candidate passed the node's checks.
    Ready,
    Admitted,
    Drained,
    Active,
    /// Reached over a new connection.
    Reached,
    Healthy,
    InRotation,
    Soaked,
    Confirmed,
    /// It holds what it held before.
    Back,
    /// A person must act.
    Stuck,
}

/// Nobody knows what the node did; it is asked until it tells or patience ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) since: Timestamp,
    pub(super) asked: Option<Timestamp>,
    /// It has not told yet.
    pub(super) open: bool,
    pub(super) message: String,
}

impl Doubt {
    pub(super) fn new(since: Timestamp, message: &str) -> Self {
        Self {
            since,
            asked: None,
            open: true,
            message: message.to_owned(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRoll {
    pub place: Place,
    /// Written down as about to be done, without a result yet.
    pub begun: Option<Act>,
    /// May have been drained or changed in this roll.
    pub touched: bool,
    pub(super) doubt: Option<Doubt>,
    pub(super) stuck: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollState {
    pub holder: String,
    /// Under which the nodes are spoken to now.
    pub fence: u64,
    pub tokens: BTreeMap<NodeName, String>,
    pub nodes: BTreeMap<NodeName, NodeRoll>,
    /// The first failure; from then on everything goes back.
    pub failure: Option<Failure>,
    pub cancelled: bool,
    /// The newer commit that is there by now.
    pub newer: Option<String>,
    pub(super) opened: bool,
    pub(super) refused: Findings,
    pub(super) fenced: Option<String>,
    /// Nodes in the order in which they were confirmed.
    pub(super) confirmed: Vec<NodeName>,
    /// Nodes that go back whatever the policy says: their own gates failed after their turn.
    pub(super) condemned: BTreeSet<NodeName>,
    pub(super) progress_at: Timestamp,
}

impl RollState {
    /// Before anything happened.
    pub fn new(plan: &Plan, at: Timestamp) -> Self {
        let fresh = |node: &NodeName| (node.clone(), NodeRoll::default());
        Self {
            holder: String::new(),
            fence: plan.fence,
            tokens: BTreeMap::new(),
            nodes: plan.turns.keys().map(fresh).collect(),
            failure: None,
            cancelled: false,
            newer: None,
            opened: false,
            refused: Findings::default(),
            fenced: None,
            confirmed: Vec::new(),
            condemned: BTreeSet::new(),
            progress_at: at,
        }
    }

    /// What a journal tells.
    pub fn replay(plan: &Plan, at: Timestamp, entries: &[Entry]) -> Result<Self, IllegalEvent> {
        let mut state = Self::new(plan, at);
        for entry in entries {
            state.apply(plan, entry)?;
        }
        Ok(state)
    }

    /// Whether any node may differ from what it was before the roll.
    pub fn is_untouched(&self) -> bool {
        self.nodes.values().all(|node| !node.touched)
    }

    pub fn is_going_back(&self) -> bool {
        self.failure.is_some()
    }

    /// The policy ends this roll where it is, for a newer commit: no further node is begun.
    pub fn gives_way(&self, plan: &Plan) -> bool {
        plan.on_newer_commit == OnNewerCommit::Stop && self.newer.is_some() && !self.is_going_back()
    }

    pub fn token(&self, node: &NodeName) -> &str {
        self.tokens.get(node).map_or("", String::as_str)
    }

    /// The first wave with a node that is not done.
    pub fn wave(&self, plan: &Plan) -> Option<usize> {
        let done = |node: &NodeName| self.place(node) == Place::Confirmed;
        plan.waves.iter().position(|wave| !wave.iter().all(done))
    }

    pub fn place(&self, node: &NodeName) -> Place {
        self.nodes.get(node).map_or(Place::Fresh, |node| node.place)
    }
}

impl NodeRoll {
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| doubt.open)
    }

    /// In the middle of its turn: it may be drained or changed, and is not done.
    pub(super) fn is_under_way(&self) -> bool {
        self.touched && self.place != Place::Confirmed && !self.is_over()
    }

    /// Not changed, as far as anyone knows, but perhaps drained by someone who had this turn before.
    pub(super) fn is_perhaps_drained(&self) -> bool {
        let idle = matches!(self.begun, None | Some(Act::Rollback));
        self.touched && self.place <= Place::Admitted && idle && !self.is_in_doubt()
    }

    /// Its turn is over, one way or another.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.place, Place::Back | Place::Stuck)
    }
}

impl Act {
    /// Only looks; may be broken off at any time.
    pub fn only_looks(self) -> bool {
        matches!(self, Self::Before | Self::Gates | Self::Soak)
    }

    pub(super) fn is_staging(self) -> bool {
        matches!(self, Self::Stage | Self::Check)
    }
}
