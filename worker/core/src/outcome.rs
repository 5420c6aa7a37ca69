//! How a roll ended. Exit code, journal, log, status, API and notification all tell this one value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::Findings;
use crate::ids::NodeName;
use crate::plan::Skipped;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Every node held its release already.
    Unchanged { skipped: Vec<Skipped> },
    RolledOut {
        nodes: Vec<NodeName>,
        /** Left out of the roll; behind now. */
        skipped: Vec<Skipped>,
    },
    RolledBack {
        failure: Failure,
        /** Nodes that were touched and hold their old release again. */
        nodes: Vec<NodeName>,
        /** Nodes that were done before the failure and keep the new release (`on_failure: stop`). */
        kept: Vec<NodeName>,
    },
    /// A person took turns back (`windlass rollback`).
    TakenBack {
        /** Hold what they held before their turns. */
        nodes: Vec<NodeName>,
    },
    /// Nothing was touched.
    Refused { findings: Findings },
    /// A person must act.
    Stuck {
        nodes: Vec<StuckNode>,
        failure: Option<Failure>,
    },
}

/// What made a roll go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    pub node: NodeName,
    /// "gates", "activate", "confirm" …
    pub step: String,
    /// The gate or command that failed.
    pub what: String,
    /// What was seen.
    pub message: String,
    /// The last lines of the service's log.
    pub log: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StuckNode {
    pub node: NodeName,
    pub why: String,
    /// What a person must do.
    pub mend: String,
}

impl Outcome {
    /// 0 done or nothing to do, 1 findings or rolled back, 3 stuck (2 is "used wrongly", which no outcome is).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unchanged { .. } | Self::RolledOut { .. } | Self::TakenBack { .. } => 0,
            Self::RolledBack { .. } | Self::Refused { .. } => 1,
            Self::Stuck { .. } => 3,
        }
    }

    /// Whether the bundle is not to be tried again by itself: it failed, nobody merely stopped it.
    pub fn quarantines(&self) -> bool {
        let failed = |failure: &Failure| failure.step != "cancel";
        match self {
            Self::RolledBack { failure, .. } => failed(failure),
            Self::Stuck { failure, .. } => failure.as_ref().is_some_and(failed),
            Self::Unchanged { .. }
            | Self::RolledOut { .. }
            | Self::TakenBack { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// One word, the same everywhere.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unchanged { .. } => "unchanged",
            Self::RolledOut { .. } => "rolled out",
            Self::RolledBack { .. } => "rolled back",
            Self::TakenBack { .. } => "taken back",
            Self::Refused { .. } => "refused",
            Self::Stuck { .. } => "stuck",
        }
    }
}
