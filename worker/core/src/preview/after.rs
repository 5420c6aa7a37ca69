//! The same comment after the merge: how the roll went.

use std::fmt::Write as _;

use super::comment::{Head, compose};
use super::limits::Limits;
use super::markdown::{code, fence};
use super::parts::{self, Part};
use super::{Preview, Shown};
use crate::ids::NodeName;
use crate::outcome::{Failure, Outcome};
use crate::plan::Skipped;
use crate::snapshot::Snapshot;

pub fn after(preview: &Preview, outcome: &Outcome, limits: &Limits) -> String {
    let head = Head {
        first: format!("**Windlass on {}: {}**", preview.cluster, headline(outcome)),
        rest: rest(outcome),
    };
    let mut parts = refusal(outcome);
    parts.extend(parts::all(preview, limits));
    compose(preview, &head, parts, limits)
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
        Outcome::Refused { .. } => {}
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
    }]
}

/// A step is our own word; anything else would be a node's.
fn step(failure: &Failure) -> &str {
    let own = |c: char| c.is_ascii_lowercase() || c == '-';
    if failure.step.chars().all(own) {
        &failure.step
    } else {
        "a step"
    }
}

fn names(nodes: &[NodeName]) -> String {
    const MOST: usize = 8;
    let shown: Vec<&str> = nodes.iter().take(MOST).map(NodeName::as_str).collect();
    match nodes.len() {
        0 => "no node".to_owned(),
        count if count > MOST => format!("{} and {} more", shown.join(", "), count - MOST),
        _ => shown.join(", "),
    }
}
