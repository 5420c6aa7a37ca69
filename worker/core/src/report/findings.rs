//! Findings as text, in the way compilers tell of mistakes: the line, a caret, what would mend it. All of it
//! comes from a repository that may be hostile, so control characters (which could move a terminal's cursor
//! or reverse a line) never get through, long lines are cropped, and secret files are never quoted.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::visible::{clean, is_hidden};
use crate::finding::{Excerpt, Finding, Findings, Location, Severity};
use crate::snapshot::Snapshot;

/// More findings than anyone reads are counted, not shown.
const MOST_SHOWN: usize = 200;
/// Characters of a line shown before and after the place.
const BEFORE: usize = 80;
const AFTER: usize = 120;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Colour,
}

/// All findings and a last line that counts them; nothing where there are none.
pub fn text(findings: &Findings, snapshot: &Snapshot, style: Style) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    for finding in findings.iter().take(MOST_SHOWN) {
        text.push_str(&one(finding, snapshot, style));
        text.push_str("\n\n");
    }
    if findings.len() > MOST_SHOWN {
        text.push_str(&format!(
            "and {} more findings\n",
            findings.len() - MOST_SHOWN
        ));
    }
    text.push_str(&summary(findings));
    text.push('\n');
    text
}

/// One finding, without a line break at its end.
pub fn one(finding: &Finding, snapshot: &Snapshot, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    renderer.render(&groups(finding, snapshot))
}

/// "2 errors, 1 warning".
pub fn summary(findings: &Findings) -> String {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    let counts = [(errors, "error"), (findings.len() - errors, "warning")];
    let words: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() {
        "no findings".to_owned()
    } else {
        words.join(", ")
    }
}

fn groups(finding: &Finding, snapshot: &Snapshot) -> Vec<Group<'static>> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut main = Group::with_title(
        level
            .primary_title(clean(&finding.message))
            .id(finding.code.as_str()),
    );
    if let Some(at) = &finding.at {
        main = place(main, at, snapshot, AnnotationKind::Primary);
    }
    if let Some(place) = where_it_runs(finding) {
        main = main.element(Level::NOTE.message(place));
    }
    if let Some(hint) = finding
        .hint
        .as_deref()
        .filter(|_| finding.related.is_empty() && finding.excerpt.is_none())
    {
        return vec![main.element(Level::HELP.message(clean(hint)))];
    }
    let mut groups = vec![main];
    groups.extend(finding.excerpt.as_ref().map(excerpt));
    groups.extend(finding.related.iter().map(|(at, why)| {
        let group = Group::with_title(Level::NOTE.secondary_title(clean(why)));
        place(group, at, snapshot, AnnotationKind::Context)
    }));
    groups.extend(
        finding
            .hint
            .as_deref()
            .map(|hint| Group::with_title(Level::HELP.secondary_title(clean(hint)))),
    );
    groups
}

fn where_it_runs(finding: &Finding) -> Option<String> {
    match (&finding.node, &finding.component) {
        (Some(node), Some(component)) => Some(format!("{component} on {node}")),
        (Some(node), None) => Some(format!("on {node}")),
        (None, Some(component)) => Some(format!("in {component}")),
        (None, None) => None,
    }
}

/// The line with a caret; where the line is not known or not to be shown, the place alone.
fn place(
    group: Group<'static>,
    at: &Location,
    snapshot: &Snapshot,
    kind: AnnotationKind,
) -> Group<'static> {
    let file = clean(&at.file);
    if let Some((line, span)) = quoted_line(at, snapshot) {
        let number = usize::try_from(at.line).unwrap_or(usize::MAX);
        let snippet = Snippet::<Annotation<'_>>::source(line)
            .line_start(number)
            .path(file)
            .annotation(kind.span(span));
        return group.element(snippet);
    }
    let mut origin = Origin::path(file);
    if at.line > 0 {
        origin = origin.line(usize::try_from(at.line).unwrap_or(usize::MAX));
    }
    if at.column > 0 {
        origin = origin.char_column(usize::try_from(at.column).unwrap_or(usize::MAX));
    }
    group.element(origin)
}

/// The source line, cleaned and cropped, and the bytes in it that are meant.
fn quoted_line(at: &Location, snapshot: &Snapshot) -> Option<(String, Range<usize>)> {
    if at.line == 0 || is_secret(&at.file) {
        return None;
    }
    let text = std::str::from_utf8(snapshot.file(&at.file)?).ok()?;
    let line = text.lines().nth(usize::try_from(at.line).ok()? - 1)?;
    let column = usize::try_from(at.column).ok()?.saturating_sub(1);
    let skipped = column.saturating_sub(BEFORE);
    let visible: Vec<char> = line
        .chars()
        .skip(skipped)
        .take(BEFORE + AFTER)
        .map(visible)
        .collect();
    let start = (column - skipped).min(visible.len());
    let end = start + token_length(&visible[start..]);
    let bytes = |chars: &[char]| chars.iter().map(|c| c.len_utf8()).sum::<usize>();
    let span = bytes(&visible[..start])..bytes(&visible[..end]);
    Some((visible.into_iter().collect(), span))
}

