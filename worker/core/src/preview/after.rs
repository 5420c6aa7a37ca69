//! The same comment after the merge: how the roll went.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::comment::{Head, Mark, compose};
use super::limits::Limits;
use super::markdown::{code, codes, fence};
use super::parts::{self, Part};
use super::{Preview, Shown};
use crate::codes::Code;
use crate::codes::plan::{DIVERGED, HELD, QUARANTINED};
use crate::finding::{Finding, Severity};
use crate::ids::{NodeName, NodePath};
use crate::outcome::{Failure, Outcome};
use crate::plan::Skipped;
use crate::snapshot::Snapshot;

/// More names than anyone reads are counted.
const MOST: usize = 8;

/// What came after the merge.
#[derive(Debug, Clone, Copy)]
pub struct After<'a> {
    /// What was told before the merge.
    pub reviewed: &'a Preview,
    /// What was planned after it, where that was something else.
    pub planned: Option<&'a Preview>,
    pub outcome: &'a Outcome,
}

pub fn after(told: After<'_>, limits: &Limits) -> String {
    let After {
        reviewed, outcome, ..
    } = told;
    let mut head = Head {
        first: format!(
            "**Windlass on {}: {}**",
            reviewed.cluster,
            headline(outcome)
        ),
        rest: rest(outcome),
        mark: Mark::of(reviewed),
    };
    let mut parts = refusal(outcome);
    let Some(planned) = told.planned else {
        parts.extend(parts::all(reviewed, limits));
        return compose(reviewed, &head, parts, limits);
    };
    head.rest.push_str(&diverged(reviewed, planned, outcome));
    head.mark.waits = planned.bundle.filter(|_| waits(outcome));
    parts.extend(parts::all(planned, limits));
    let shown = Preview {
        bundle: reviewed.bundle,
        ..planned.clone()
    };
    compose(&shown, &head, parts, limits)
}

/// Nothing is wrong with it: it is not rolled until someone says so.
pub fn waits(outcome: &Outcome) -> bool {
    is_refused_for(outcome, &[HELD, DIVERGED])
}

/// It only says that what went back before is not tried again by itself: how it went back says more.
pub fn repeats(outcome: &Outcome) -> bool {
    is_refused_for(outcome, &[QUARANTINED])
}

fn is_refused_for(outcome: &Outcome, codes: &[Code]) -> bool {
    let Outcome::Refused { findings } = outcome else {
        return false;
    };
    let mut errors = findings
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .peekable();
    errors.peek().is_some() && errors.all(|found| codes.contains(&found.code))
}

/// Why it waits, where someone holds it.
pub(super) fn held(outcome: &Outcome) -> Option<&Finding> {
    match outcome {
        Outcome::Refused { findings } if waits(outcome) => {
            findings.iter().find(|found| found.code == HELD)
        }
        _ => None,
    }
}

/// How what was planned after the merge is another thing than what was reviewed.
fn diverged(reviewed: &Preview, planned: &Preview, outcome: &Outcome) -> String {
    let what = if let Outcome::Refused { .. } = outcome {
        "would be rolled"
    } else {
        "was rolled"
    };
    let bundle = |preview: &Preview| {
        preview
            .bundle
            .map_or_else(|| "none".to_owned(), |digest| code(&digest.to_string()))
    };
    let mut text = match reviewed.bundle {
        Some(_) => format!(
            "**This is not what was reviewed.** The comment showed bundle {}, and {} {what}, at {}.",
            bundle(reviewed),
            bundle(planned),
            code(planned.request.base.get(..12).unwrap_or_default()),
        ),
        None => format!(
            "**This was not reviewed:** it was merged before it had been looked at to the end. Bundle {} {what}.",
            bundle(planned)
        ),
    };
    let others = differing(reviewed, planned);
    if reviewed.bundle.is_some() && !others.is_empty() {
        let others = codes(others.iter().map(NodePath::as_str), MOST);
        _ = write!(text, " Not as reviewed: {others}.");
    }
    text.push_str(" What follows is the new plan.");
    if waits(outcome) {
        text.push_str(" Type `windlass release` to have it rolled.");
    }
    text.push_str("\n\n");
    text
}

/// The files whose differences are not the ones that were reviewed.
fn differing(reviewed: &Preview, planned: &Preview) -> BTreeSet<NodePath> {
    let is_whole = |preview: &Preview| preview.left_out == 0;
    if reviewed.against != planned.against || !is_whole(reviewed) || !is_whole(planned) {
        return BTreeSet::new();
    }
    let each = |preview: &Preview| -> BTreeSet<(NodePath, NodeName, Option<String>)> {
        let diffs = preview.diffs.iter();
        let nodes = diffs.flat_map(|shared| {
            let file = &shared.file;
            let nodes = shared.nodes.iter();
            nodes.map(|node| (file.path.clone(), node.clone(), file.diff.clone()))
        });
        nodes.collect()
    };
    let (old, new) = (each(reviewed), each(planned));
    let differing = old.symmetric_difference(&new);
    differing.map(|(path, ..)| path.clone()).collect()
}

