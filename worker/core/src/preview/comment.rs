//! The one comment that a request gets for a cluster: first line the verdict, then what was found, the roll in
//! words and the differences. What does not fit into the forge's limit is left out from the end, whole files
//! first; the verdict, the bundle and what one may type survive.

use std::fmt::Write as _;

use super::limits::Limits;
use super::markdown::{code, codes, link};
use super::parts::{self, Part};
use super::status::{State, Status};
use super::verdict::counted;
use super::{Preview, Verdict};
use crate::ids::{ClusterName, Digest};

/// Room kept in each part for saying what was left out.
const NOTE: usize = 120;
const MOST_FILES: usize = 20;

/// By this line, and by its author, the comment is found again.
pub fn marker(cluster: &ClusterName) -> String {
    format!("<!-- windlass:{cluster} -->")
}

/// What the comment says of itself below its marker, for a worker that was told nothing of the request: what was looked at,
/// and what was reviewed thereby.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    pub head: String,
    pub base: String,
    pub bundle: Option<Digest>,
    /// What may be released after the merge, because it is not what was reviewed.
    pub waits: Option<Digest>,
}

impl Mark {
    pub(super) fn of(preview: &Preview) -> Self {
        Self {
            head: preview.request.head.clone(),
            base: preview.request.base.clone(),
            bundle: preview.bundle,
            waits: None,
        }
    }

    /// Only to be asked of a comment that is ours. `None`: an older version wrote it, or its limit left no room.
    pub fn read(comment: &str, cluster: &ClusterName) -> Option<Self> {
        let opening = opening(cluster);
        let mut lines = comment.lines().map(str::trim);
        let line = lines.find_map(|line| line.strip_prefix(&opening))?;
        let mut mark = Self::default();
        for word in line.strip_suffix("-->")?.split_whitespace() {
            match word.split_once('=')? {
                ("head", head) => head.clone_into(&mut mark.head),
                ("base", base) => base.clone_into(&mut mark.base),
                ("bundle", digest) => mark.bundle = Some(digest.parse().ok()?),
                ("waits", digest) => mark.waits = Some(digest.parse().ok()?),
                // Of a newer version.
                _ => {}
            }
        }
        Some(mark)
    }

    fn line(&self, cluster: &ClusterName) -> String {
        let mut line = opening(cluster);
        // A commit is a hash; whatever else a forge may say does not come in here.
        let is_hash = |text: &str| {
            !text.is_empty()
                && text.len() <= 64
                && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        for (word, commit) in [("head", &self.head), ("base", &self.base)] {
            if is_hash(commit) {
                _ = write!(line, "{word}={commit} ");
            }
        }
        for (word, digest) in [("bundle", self.bundle), ("waits", self.waits)] {
            if let Some(digest) = digest {
                _ = write!(line, "{word}={digest} ");
            }
        }
        line.push_str("-->");
        line
    }
}

fn opening(cluster: &ClusterName) -> String {
    format!("<!-- windlass:{cluster}/looked ")
}

pub fn comment(preview: &Preview, limits: &Limits) -> String {
    let head = Head {
        first: format!(
            "**Windlass on {}: {}**",
            preview.cluster,
            preview.headline()
        ),
        rest: about(preview),
        mark: Mark::of(preview),
    };
    compose(preview, &head, parts::all(preview, limits), limits)
}

/// Why a request that was not merged is not looked at any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Closed,
    /// It is against another branch now.
    Elsewhere,
}

impl Left {
    fn words(self) -> &'static str {
        match self {
            Self::Closed => "closed without being merged, nothing is rolled",
            Self::Elsewhere => "against another branch now, merging it rolls nothing here",
        }
    }
}

/// What then stands in the place of the comment, and of the status.
pub fn left(cluster: &ClusterName, why: Left) -> (String, Status) {
    let (words, marker) = (why.words(), marker(cluster));
    let text = format!("**Windlass on {cluster}: {words}**\n{marker}\n");
    (text, Status::new(cluster, State::Success, words))
}

pub(super) struct Head {
    pub(super) first: String,
    pub(super) rest: String,
    pub(super) mark: Mark,
}