/// How many characters belong to the value that begins here.
fn token_length(rest: &[char]) -> usize {
    let length = match rest.first() {
        None => 0,
        Some(quote @ ('"' | '\'')) => rest
            .iter()
            .skip(1)
            .position(|c| c == quote)
            .map_or(rest.len(), |end| end + 2),
        Some(_) => rest
            .iter()
            .position(|c| c.is_whitespace() || ",]}".contains(*c))
            .unwrap_or(rest.len()),
    };
    length.max(usize::from(!rest.is_empty()))
}

fn excerpt(excerpt: &Excerpt) -> Group<'static> {
    let line: String = excerpt
        .text
        .chars()
        .take(BEFORE + AFTER)
        .map(visible)
        .collect();
    let span = line.len() - line.trim_start().len()..line.len();
    let number = usize::try_from(excerpt.line).unwrap_or(usize::MAX);
    let snippet = Snippet::<Annotation<'_>>::source(line)
        .line_start(number)
        .path(clean(&excerpt.path))
        .annotation(AnnotationKind::Primary.span(span));
    Group::with_title(Level::NOTE.secondary_title("in the rendered file")).element(snippet)
}

fn is_secret(path: &str) -> bool {
    path.starts_with("secrets/")
        || [".age", ".pem", ".key"]
            .iter()
            .any(|end| path.ends_with(end))
}

/// A character that can be shown in its own place.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_hidden(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::definitions::{DUPLICATE_HOST, WRONG_VALUE};
    use crate::model::{example, load};

    fn broken_repository() -> Snapshot {
        let mut snapshot = example::with(
            "sites/wiki.yaml",
            "hosts: [blog.example.org, wiki.example.net]\non: { role: egde }\nport: 8081\n",
        );
        for (path, text) in [
            ("sites/tabs.yaml", "hosts:\n\t- x\n"),
            ("nodes/vps3.yaml", "roles: [edge]\nadresses: {}\n"),
            ("site/lost.yaml", "hosts: []\n"),
            (
                "zones/example.net.yaml",
                "contact: a@example.net\nprimary: { rolle: x }\n",
            ),
            (
                "forwards/ssh.yaml",
                "listen: 70000\non: { role: edge }\nto: { address: 192.0.2.1, port: 22 }\n",
            ),
            (
                "certificates/x.yaml",
                "names: [a.example.org]\nnames: [b.example.org]\n",
            ),
        ] {
            example::put(&mut snapshot, path, text);
        }
        snapshot
    }

    #[test]
    fn a_broken_repository_is_told_of_like_a_broken_program() {
        let snapshot = broken_repository();
        insta::assert_snapshot!(text(&load(&snapshot).findings, &snapshot, Style::Plain));
    }

    #[test]
    fn cross_checks_point_at_both_places() {
        let snapshot = example::edited(
            "sites/shop.yaml",
            "www.example.org]",
            "\"blog.example.org\"]",
        );
        insta::assert_snapshot!(text(&load(&snapshot).findings, &snapshot, Style::Plain));
    }

    #[test]
    fn rendered_lines_are_quoted_and_counted() {
        let findings = Findings::from_iter([
            Finding::error(WRONG_VALUE, "unknown keyword 'bogus' in 'frontend' section")
                .at(Location::new("components/haproxy/haproxy.cfg.tera", 4, 0))
                .on(&"vps1".parse().unwrap())
                .of(&"haproxy".parse().unwrap())
                .quoting("/etc/haproxy/haproxy.cfg", 53, "    bogus 3")
                .hint("correct the line"),
            Finding::warning(DUPLICATE_HOST, "second"),
        ]);
        insta::assert_snapshot!(text(&findings, &Snapshot::default(), Style::Plain));
    }

    #[test]
    fn terminals_are_safe_from_what_files_hold() {
        let nasty = "hosts: \u{1b}[2J\u{202e}x\n";
        let snapshot = example::with("sites/\u{1b}.yaml", nasty);
        let findings = Findings::from_iter([Finding::error(WRONG_VALUE, "bad \u{7}\u{1b}]0;x")
            .at(Location::new("sites/\u{1b}.yaml", 1, 8))
            .quoting("/etc/\u{9b}x", 1, "\u{8}\r\n")
            .related(Location::new("sites/\u{1b}.yaml", 1, 1), "why \u{202e}")
            .hint("\u{85}")]);
        let shown = text(&findings, &snapshot, Style::Plain);
        let hidden: Vec<char> = shown
            .chars()
            .filter(|c| is_hidden(*c) && *c != '\n')
            .collect();
        assert_eq!(hidden, [], "{shown}");
        let coloured = text(&findings, &snapshot, Style::Colour);
        assert!(coloured.contains("\u{1b}[") && !coloured.contains("\u{1b}[2J"));
    }

    #[test]
    fn secret_files_are_never_quoted() {
        let snapshot = example::with("secrets/key.yaml", "key: swordfish\n");
        let at = Location::new("secrets/key.yaml", 1, 6);
        let findings = Findings::from_iter([Finding::error(WRONG_VALUE, "bad").at(at)]);
        let shown = text(&findings, &snapshot, Style::Plain);
        assert!(
            shown.contains("secrets/key.yaml:1:6") && !shown.contains("swordfish"),
            "{shown}"
        );
    }
}
