//! A preview as the page shows it: lines with their numbers, findings beside them, boxes with their places. The
//! template only puts it down, and escapes all of it.

use std::collections::BTreeMap;

use serde::Serialize;
use windlass_core::finding::Severity;
use windlass_core::plan::{ChangeKind, Skipped};
use windlass_core::preview::{
    Against, Preview, Roll, Shown, State, TurnWords, Verdict, counted, status,
};
use windlass_core::report::diff::Shared;
use windlass_core::report::visible::clean;

/// Lines of one file; a browser must stay usable.
const MOST_LINES: usize = 5000;

#[derive(Debug, Serialize)]
pub(super) struct View {
    cluster: String,
    number: u64,
    headline: String,
    state: &'static str,
    head: String,
    base: String,
    branch: String,
    bundle: Option<String>,
    why: Vec<String>,
    findings: Vec<Told>,
    #[serde(flatten)]
    drawing: super::drawing::Drawing,
    turns: Vec<Turn>,
    skipped: Vec<Skipped>,
    radius: String,
    against: &'static str,
    files: Vec<File>,
    left_out: usize,
}

#[derive(Debug, Serialize)]
struct Told {
    severity: &'static str,
    text: String,
}

#[derive(Debug, Serialize)]
struct Turn {
    node: String,
    files: String,
    parts: Vec<(&'static str, Vec<String>)>,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    nodes: String,
    words: String,
    note: Option<String>,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) class: &'static str,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) text: String,
}

impl View {
    pub(super) fn of(preview: &Preview) -> Self {
        let request = &preview.request;
        let none = Roll::default();
        let roll = preview.roll.as_ref().unwrap_or(&none);
        Self {
            cluster: preview.cluster.to_string(),
            number: request.number,
            headline: preview.headline(),
            state: match status(preview).state {
                State::Pending => "pending",
                State::Success => "success",
                State::Failure => "failure",
                State::Error => "error",
            },
            head: clean(&request.head),
            base: clean(&request.base),
            branch: clean(&request.branch),
            bundle: preview.bundle.map(|bundle| bundle.to_string()),
            why: why(&preview.verdict),
            findings: preview.findings.iter().map(told).collect(),
            drawing: super::drawing::Drawing::of(roll),
            turns: roll.turns.iter().map(turn).collect(),
            skipped: roll.skipped.iter().map(skipped).collect(),
            radius: roll.radius.words(),
            against: match preview.against {
                Against::Nodes => "Against what the nodes hold",
                Against::Base => "Against the base, because not every node could be asked",
            },
            files: preview
                .diffs
                .iter()
                .map(|file| shown(file, preview))
                .collect(),
            left_out: preview.left_out,
        }
    }
}

fn why(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Conflicted { files } => files.iter().map(|file| clean(file)).collect(),
        Verdict::NotRun { why } | Verdict::Withheld { why } | Verdict::Failed { why } => {
            vec![clean(why)]
        }
        _ => Vec::new(),
    }
}

fn severity(shown: &Shown) -> &'static str {
    match shown.finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Line breaks of this text are the report's own.
fn told(shown: &Shown) -> Told {
    let lines: Vec<String> = shown.text.lines().map(clean).collect();
    Told {
        severity: severity(shown),
        text: lines.join("\n"),
    }
}

fn skipped(skipped: &Skipped) -> Skipped {
    Skipped {
        node: skipped.node.clone(),
        why: clean(&skipped.why),
    }
}

fn turn(turn: &TurnWords) -> Turn {
    let parts = [
        ("drains with", &turn.drain),
        ("then", &turn.actions),
        ("until", &turn.gates),
        ("undrains with", &turn.undrain),
        ("because", &turn.because),
    ];
    let parts = parts.into_iter().filter(|(_, texts)| !texts.is_empty());
    Turn {
        node: turn.node.to_string(),
        files: counted(turn.files, "file"),
        parts: parts
            .map(|(word, texts)| (word, texts.iter().map(|text| clean(text)).collect()))
            .collect(),
    }
}

