//! What can happen in a roll. Every event is written down before the next step follows from it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::Findings;
use crate::ids::NodeName;

/// One line of a roll's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    #[schemars(with = "String")]
    pub at: Timestamp,
    pub event: RollEvent,
}

/// What a roll does to a node.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    Stage,
    Check,
    /// Waits for the gates that must hold before the turn.
    Before,
    Drain,
    Activate,
    /// Over a new connection.
    Extend,
    Gates,
    Undrain,
    Soak,
    Confirm,
    Rollback,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RollEvent {
    /// First of all. A token names each node's attempt, the holder the one who rolls.
    Opened {
        holder: String,
        tokens: BTreeMap<NodeName, String>,
    },
    /// About to be done: written first, so that after a crash it is known to have perhaps happened.
    Begun {
        node: NodeName,
        act: Act,
    },
    Done {
        node: NodeName,
        act: Act,
    },
    /// It was done, or could not be, and the answer is no.
    Failed {
        node: NodeName,
        act: Act,
        /** The gate or command. */
        what: String,
        message: String,
        log: Vec<String>,
        /** The node whose gate failed, where it is another one. */
        culprit: Option<NodeName>,
    },
    /// The node refused before it changed anything, or knows better than the worker.
    Declined {
        node: NodeName,
        act: Act,
        message: String,
    },
    /// The candidate did not pass on the node.
    Refused {
        node: NodeName,
        findings: Findings,
    },
    /// No answer: nobody knows whether it was done.
    Lost {
        node: NodeName,
        act: Act,
        message: String,
    },
    /// The node was asked what is true, and told.
    Learned {
        node: NodeName,
        fate: Fate,
    },
    /// The node was asked, and did not answer.
    NoAnswer {
        node: NodeName,
        message: String,
    },
    /// It is not waited for any longer.
    GivenUp {
        node: NodeName,
    },
    /// The node says that it cannot go back by itself.
    Stuck {
        node: NodeName,
        message: String,
    },
    /// Someone else holds a higher fence: hands off.
    Fenced {
        node: NodeName,
        message: String,
    },
    Cancelled,
    /// The watched branch has a newer commit, which contains this roll's.
    Newer {
        commit: String,
    },
    /// No node became healthy for too long.
    Overdue,
    /// What has happened does not fit into a message any more, so no other worker can go on.
    Overgrown,
    /// Another worker process goes on with this roll.
    Resumed,
    /// Someone carries out the next turn, and has claimed the nodes with a higher fence. Of the `unsure` ones it is
    /// not known whether someone else has begun with this turn before.
    TakenOver {
        holder: String,
        fence: u64,
        unsure: BTreeSet<NodeName>,
    },
}

/// What a node says of this roll's attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Fate {
    /// Nothing live was touched (it may be drained).
    Untouched,
    /// It is still at it.
    Busy,
    Activated,
    Confirmed,
    WentBack {
        reason: String,
    },
    Stuck {
        message: String,
    },
    Fenced {
        message: String,
    },
}

impl RollEvent {
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Opened { .. }
            | Self::Cancelled
            | Self::Newer { .. }
            | Self::Overdue
            | Self::Overgrown
            | Self::Resumed
            | Self::TakenOver { .. } => None,
            Self::Begun { node, .. }
            | Self::Done { node, .. }
            | Self::Failed { node, .. }
            | Self::Declined { node, .. }
            | Self::Refused { node, .. }
            | Self::Lost { node, .. }
            | Self::Learned { node, .. }
            | Self::NoAnswer { node, .. }
            | Self::GivenUp { node }
            | Self::Stuck { node, .. }
            | Self::Fenced { node, .. } => Some(node),
        }
    }
}

impl Act {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Check => "check",
            Self::Before => "before",
            Self::Drain => "drain",
            Self::Activate => "activate",
            Self::Extend => "reconnect",
            Self::Gates => "gates",
            Self::Undrain => "undrain",
            Self::Soak => "soak",
            Self::Confirm => "confirm",
            Self::Rollback => "rollback",
        }
    }
}
