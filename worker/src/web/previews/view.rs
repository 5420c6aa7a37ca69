//! A preview as the page shows it: lines with their numbers, findings beside them, boxes with their places. The
//! template only puts it down, and escapes all of it.

use std::collections::BTreeMap;

use serde::Serialize;
use windlass_core::finding::Severity;
use windlass_core::ids::NodeName;
use windlass_core::plan::{ChangeKind, Skipped};
use windlass_core::preview::{
    Against, Preview, Roll, Shown, State, TurnWords, Verdict, counted, status,
};
use windlass_core::report::diff::Shared;
use windlass_core::report::visible::clean;

use super::lines::{Line, beside, lines};

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
    nodes: Vec<OfNode>,
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

/// What changes on one node, each difference by its place among all of them.
#[derive(Debug, Serialize)]
struct OfNode {
    name: String,
    words: String,
    files: Vec<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    index: usize,
    path: String,
    words: String,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    nodes: Vec<String>,
    words: String,
    note: Option<String>,
    lines: Vec<Line>,
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
            nodes: of_nodes(&preview.diffs),
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

fn of_nodes(diffs: &[Shared]) -> Vec<OfNode> {
    let mut nodes: BTreeMap<&NodeName, Vec<Link>> = BTreeMap::new();
    for (index, shared) in diffs.iter().enumerate() {
        for node in &shared.nodes {
            nodes.entry(node).or_default().push(Link {
                index,
                path: shared.file.path.as_str().to_owned(),
                words: words(shared),
            });
        }
    }
    let nodes = nodes.into_iter();
    nodes
        .map(|(node, files)| OfNode {
            name: node.to_string(),
            words: counted(files.len(), "file"),
            files,
        })
        .collect()
}

fn words(shared: &Shared) -> String {
    let file = &shared.file;
    let verb = match file.kind {
        ChangeKind::Create => "new",
        ChangeKind::Replace => "changed",
        ChangeKind::Attributes => "other mode or owner",
        ChangeKind::Remove => "removed",
    };
    format!("{verb}, +{} −{}", file.added, file.removed)
}

fn shown(shared: &Shared, preview: &Preview) -> File {
    let file = &shared.file;
    let path = file.path.as_str();
    let beside = beside(path, &preview.findings);
    File {
        path: path.to_owned(),
        nodes: shared.nodes.iter().map(ToString::to_string).collect(),
        words: words(shared),
        note: file.note.as_deref().map(clean),
        lines: lines(file.diff.as_deref().unwrap_or_default(), beside),
    }
}
