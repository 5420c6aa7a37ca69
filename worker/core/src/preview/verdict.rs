//! The verdict in a few words, the same in comment, status and page. None of them are of the request.

use std::collections::BTreeMap;

use super::{Preview, Verdict};
use crate::finding::Findings;
use crate::ids::NodeName;
use crate::plan::Plan;
use crate::report::diff::FileDiff;
use crate::report::findings::summary;

impl Verdict {
    /// Of what would change on nodes; those without a change may be there or not.
    pub fn of_nodes(diffs: &BTreeMap<NodeName, Vec<FileDiff>>, of: usize) -> Self {
        let nodes = diffs.values().filter(|files| !files.is_empty()).count();
        let files = diffs.values().map(Vec::len).sum();
        match nodes {
            0 => Self::NoChange,
            _ => Self::WouldChange { nodes, of, files },
        }
    }

    /// Of a plan that nothing speaks against.
    pub fn of_plan(plan: &Plan) -> Self {
        // A turn without a file installs packages.
        if plan.turns.is_empty() {
            return Self::NoChange;
        }
        Self::WouldChange {
            nodes: plan.turns.len(),
            of: plan.turns.len() + plan.unchanged.len() + plan.skipped.len(),
            files: plan.turns.values().map(|turn| turn.changes.len()).sum(),
        }
    }

    /// "merging would change 2 of 3 nodes (4 files)".
    pub fn words(&self, findings: &Findings) -> String {
        match self {
            Self::Checking => "checking what merging would do".to_owned(),
            Self::NoChange => "merging changes no node".to_owned(),
            Self::WouldChange { nodes, of, files } => format!(
                "merging would change {nodes} of {} ({})",
                counted(*of, "node"),
                counted(*files, "file")
            ),
            Self::Refused => format!("merging would be refused: {}", summary(findings)),
            Self::Conflicted { files } => {
                let files = counted(files.len(), "file");
                format!("cannot be merged: {files} in conflict")
            }
            Self::NotRun { .. } => {
                "not looked at: this worker has no working sandbox for requests".to_owned()
            }
            Self::Withheld { .. } => "not looked at until someone asks".to_owned(),
            Self::Failed { .. } => "could not be looked at; it is tried again".to_owned(),
        }
    }
}

impl Preview {
    pub fn headline(&self) -> String {
        self.verdict.words(&self.plain_findings())
    }

    /// "2 errors, 1 warning".
    pub fn count(&self) -> String {
        summary(&self.plain_findings())
    }

    fn plain_findings(&self) -> Findings {
        let findings = self.findings.iter();
        findings.map(|shown| shown.finding.clone()).collect()
    }
}

/// "1 file", "2 files".
pub fn counted(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}
