//! What merging a request would do, as one value: the verdict, the findings, the roll in words and the
//! differences. Made by `flow/preview`, told as a comment, a commit status and a page. Everything in it that comes
//! from the request is hostile: it is escaped where it is written, not here.

mod after;
mod answer;
mod comment;
mod limits;
mod markdown;
mod parts;
mod status;
mod verdict;
mod words;

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::{Finding, Findings};
use crate::ids::{ClusterName, Digest, NodeName, NodePath};
use crate::plan::Skipped;
use crate::report::diff::Shared;
use crate::report::findings::{Style, one};
use crate::snapshot::Snapshot;

pub use after::{After, after, repeats, waits};
pub use answer::{answer, answered};
pub use comment::{Left, Mark, comment, left, marker};
pub use limits::{Flavour, Limits};
pub use status::{State, Status, status, status_after, status_merged};
pub use verdict::counted;

/// A request of a forge (pull request, merge request), as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    pub number: u64,
    /// The commit that is asked to be merged.
    pub head: String,
    /// The commit of the watched branch that it would be merged into.
    pub base: String,
    pub branch: String,
}

/// What merging a request would do to one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    pub cluster: ClusterName,
    pub request: Request,
    /// The tree that merging gives; what is previewed is this, not the head alone.
    pub tree: Option<String>,
    /// Identifies what every node would hold: merging rolls this, or says why not.
    pub bundle: Option<Digest>,
    pub verdict: Verdict,
    pub findings: Vec<Shown>,
    /// Absent where nothing could be planned.
    pub roll: Option<Roll>,
    /// What the differences below are against.
    pub against: Against,
    pub diffs: Vec<Shared>,
    /// Files whose difference was not kept.
    #[serde(default)]
    pub left_out: usize,
    /// Address of the full preview; the worker's own, never of the request.
    pub page: Option<String>,
    /// Who holds it: merging rolls nothing until someone releases it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Under way.
    Checking,
    NoChange,
    WouldChange {
        nodes: usize,
        of: usize,
        files: usize,
    },
    /// Merging would be refused: findings say why.
    Refused,
    /// It cannot be merged into its base.
    Conflicted {
        files: Vec<String>,
    },
    /// Nothing of the request was run, because this worker has no working sandbox.
    NotRun {
        why: String,
    },
    /// Its author gets no previews without being asked for.
    Withheld {
        why: String,
    },
    /// It could not be looked at; it is tried again.
    Failed {
        why: String,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Against {
    /// What the nodes hold now.
    #[default]
    Nodes,
    /// What the base renders to, because not every node could be asked.
    Base,
}

/// A finding with the text that compilers would print: the line, a caret, what would mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    pub finding: Finding,
    pub text: String,
}

/// The roll in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Roll {
    /// In the order in which they are taken; those of one wave side by side.
    pub turns: Vec<TurnWords>,
    pub unchanged: Vec<NodeName>,
    /// Left out, each with why.
    pub skipped: Vec<Skipped>,
    pub radius: Radius,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnWords {
    pub node: NodeName,
    /// From 1.
    pub wave: usize,
    pub files: usize,
    pub drain: Vec<String>,
    /// "reload haproxy", "restart tinc".
    pub actions: Vec<String>,
    pub gates: Vec<String>,
    pub undrain: Vec<String>,
    /// Files changed by hand that would be replaced.
    pub replaced: Vec<NodePath>,
    /// Repository files that are the reason.
    pub because: Vec<String>,
}

/// How much of the cluster it touches, and how much it takes away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Radius {
    pub nodes: usize,
    pub of_nodes: usize,
    pub files_created: usize,
    pub files_changed: usize,
    pub files_removed: usize,
    /// Removed, and of how many; absent where the base could not be read.
    pub dns_records: Option<(usize, usize)>,
    pub backends: Option<(usize, usize)>,
}

impl Preview {
    /// With nothing known yet.
    pub fn new(cluster: ClusterName, request: Request, verdict: Verdict) -> Self {
        Self {
            cluster,
            request,
            tree: None,
            bundle: None,
            verdict,
            findings: Vec::new(),
            roll: None,
            against: Against::default(),
            diffs: Vec::new(),
            left_out: 0,
            page: None,
            held: None,
        }
    }

    /// Whether what was reviewed is what this bundle would roll.
    pub fn reviewed(&self, bundle: &Digest) -> bool {
        self.bundle.as_ref() == Some(bundle)
    }

    pub fn has_errors(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|shown| shown.finding.severity == crate::finding::Severity::Error)
    }
}

impl Shown {
    pub fn of(finding: &Finding, snapshot: &Snapshot) -> Self {
        Self {
            finding: finding.clone(),
            text: one(finding, snapshot, Style::Plain),
        }
    }

    pub fn all(findings: &Findings, snapshot: &Snapshot) -> Vec<Self> {
        let findings = findings.iter();
        findings
            .map(|finding| Self::of(finding, snapshot))
            .collect()
    }
}
