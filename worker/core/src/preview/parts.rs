//! The parts of a comment, each a list of items that are left out whole where they do not fit.

use std::fmt::Write as _;

use super::limits::Limits;
use super::markdown::{code, codes, fence, html};
use super::verdict::counted;
use super::{Against, Preview, Roll, TurnWords};
use crate::ids::NodeName;
use crate::plan::ChangeKind;
use crate::report::diff::Shared;

/// More names than anyone reads are counted.
const MOST: usize = 8;

pub(super) struct Part {
    /// Stands before the first item.
    pub(super) title: &'static str,
    pub(super) items: Vec<String>,
    /// What is counted where items are left out.
    pub(super) what: &'static str,
    /// So many more there were, and were not kept.
    pub(super) lost: usize,
}

pub(super) fn all(preview: &Preview, limits: &Limits) -> Vec<Part> {
    let mut parts = vec![findings(preview)];
    parts.extend(preview.roll.as_ref().map(roll));
    parts.push(diffs(preview, limits));
    parts.retain(|part| !part.items.is_empty() || part.lost > 0);
    parts
}

fn findings(preview: &Preview) -> Part {
    let shown = preview.findings.iter();
    Part {
        title: "#### Findings\n\n",
        items: shown
            .map(|shown| format!("{}\n", fence("text", shown.text.lines())))
            .collect(),
        what: "finding",
        lost: 0,
    }
}

fn roll(roll: &Roll) -> Part {
    let mut items: Vec<String> = Vec::new();
    for (index, words) in roll.turns.iter().enumerate() {
        let wave = |turn: &TurnWords| turn.wave;
        let beside = roll.turns.iter().filter(|other| other.wave == wave(words));
        items.push(turn(index + 1, words, beside.count() > 1));
    }
    if !roll.unchanged.is_empty() {
        let names = nodes(&roll.unchanged);
        items.push(format!("- nothing to do on {names}\n"));
    }
    for skipped in &roll.skipped {
        let why = code(&skipped.why);
        items.push(format!("- **{}** is skipped: {why}\n", skipped.node));
    }
    items.push(format!("\n{}\n\n", roll.radius.words()));
    Part {
        title: "#### The roll\n\n",
        items,
        what: "line",
        lost: 0,
    }
}

fn turn(number: usize, turn: &TurnWords, beside: bool) -> String {
    let mut text = format!(
        "{number}. **{}**{}: {}",
        turn.node,
        if beside {
            " (side by side with its wave)"
        } else {
            ""
        },
        counted(turn.files, "file")
    );
    let lists = [
        ("drains with", &turn.drain),
        ("then", &turn.actions),
        ("until", &turn.gates),
        ("undrains with", &turn.undrain),
        ("because", &turn.because),
    ];
    for (word, list) in lists {
        if !list.is_empty() {
            let list = codes(list.iter().map(String::as_str), MOST);
            _ = write!(text, "; {word} {list}");
        }
    }
    if !turn.replaced.is_empty() {
        let paths = codes(turn.replaced.iter().map(|path| path.as_str()), MOST);
        _ = write!(text, "; replaces what was changed by hand: {paths}");
    }
    text.push('\n');
    text
}

fn diffs(preview: &Preview, limits: &Limits) -> Part {
    let title = match preview.against {
        Against::Nodes => "#### Against what the nodes hold\n\n",
        Against::Base => "#### Against the base, because not every node could be asked\n\n",
    };
    let files = preview.diffs.iter();
    Part {
        title,
        items: files.map(|file| diff(file, limits)).collect(),
        what: "file",
        lost: preview.left_out,
    }
}

fn diff(shared: &Shared, limits: &Limits) -> String {
    let file = &shared.file;
    let verb = match file.kind {
        ChangeKind::Create => "new",
        ChangeKind::Replace => "changed",
        ChangeKind::Attributes => "other mode or owner",
        ChangeKind::Remove => "removed",
    };
    let on = nodes(&shared.nodes);
    let lines = file.diff.as_deref().unwrap_or_default();
    let count = lines.lines().count();
    let size = format!("+{} −{}", file.added, file.removed);
    if count == 0 {
        let note = file.note.as_deref().map(|note| format!(", {}", code(note)));
        let path = code(file.path.as_str());
        return format!("- {path} on {on}: {verb}{}\n\n", note.unwrap_or_default());
    }
    let block = fence("diff", lines.lines());
    if count > limits.folded_above {
        let path = html(file.path.as_str());
        return format!(
            "<details><summary><code>{path}</code> on {on}: {verb}, {size}</summary>\n\n{block}\n</details>\n\n"
        );
    }
    let path = code(file.path.as_str());
    format!("{path} on {on}: {verb}, {size}\n\n{block}\n")
}

/// Their names hold nothing that Markdown or HTML knows.
fn nodes(names: &[NodeName]) -> String {
    let shown: Vec<&str> = names.iter().take(MOST).map(NodeName::as_str).collect();
    let mut text = shown.join(", ");
    if names.len() > MOST {
        _ = write!(text, " and {} more", names.len() - MOST);
    }
    text
}