pub(super) fn compose(preview: &Preview, head: &Head, parts: Vec<Part>, limits: &Limits) -> String {
    let marker = marker(&preview.cluster);
    let mark = head.mark.line(&preview.cluster);
    let top = format!("{}\n{marker}\n{mark}\n\n{}", head.first, head.rest);
    let foot = foot(preview);
    let rest = limits.minus(&top).and_then(|rest| rest.minus(&foot));
    let Some(mut rest) = rest else {
        return shortest(&head.first, &marker, limits);
    };
    let mut text = top;
    for part in parts {
        let shown = fitting(&part, rest);
        if let Some(left) = rest.minus(&shown) {
            rest = left;
            text.push_str(&shown);
        }
    }
    text.push_str(&foot);
    text
}

/// As many items as fit, from the first on; the rest are counted.
fn fitting(part: &Part, limits: Limits) -> String {
    let mut text = part.title.to_owned();
    for (index, item) in part.items.iter().enumerate() {
        let left = part.items.len() - index + part.lost;
        let room = limits.minus(&text).and_then(|rest| rest.minus(item));
        let is_enough = |rest: Limits| left == 1 || rest.bytes.min(rest.characters) >= NOTE;
        if !room.is_some_and(is_enough) {
            text.push_str(&left_out(left, part.what));
            return text;
        }
        text.push_str(item);
    }
    if part.lost > 0 {
        text.push_str(&left_out(part.lost, part.what));
    }
    text
}

fn left_out(count: usize, what: &str) -> String {
    format!("\n{} more left out here.\n\n", counted(count, what))
}

/// For a limit that holds nothing else.
fn shortest(first: &str, marker: &str, limits: &Limits) -> String {
    let both = format!("{first}\n{marker}\n");
    if limits.minus(&both).is_some() {
        return both;
    }
    // Every character of our own first line is one byte; what is cut off is not Markdown any more.
    let most = limits.bytes.min(limits.characters);
    first.chars().filter(char::is_ascii).take(most).collect()
}

fn about(preview: &Preview) -> String {
    let request = &preview.request;
    let short = |commit: &str| code(commit.get(..12).unwrap_or(commit));
    let mut text = format!(
        "{} merged into {} at {}.",
        short(&request.head),
        code(&request.branch),
        short(&request.base)
    );
    if let Some(who) = &preview.held {
        _ = write!(
            text,
            "\n\nHeld by {}: once merged, nothing is rolled until someone types `windlass release`.",
            code(who)
        );
    }
    let why = match &preview.verdict {
        Verdict::Conflicted { files } => Some(codes(files.iter().map(String::as_str), MOST_FILES)),
        Verdict::NotRun { why } | Verdict::Withheld { why } | Verdict::Failed { why } => {
            Some(code(why))
        }
        _ => None,
    };
    if let Some(why) = why {
        _ = write!(text, "\n\n{why}");
    }
    let skipped = preview.roll.as_ref().map_or(0, |roll| roll.skipped.len());
    if skipped > 0 {
        _ = write!(text, " {} left out.", counted(skipped, "node"));
    }
    if !preview.findings.is_empty() {
        _ = write!(text, " {}.", preview.count());
    }
    text.push_str("\n\n");
    text
}

fn foot(preview: &Preview) -> String {
    let mut text = "\n---\n\n".to_owned();
    let page = preview.page.as_deref();
    if let Some(link) = page.and_then(|page| link("The full preview", page)) {
        _ = writeln!(text, "{link}.");
    }
    if let Some(bundle) = &preview.bundle {
        _ = writeln!(text, "Bundle `{bundle}` is what was reviewed here.");
    }
    let mut explained: Vec<&str> = Vec::new();
    for shown in &preview.findings {
        let code = shown.finding.code.as_str();
        if !explained.contains(&code) && explained.len() < 3 {
            explained.push(code);
        }
    }
    let example = explained.first().unwrap_or(&"CODE");
    _ = writeln!(
        text,
        "Type `windlass preview` to look again, `windlass hold` or `windlass release` to keep a merge from rolling \
         or let it, `windlass retry` after a roll went back, `windlass explain {example}` to be told more."
    );
    text
}
