//! Findings for programs that show them beside the lines: code scanning, test reports, annotations of a run.

pub mod github;
pub mod junit;
pub mod sarif;

#[cfg(test)]
mod tests;

use crate::finding::{Finding, Severity};

fn word(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// The message with what a terminal would show below it.
fn whole(finding: &Finding) -> String {
    let mut text = super::visible::clean(&finding.message);
    let mut add = |words: &str, more: &str| {
        text.push_str(words);
        text.push_str(&super::visible::clean(more));
    };
    if let Some(excerpt) = &finding.excerpt {
        let place = format!("{}:{}", excerpt.path, excerpt.line);
        add("\nin the rendered file ", &place);
        add(": ", excerpt.text.trim());
    }
    if let Some(node) = &finding.node {
        add("\non ", node.as_str());
    }
    for (at, why) in &finding.related {
        add("\n", &format!("{}:{}: {why}", at.file, at.line));
    }
    if let Some(hint) = &finding.hint {
        add("\nhelp: ", hint);
    }
    text
}
