//! How a roll ended, in words: the same on the terminal, in the log and wherever else it is told.

use std::fmt::Write as _;

use crate::finding::{Findings, Severity};
use crate::ids::NodeName;
use crate::outcome::{Failure, Outcome, StuckNode};
use crate::plan::Skipped;

/// `of`: the commit and its subject.
pub fn text(outcome: &Outcome, of: Option<(&str, &str)>) -> String {
    let mut text = outcome.word().to_owned();
    if let Some((commit, subject)) = of {
        let commit: String = commit.chars().take(12).collect();
        _ = write!(text, ": {commit} {}", clean(subject));
    }
    text.push('\n');
    match outcome {
        Outcome::Unchanged { skipped } => {
            text.push_str("  every node holds its release already\n");
            behind(&mut text, skipped);
        }
        Outcome::RolledOut { nodes, skipped } => {
            _ = writeln!(text, "  {} hold the new release", names(nodes));
            behind(&mut text, skipped);
        }
        Outcome::RolledBack {
            failure,
            nodes,
            kept,
        } => {
            failed(&mut text, failure);
            if !nodes.is_empty() {
                _ = writeln!(text, "  {} hold their old release again", names(nodes));
            }
            if !kept.is_empty() {
                _ = writeln!(
                    text,
                    "  {} keep the new release, as the policy says",
                    names(kept)
                );
            }
            if outcome.quarantines() {
                text.push_str("  this bundle is not tried again until the repository changes (or `windlass roll --retry`)\n");
            }
        }
        Outcome::Overtaken { by, nodes, left } => overtaken(&mut text, by, nodes, left),
        Outcome::TakenBack { nodes } if nodes.is_empty() => {
            text.push_str("  no node has a turn that could be taken back\n");
        }
        Outcome::TakenBack { nodes } => {
            _ = writeln!(text, "  {} hold their old release again", names(nodes));
        }
        Outcome::Refused { findings } => refused(&mut text, findings),
        Outcome::Stuck { nodes, failure } => {
            if let Some(failure) = failure {
                failed(&mut text, failure);
            }
            stuck(&mut text, nodes);
        }
    }
    text
}

fn names(nodes: &[NodeName]) -> String {
    nodes
        .iter()
        .map(NodeName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn overtaken(text: &mut String, by: &str, nodes: &[NodeName], left: &[NodeName]) {
    let by: String = by.chars().take(12).collect();
    _ = writeln!(text, "  ended for {by}, which is rolled instead");
    if !nodes.is_empty() {
        _ = writeln!(text, "  {} hold this release", names(nodes));
    }
    _ = writeln!(text, "  {} had not had their turn", names(left));
}

fn stuck(text: &mut String, nodes: &[StuckNode]) {
    for StuckNode { node, why, mend } in nodes {
        _ = writeln!(text, "  {node} is stuck: {}\n    {mend}", clean(why));
    }
}

fn behind(text: &mut String, skipped: &[Skipped]) {
    for Skipped { node, why } in skipped {
        _ = writeln!(text, "  {node} was skipped and is behind: {}", clean(why));
    }
}

fn failed(text: &mut String, failure: &Failure) {
    _ = writeln!(
        text,
        "  {}: {} failed: {}",
        failure.node,
        failure.step,
        clean(&failure.what)
    );
    _ = writeln!(text, "    {}", clean(&failure.message));
    for line in &failure.log {
        _ = writeln!(text, "    | {}", clean(line));
    }
}

/// What a node or a service said must not move a terminal's cursor.
fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '·' } else { c };
    text.chars().map(visible).collect()
}

fn refused(text: &mut String, findings: &Findings) {
    text.push_str("  no node was touched\n");
    for finding in findings {
        let word = if finding.severity == Severity::Error {
            "error"
        } else {
            "warning"
        };
        _ = writeln!(text, "  {word}[{}]: {}", finding.code, finding.message);
        if let Some(at) = &finding.at {
            let place = if at.line == 0 {
                at.file.clone()
            } else {
                format!("{}:{}:{}", at.file, at.line, at.column)
            };
            _ = writeln!(text, "    --> {place}");
        }
        if let Some(excerpt) = &finding.excerpt {
            _ = writeln!(
                text,
                "    {}:{} | {}",
                excerpt.path, excerpt.line, excerpt.text
            );
        }
        if let Some(hint) = &finding.hint {
            _ = writeln!(text, "    help: {hint}");
        }
    }
}
