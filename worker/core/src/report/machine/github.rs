//! Annotations of a GitHub Actions run (Gitea and Forgejo show them as well): a line for each finding. What is in a
//! message must not begin another command, so it is escaped as the runner unescapes it.

use std::fmt::Write as _;

use super::{whole, word};
use crate::finding::Findings;
use crate::report::visible::clean;

/// `verdict` is the last line, as a notice.
pub fn text(findings: &Findings, verdict: &str) -> String {
    let mut text = String::new();
    for finding in findings {
        let mut place = String::new();
        if let Some(at) = &finding.at {
            _ = write!(place, "file={},", property(&at.file));
            if at.line > 0 {
                _ = write!(place, "line={},", at.line);
            }
            if at.column > 0 {
                _ = write!(place, "col={},", at.column);
            }
        }
        let title = property(finding.code.as_str());
        let message = data(&whole(finding));
        _ = writeln!(text, "::{} {place}title={title}::{message}", word(finding));
    }
    _ = writeln!(text, "::notice title=windlass::{}", data(verdict));
    text
}

/// Line breaks are ours: `whole` has written out all others.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(&clean(text)).replace(':', "%3A").replace(',', "%2C")
}
