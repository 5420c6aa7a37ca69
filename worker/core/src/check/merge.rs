//! One mistake in a template shows up on every node that gets the file. People want to read it once.

use crate::finding::{Finding, Findings};

/// Findings that differ in nothing but their node become one that names none.
pub fn merged(findings: Findings) -> Findings {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        match kept.iter_mut().find(|other| same_cause(other, &finding)) {
            Some(other) if other.node != finding.node => other.node = None,
            Some(_) => {}
            None => kept.push(finding),
        }
    }
    kept.into_iter().collect()
}

/// The line's number may differ between nodes; its text may not.
fn same_cause(a: &Finding, b: &Finding) -> bool {
    let quoted = |finding: &Finding| {
        let excerpt = finding.excerpt.as_ref();
        excerpt.map(|excerpt| (excerpt.path.clone(), excerpt.text.clone()))
    };
    a.code == b.code
        && a.severity == b.severity
        && a.component == b.component
        && a.at == b.at
        && a.message == b.message
        && quoted(a) == quoted(b)
}
