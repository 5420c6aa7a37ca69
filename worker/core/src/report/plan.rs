//! The plan in words: who takes a turn in which order, what changes there and why, what is done, what must hold.

use std::fmt::Write as _;

use crate::plan::{ChangeKind, FileChange, Plan, Turn};

/// More causes than anyone reads are counted.
const MOST_CAUSES: usize = 3;

pub fn text(plan: &Plan) -> String {
    let commit: String = plan.commit.chars().take(12).collect();
    let mut text = format!(
        "Cluster {}, commit {commit} {}\n",
        plan.cluster, plan.subject
    );
    _ = writeln!(
        text,
        "Bundle {}, fence {}\n",
        plan.bundle.short(),
        plan.fence
    );
    let mut number = 0;
    for wave in &plan.waves {
        for node in wave {
            if let Some(turn) = plan.turns.get(node) {
                number += 1;
                let beside = if wave.len() > 1 {
                    " (side by side with its wave)"
                } else {
                    ""
                };
                _ = writeln!(text, "{number}. {node}{beside}");
                turn_text(&mut text, turn);
            }
        }
    }
    for node in plan.unchanged.keys() {
        _ = writeln!(text, "   {node}: nothing to do");
    }
    for skipped in &plan.skipped {
        _ = writeln!(text, "   {}: skipped, {}", skipped.node, skipped.why);
    }
    for finding in &plan.findings {
        let word = match finding.severity {
            crate::finding::Severity::Error => "error",
            crate::finding::Severity::Warning => "warning",
        };
        _ = writeln!(text, "\n{word}[{}]: {}", finding.code, finding.message);
        if let Some(hint) = &finding.hint {
            _ = writeln!(text, "  help: {hint}");
        }
    }
    let changes: usize = plan.turns.values().map(|turn| turn.changes.len()).sum();
    let verdict = if plan.findings.has_errors() {
        "; it would be refused"
    } else {
        ""
    };
    _ = writeln!(
        text,
        "\n{} nodes change, {changes} files{verdict}",
        plan.turns.len()
    );
    text
}

fn turn_text(text: &mut String, turn: &Turn) {
    for change in &turn.changes {
        let sign = match change.kind {
            ChangeKind::Create => "+",
            ChangeKind::Remove => "-",
            ChangeKind::Replace => "~",
            ChangeKind::Attributes => "=",
        };
        _ = writeln!(
            text,
            "     {sign} {}{}{}",
            change.path,
            secret(change),
            because(change)
        );
    }
    let mut list = |title: &str, labels: Vec<&str>| {
        if !labels.is_empty() {
            _ = writeln!(text, "     {title}: {}", labels.join(", "));
        }
    };
    list(
        "drain",
        turn.drain
            .iter()
            .map(|command| command.label.as_str())
            .collect(),
    );
    list(
        "then",
        turn.forward
            .iter()
            .map(|command| command.label.as_str())
            .collect(),
    );
    list(
        "undrain",
        turn.undrain
            .iter()
            .map(|command| command.label.as_str())
            .collect(),
    );
    list(
        "may replace",
        turn.adopt.iter().map(|path| path.as_str()).collect(),
    );
    for gate in &turn.gates {
        _ = writeln!(text, "     gate: {}", gate.label);
    }
}

fn secret(change: &FileChange) -> &'static str {
    if change.secret { " (secret)" } else { "" }
}

fn because(change: &FileChange) -> String {
    if change.because.is_empty() {
        return String::new();
    }
    let mut causes: Vec<String> = change
        .because
        .iter()
        .take(MOST_CAUSES)
        .map(|(file, what)| format!("{file} {what}"))
        .collect();
    if change.because.len() > MOST_CAUSES {
        causes.push(format!("{} more", change.because.len() - MOST_CAUSES));
    }
    format!("   because {}", causes.join(", "))
}