fn shown(shared: &Shared, preview: &Preview) -> File {
    let file = &shared.file;
    let verb = match file.kind {
        ChangeKind::Create => "new",
        ChangeKind::Replace => "changed",
        ChangeKind::Attributes => "other mode or owner",
        ChangeKind::Remove => "removed",
    };
    let nodes: Vec<&str> = shared.nodes.iter().map(|node| node.as_str()).collect();
    let path = file.path.as_str();
    let beside = beside(path, &preview.findings);
    File {
        path: path.to_owned(),
        nodes: nodes.join(", "),
        words: format!("{verb}, +{} −{}", file.added, file.removed),
        note: file.note.as_deref().map(clean),
        lines: lines(file.diff.as_deref().unwrap_or_default(), beside),
    }
}

/// What was found in this rendered file, by line.
fn beside<'a>(path: &str, findings: &'a [Shown]) -> BTreeMap<u32, Vec<&'a Shown>> {
    let mut beside: BTreeMap<u32, Vec<&Shown>> = BTreeMap::new();
    for shown in findings {
        if let Some(excerpt) = shown.finding.excerpt.as_ref().filter(|e| e.path == path) {
            beside.entry(excerpt.line).or_default().push(shown);
        }
    }
    beside
}

fn lines(diff: &str, mut beside: BTreeMap<u32, Vec<&Shown>>) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut old, mut new) = (0_u32, 0_u32);
    for text in diff.lines().take(MOST_LINES) {
        let (class, numbers) = match text.as_bytes().first() {
            Some(b'@') => {
                (old, new) = begins(text);
                ("hunk", (None, None))
            }
            Some(b'+') => ("new", (None, Some(&mut new))),
            Some(b'-') => ("old", (Some(&mut old), None)),
            Some(b' ') => ("same", (Some(&mut old), Some(&mut new))),
            _ => ("hunk", (None, None)),
        };
        let number = |count: Option<&mut u32>| {
            let count = count?;
            let now = *count;
            *count += 1;
            Some(now)
        };
        let (before, after) = (number(numbers.0), number(numbers.1));
        let word = |number: Option<u32>| number.map(|n| n.to_string()).unwrap_or_default();
        lines.push(Line {
            class,
            old: word(before),
            new: word(after),
            text: clean(&text.replace('\t', "    ")),
        });
        let found = after.and_then(|after| beside.remove(&after));
        lines.extend(found.into_iter().flatten().map(note));
    }
    // What was found in lines that do not change.
    lines.extend(beside.into_values().flatten().map(note));
    lines
}

fn note(shown: &Shown) -> Line {
    let finding = &shown.finding;
    Line {
        class: match finding.severity {
            Severity::Error => "note",
            Severity::Warning => "note warning",
        },
        old: String::new(),
        new: String::new(),
        text: format!("{}: {}", finding.code, clean(&finding.message)),
    }
}

/// The first line numbers of `@@ -3,4 +5,6 @@`.
fn begins(hunk: &str) -> (u32, u32) {
    let mut numbers = hunk.split([' ', ',']).filter_map(|part| {
        let number = part.strip_prefix(['-', '+'])?;
        number.parse().ok()
    });
    (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_numbers() {
        let diff =
            "@@ -3,3 +3,3 @@\n same\n-gone\n+come\n same\n@@ -20 +21 @@\n-x\n\\ No newline\n";
        let lines = lines(diff, BTreeMap::new());
        let shown: Vec<String> = lines
            .iter()
            .map(|line| format!("{}:{}:{}", line.class, line.old, line.new))
            .collect();
        let expected = [
            "hunk::", "same:3:3", "old:4:", "new::4", "same:5:5", "hunk::", "old:20:", "hunk::",
        ];
        assert_eq!(shown, expected);
    }
}
