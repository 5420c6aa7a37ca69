//! How a roll ended. Exit code, journal, log, status, API and notification all tell this one value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codes::plan::CANCELLED;
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
    /// It ended before all nodes had their turns, because another roll goes on from there.
    Overtaken {
        /** The commit that is rolled instead. */
        by: String,
        /** Nodes that had their turn and hold this roll's release. */
        nodes: Vec<NodeName>,
        /** Nodes whose turn had not come. */
        left: Vec<NodeName>,
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
    /// 0 done or nothing to do, 1 findings, rolled back or overtaken, 3 stuck (2 is "used wrongly", which no outcome is).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unchanged { .. } | Self::RolledOut { .. } | Self::TakenBack { .. } => 0,
            Self::RolledBack { .. } | Self::Overtaken { .. } | Self::Refused { .. } => 1,
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
            | Self::Overtaken { .. }
            | Self::TakenBack { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// Nothing speaks against the release: the roll ended for the sake of something else.
    pub fn was_called_off(&self) -> bool {
        match self {
            Self::Overtaken { .. } => true,
            Self::RolledBack { failure, .. } => failure.step == "cancel",
            Self::Refused { findings } => findings.iter().any(|found| found.code == CANCELLED),
            Self::Unchanged { .. }
            | Self::RolledOut { .. }
            | Self::TakenBack { .. }
            | Self::Stuck { .. } => false,
        }
    }

    /// One word, the same everywhere.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unchanged { .. } => "unchanged",
            Self::RolledOut { .. } => "rolled out",
            Self::RolledBack { .. } => "rolled back",
            Self::Overtaken { .. } => "overtaken",
            Self::TakenBack { .. } => "taken back",
            Self::Refused { .. } => "refused",
            Self::Stuck { .. } => "stuck",
        }
    }
}
