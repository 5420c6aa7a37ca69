//! From what was found and planned to the value that is told.

use std::collections::BTreeMap;

use windlass_core::codes::git as codes;
use windlass_core::finding::{Finding, Findings, Location};
use windlass_core::ids::NodeName;
use windlass_core::observed::{Observed, Seen};
use windlass_core::plan::{Inventory, Plan};
use windlass_core::preview::{Against, Preview, Roll, Shown, Verdict};
use windlass_core::release::Bundle;
use windlass_core::report::diff::{self, FileDiff, Fingerprints};
use windlass_core::snapshot::Snapshot;

/// More than anyone reads.
const MOST_FINDINGS: usize = 200;

pub(in crate::flow) type Diffs = BTreeMap<NodeName, Vec<FileDiff>>;

/// A finding for each file that cannot be merged.
pub fn conflicts(files: &[String]) -> Findings {
    let findings = files.iter().map(|file| {
        let message = "the request and the branch both changed this file, and cannot be merged";
        Finding::error(codes::CONFLICT, message)
            .at(Location::file(file))
            .hint("merge or rebase the branch into the request and solve the conflict there")
    });
    findings.collect()
}

pub(super) fn conflicted(preview: &mut Preview, files: Vec<String>) {
    preview.findings = Shown::all(&conflicts(&files), &Snapshot::default());
    preview.verdict = Verdict::Conflicted { files };
}

pub(in crate::flow) fn findings(preview: &mut Preview, findings: &Findings, snapshot: &Snapshot) {
    let findings = findings.iter().take(MOST_FINDINGS);
    let shown = findings.map(|finding| Shown::of(finding, snapshot));
    preview.findings.extend(shown);
    if preview.has_errors() {
        preview.verdict = Verdict::Refused;
    }
}

/// The differences between what base and request render to.
pub(super) fn against_base(base: Option<&Bundle>, head: &Bundle, key: &[u8]) -> Diffs {
    let none = BTreeMap::new();
    let old = base.map_or(&none, |base| &base.releases);
    let nodes = head.releases.keys().chain(old.keys());
    let diffs = nodes.map(|node| {
        let (before, after) = (old.get(node), head.releases.get(node));
        let files = diff::releases(before, after, &Fingerprints(key));
        (node.clone(), files)
    });
    diffs.filter(|(_, files)| !files.is_empty()).collect()
}

/// Whether every node of the plan said what it holds.
pub(super) fn all_answered(observed: &Observed) -> bool {
    let mut seen = observed.nodes.values();
    seen.all(|seen| matches!(seen, Seen::State(_)))
}

pub(in crate::flow) fn planned(
    preview: &mut Preview,
    plan: &Plan,
    inventories: (Option<&Inventory>, &Inventory),
    against: Against,
    diffs: &Diffs,
) {
    preview.roll = Some(Roll::of(plan, inventories.0, inventories.1));
    preview.against = against;
    preview.diffs = diff::shared(diffs);
    if matches!(preview.verdict, Verdict::Refused) {
        return;
    }
    preview.verdict = match against {
        Against::Base => {
            let of = plan.turns.len() + plan.unchanged.len() + plan.skipped.len();
            Verdict::of_nodes(diffs, of)
        }
        Against::Nodes => Verdict::of_plan(plan),
    };
}