/// "rolled back (vps2, gates)"; nothing in it is of the request.
pub(super) fn headline(outcome: &Outcome) -> String {
    let word = outcome.word();
    match outcome {
        Outcome::Unchanged { .. } => format!("{word}, every node held it already"),
        Outcome::RolledOut { nodes, skipped } if skipped.is_empty() => {
            format!("{word} to {}", names(nodes))
        }
        Outcome::RolledOut { nodes, skipped } => {
            let behind: Vec<NodeName> = skipped.iter().map(|one| one.node.clone()).collect();
            format!("{word} to {}; behind: {}", names(nodes), names(&behind))
        }
        Outcome::RolledBack { failure, .. } => {
            format!("{word} ({}, {})", failure.node, step(failure))
        }
        Outcome::Overtaken { by, .. } => {
            let by = by.get(..12).unwrap_or(by);
            format!("{word}, {by} is rolled instead")
        }
        Outcome::TakenBack { nodes } => format!("{word} on {}", names(nodes)),
        Outcome::Refused { .. } if held(outcome).is_some() => {
            "merged, and held until someone releases it".to_owned()
        }
        Outcome::Refused { .. } if waits(outcome) => {
            "merged, and waits: this is not what was reviewed".to_owned()
        }
        Outcome::Refused { .. } => format!("{word}, no node was touched"),
        Outcome::Stuck { nodes, .. } => {
            let nodes: Vec<NodeName> = nodes.iter().map(|stuck| stuck.node.clone()).collect();
            format!("{word} on {}, a person must act", names(&nodes))
        }
    }
}

fn rest(outcome: &Outcome) -> String {
    let mut text = String::new();
    match outcome {
        Outcome::Unchanged { skipped } | Outcome::RolledOut { skipped, .. } => {
            for Skipped { node, why } in skipped {
                _ = writeln!(text, "- **{node}** is behind: {}", code(why));
            }
        }
        Outcome::RolledBack {
            failure,
            nodes,
            kept,
        } => {
            text.push_str(&failed(failure));
            _ = writeln!(text, "{} hold their old release again.", names(nodes));
            if !kept.is_empty() {
                _ = writeln!(
                    text,
                    "{} keep the new release, as the policy says.",
                    names(kept)
                );
            }
            if outcome.quarantines() {
                text.push_str("This bundle is not tried again until the repository changes, or someone types `windlass retry`.\n");
            }
        }
        Outcome::Overtaken { nodes, left, .. } => {
            _ = writeln!(
                text,
                "A newer commit came while it was rolled, and the policy goes on with that one from here: this one reached {}, and not {}.",
                names(nodes),
                names(left)
            );
        }
        Outcome::TakenBack { .. } | Outcome::Refused { .. } => {}
        Outcome::Stuck { nodes, failure } => {
            text.extend(failure.iter().map(failed));
            for stuck in nodes {
                let (why, mend) = (code(&stuck.why), code(&stuck.mend));
                _ = writeln!(text, "- **{}**: {why}; {mend}", stuck.node);
            }
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn failed(failure: &Failure) -> String {
    let (what, message) = (code(&failure.what), code(&failure.message));
    let mut text = format!("**{}**: {what} failed: {message}\n\n", failure.node);
    if !failure.log.is_empty() {
        let lines: Vec<String> = failure.log.iter().map(|line| format!("| {line}")).collect();
        text.push_str(&fence("text", lines.iter().map(String::as_str)));
        text.push('\n');
    }
    text
}

fn refusal(outcome: &Outcome) -> Vec<Part> {
    let Outcome::Refused { findings } = outcome else {
        return Vec::new();
    };
    let shown = Shown::all(findings, &Snapshot::default());
    let texts = shown.iter().map(|shown| fence("text", shown.text.lines()));
    vec![Part {
        title: "#### Why\n\n",
        items: texts.map(|text| format!("{text}\n")).collect(),
        what: "finding",
        lost: 0,
    }]
}

/// A step is our own word; anything else would be a node's.
pub(super) fn step(failure: &Failure) -> &str {
    let own = |c: char| c.is_ascii_lowercase() || c == '-';
    if failure.step.chars().all(own) {
        &failure.step
    } else {
        "a step"
    }
}

fn names(nodes: &[NodeName]) -> String {
    let shown: Vec<&str> = nodes.iter().take(MOST).map(NodeName::as_str).collect();
    match nodes.len() {
        0 => "no node".to_owned(),
        count if count > MOST => format!("{} and {} more", shown.join(", "), count - MOST),
        _ => shown.join(", "),
    }
}
