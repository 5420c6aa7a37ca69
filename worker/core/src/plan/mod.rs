//! The plan: a bundle against what the nodes hold now. It decides everything (which files, which actions,
//! which gates, which order, who is skipped) and is then only carried out. A value: serialisable, never changed.

mod actions;
mod again;
#[cfg(test)]
mod again_tests;
mod back;
mod changes;
mod guards;
mod limits;
mod make;
mod outline;
mod review;
mod waves;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod turn_tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::Findings;
use crate::gate::Gate;
use crate::ids::{ClusterName, ComponentName, Digest, NodeName, NodePath};
use crate::release::Command;

pub use crate::model::{OnFailure, OnNewerCommit};
pub use again::Tried;
pub use back::{TakingBack, taken_back};
pub(crate) use guards::CANCELLED;
pub use make::{Adopt, Input, base_commit, make};
pub use outline::{Inventory, Outline};
pub use review::{Merge, Said};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    pub cluster: ClusterName,
    pub commit: String,
    pub subject: String,
    pub bundle: Digest,
    /// What a review of it can show: equal to the bundle of a preview that shows the same.
    #[serde(default)]
    pub reviewed: Option<Digest>,
    /// Nodes whose turns may run side by side, wave after wave.
    pub waves: Vec<Vec<NodeName>>,
    pub turns: BTreeMap<NodeName, Turn>,
    /// Nodes that hold their release already, with their gates of cluster scope.
    pub unchanged: BTreeMap<NodeName, Vec<Gate>>,
    pub skipped: Vec<Skipped>,
    /// What the policy has against it; any error means that nothing is rolled.
    pub findings: Findings,
    pub timing: Timing,
    pub on_failure: OnFailure,
    #[serde(default)]
    pub on_newer_commit: OnNewerCommit,
    /// The first number of the generation after the highest that any node knows.
    pub fence: u64,
}

impl Plan {
    /// As others than the worker may read it: a short secret could be guessed from the digest of its file.
    #[must_use]
    pub fn without_secret_digests(mut self) -> Self {
        let turns = self.turns.values_mut();
        for change in turns.flat_map(|turn| &mut turn.changes) {
            if change.secret {
                (change.before, change.after) = (None, None);
            }
        }
        self
    }
}

/// One node's part: complete, so that the agent needs to decide nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    pub node: NodeName,
    pub base: Option<Digest>,
    pub target: Digest,
    pub changes: Vec<FileChange>,
    /// Packages of the node's components; the agent installs those that are missing.
    pub packages: Vec<String>,
    pub drain: Vec<Command>,
    pub undrain: Vec<Command>,
    /// After the files are in place, in order.
    pub forward: Vec<Command>,
    /// After the old files are back, in order.
    pub backward: Vec<Command>,
    pub gates: Vec<Gate>,
    /// systemd units of each component, whose logs explain a failure.
    pub units: BTreeMap<ComponentName, Vec<String>>,
    /// Files changed by hand, or not ours yet, that this turn may replace (a copy is kept).
    pub adopt: Vec<NodePath>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    pub path: NodePath,
    pub kind: ChangeKind,
    pub component: ComponentName,
    /// Absent where there was no file, and in what others read of a secret one.
    pub before: Option<Digest>,
    pub after: Option<Digest>,
    pub secret: bool,
    pub serial: bool,
    /// The repository files whose change is the reason, with "new", "changed" or "removed".
    pub because: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    Create,
    Replace,
    /// Only mode or owner.
    Attributes,
    Remove,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    pub node: NodeName,
    pub why: String,
}

/// Seconds, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    pub min_healthy_time: u32,
    pub healthy_deadline: u32,
    pub progress_deadline: u32,
    /// How long a node waits for a new connection after activation before it goes back by itself.
    pub reconnect_deadline: u32,
}
