//! How a roll ended, in words: the same on the terminal, in the log and wherever else it is told.

use std::fmt::Write as _;

use crate::finding::{Findings, Severity};
use crate::ids::NodeName;
use crate::outcome::{Failure, Outcome};
use crate::plan::Plan;

pub fn text(outcome: &Outcome, plan: Option<&Plan>) -> String {
    let mut text = outcome.word().to_owned();
    if let Some(plan) = plan {
        let commit: String = plan.commit.chars().take(12).collect();
        _ = write!(text, ": {commit} {}", plan.subject);
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
            text.push_str("  this bundle is not tried again until the repository changes (or `windlass roll --retry`)\n");
        }
        Outcome::Refused { findings } => refused(&mut text, findings),
        Outcome::Stuck { nodes, failure } => {
            if let Some(failure) = failure {
                failed(&mut text, failure);
            }
            for stuck in nodes {
                _ = writeln!(
                    text,
                    "  {} is stuck: {}\n    {}",
                    stuck.node, stuck.why, stuck.mend
                );
            }
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

fn behind(text: &mut String, skipped: &[NodeName]) {
    if !skipped.is_empty() {
        _ = writeln!(
            text,
            "  behind, because they could not be reached: {}",
            names(skipped)
        );
    }
}

fn failed(text: &mut String, failure: &Failure) {
    _ = writeln!(
        text,
        "  {}: {} failed: {}",
        failure.node, failure.step, failure.what
    );
    _ = writeln!(text, "    {}", failure.message);
    for line in &failure.log {
        let line: String = line
            .chars()
            .map(|c| if c.is_control() { '·' } else { c })
            .collect();
        _ = writeln!(text, "    | {line}");
    }
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
