//! The verdict in a few words, the same in comment, status and page. None of them are of the request.

use super::{Preview, Verdict};
use crate::finding::Findings;
use crate::report::findings::summary;

impl Preview {
    /// "merging would change 2 of 3 nodes (4 files)".
    pub fn headline(&self) -> String {
        match &self.verdict {
            Verdict::Checking => "checking what merging would do".to_owned(),
            Verdict::NoChange => "merging changes no node".to_owned(),
            Verdict::WouldChange { nodes, of, files } => format!(
                "merging would change {nodes} of {} ({})",
                counted(*of, "node"),
                counted(*files, "file")
            ),
            Verdict::Refused => format!("merging would be refused: {}", self.count()),
            Verdict::Conflicted { files } => {
                format!(
                    "cannot be merged: {} in conflict",
                    counted(files.len(), "file")
                )
            }
            Verdict::NotRun { .. } => {
                "not looked at: this worker has no working sandbox for requests".to_owned()
            }
            Verdict::Withheld { .. } => "not looked at until someone asks".to_owned(),
            Verdict::Failed { .. } => "could not be looked at; it is tried again".to_owned(),
        }
    }

    /// "2 errors, 1 warning".
    pub fn count(&self) -> String {
        let findings = self.findings.iter().map(|shown| shown.finding.clone());
        summary(&findings.collect::<Findings>())
    }
}

pub(super) fn counted(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}
