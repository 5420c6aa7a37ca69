//! How files differ, for people. The difference of a secret file is only that it changed: a keyed fingerprint of
//! its old and new content lets people see whether two nodes got the same, and tells nobody what.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use similar::TextDiff;

use crate::ids::{Digest, NodeName, NodePath};
use crate::plan::{ChangeKind, FileChange, Plan};
use crate::release::{Bundle, FileMeta, Release};

/// Lines of unchanged text around a change.
const CONTEXT: usize = 3;
/// Two long texts that have nothing in common would take minutes; after this the difference is only less short.
const LONGEST: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileDiff {
    pub path: NodePath,
    pub kind: ChangeKind,
    /// Added and removed lines; 0 for secret and binary files.
    pub added: usize,
    pub removed: usize,
    /// A unified diff; absent for secret and binary files.
    pub diff: Option<String>,
    /// Instead of the difference: "changed (fingerprint a1b2c3d4 → e5f60718)", "binary".
    pub note: Option<String>,
}

/// Makes fingerprints of secret content that only this key's holder could make.
pub struct Fingerprints<'k>(pub &'k [u8]);

impl Fingerprints<'_> {
    /// Of a content that is known by its digest alone; "none" of a file that is not there.
    fn of(&self, digest: Option<&Digest>) -> String {
        let Some(digest) = digest else {
            return "none".to_owned();
        };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0) else {
            return "?".to_owned();
        };
        mac.update(digest.as_bytes());
        mac.finalize()
            .into_bytes()
            .iter()
            .take(4)
            .fold(String::new(), |mut text, byte| {
                _ = write!(text, "{byte:02x}");
                text
            })
    }

    fn note(&self, before: Option<&Digest>, after: Option<&Digest>) -> String {
        let (before, after) = (self.of(before), self.of(after));
        format!("changed (fingerprint {before} → {after})")
    }
}

struct Side<'a> {
    meta: &'a FileMeta,
    content: Option<&'a [u8]>,
}

/// How a node's release differs from another; a missing one counts as empty.
pub fn releases(
    before: Option<&Release>,
    after: Option<&Release>,
    keys: &Fingerprints<'_>,
) -> Vec<FileDiff> {
    fn sides(release: Option<&Release>) -> BTreeMap<&NodePath, Side<'_>> {
        let files = release.into_iter().flat_map(|release| {
            release.meta.files.iter().map(|(path, meta)| {
                (
                    path,
                    Side {
                        meta,
                        content: release.contents.get(path).map(AsRef::as_ref),
                    },
                )
            })
        });
        files.collect()
    }
    let (old, new) = (sides(before), sides(after));
    let mut paths: Vec<&NodePath> = old.keys().chain(new.keys()).copied().collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter_map(|path| file(path, old.get(path), new.get(path), keys))
        .collect()
}

/// How the plan's changes differ from what the nodes hold; `held` are the nodes' contents of the changed files.
pub fn of_plan(
    plan: &Plan,
    held: &BTreeMap<NodeName, BTreeMap<NodePath, Vec<u8>>>,
    bundle: &Bundle,
    keys: &Fingerprints<'_>,
) -> BTreeMap<NodeName, Vec<FileDiff>> {
    let none = BTreeMap::new();
    plan.turns
        .iter()
        .map(|(node, turn)| {
            let held = held.get(node).unwrap_or(&none);
            let contents = bundle.releases.get(node).map(|release| &release.contents);
            let diffs = turn.changes.iter().map(|change| {
                let old = held.get(&change.path).map(Vec::as_slice);
                let new = contents.and_then(|contents| contents.get(&change.path));
                planned(change, old, new.map(AsRef::as_ref), keys)
            });
            (node.clone(), diffs.collect())
        })
        .collect()
}

fn planned(
    change: &FileChange,
    old: Option<&[u8]>,
    new: Option<&[u8]>,
    keys: &Fingerprints<'_>,
) -> FileDiff {
    let (path, kind) = (&change.path, change.kind);
    if kind == ChangeKind::Attributes {
        return noted(path, kind, "mode or owner".to_owned());
    }
    if change.secret {
        let note = keys.note(change.before.as_ref(), change.after.as_ref());
        return noted(path, kind, note);
    }
    match (kind, old, new) {
        (ChangeKind::Create, _, Some(new)) => texts(path, kind, b"", new),
        (ChangeKind::Remove, Some(old), _) => texts(path, kind, old, b""),
        (ChangeKind::Replace, Some(old), Some(new)) => texts(path, kind, old, new),
        _ => noted(path, kind, "the old content could not be read".to_owned()),
    }
}

fn file(
    path: &NodePath,
    old: Option<&Side<'_>>,
    new: Option<&Side<'_>>,
    keys: &Fingerprints<'_>,
) -> Option<FileDiff> {
    let kind = match (old, new) {
        (None, Some(_)) => ChangeKind::Create,
        (Some(_), None) => ChangeKind::Remove,
        (Some(old), Some(new)) if old.meta.digest != new.meta.digest => ChangeKind::Replace,
        (Some(old), Some(new))
            if (&old.meta.mode, &old.meta.owner) != (&new.meta.mode, &new.meta.owner) =>
        {
            ChangeKind::Attributes
        }
        _ => return None,
    };
    if kind == ChangeKind::Attributes {
        let attributes = |side: Option<&Side<'_>>| {
            side.map(|side| format!("{} {}", side.meta.mode, side.meta.owner))
                .unwrap_or_default()
        };
        return Some(noted(
            path,
            kind,
            format!("{} → {}", attributes(old), attributes(new)),
        ));
    }
    if [old, new]
        .into_iter()
        .flatten()
        .any(|side| side.meta.secret)
    {
        let digest = |side: Option<&Side<'_>>| side.map(|side| side.meta.digest);
        let note = keys.note(digest(old).as_ref(), digest(new).as_ref());
        return Some(noted(path, kind, note));
    }
    let content = |side: Option<&Side<'_>>| {
        side.and_then(|side| side.content)
            .unwrap_or_default()
            .to_vec()
    };
    Some(texts(path, kind, &content(old), &content(new)))
}

fn noted(path: &NodePath, kind: ChangeKind, note: String) -> FileDiff {
    FileDiff {
        path: path.clone(),
        kind,
        added: 0,
        removed: 0,
        diff: None,
        note: Some(note),
    }
}

fn texts(path: &NodePath, kind: ChangeKind, old: &[u8], new: &[u8]) -> FileDiff {
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return noted(path, kind, "binary".to_owned());
    };
    let diff = TextDiff::configure().timeout(LONGEST).diff_lines(old, new);
    let (mut added, mut removed) = (0, 0);
    for change in diff.iter_all_changes() {
        match change.tag() {
            similar::ChangeTag::Insert => added += 1,
            similar::ChangeTag::Delete => removed += 1,
            similar::ChangeTag::Equal => {}
        }
    }
    let text = diff.unified_diff().context_radius(CONTEXT).to_string();
    FileDiff {
        path: path.clone(),
        kind,
        added,
        removed,
        diff: Some(text),
        note: None,
    }
}

/// A difference with all nodes that it is made on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shared {
    pub nodes: Vec<NodeName>,
    #[serde(flatten)]
    pub file: FileDiff,
}

/// What several nodes have in common once.
pub fn shared(nodes: &BTreeMap<NodeName, Vec<FileDiff>>) -> Vec<Shared> {
    let mut groups: Vec<Shared> = Vec::new();
    let mut of_path: BTreeMap<&NodePath, Vec<usize>> = BTreeMap::new();
    for (node, files) in nodes {
        for file in files {
            let known = of_path.entry(&file.path).or_default();
            match known.iter().find(|index| groups[**index].file == *file) {
                Some(index) => groups[*index].nodes.push(node.clone()),
                None => {
                    known.push(groups.len());
                    groups.push(Shared {
                        nodes: vec![node.clone()],
                        file: file.clone(),
                    });
                }
            }
        }
    }
    groups
}

/// All differences as text; what several nodes have in common is shown once.
pub fn text(nodes: &BTreeMap<NodeName, Vec<FileDiff>>, colour: bool) -> String {
    let mut text = String::new();
    for Shared { nodes, file } in shared(nodes) {
        let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
        let title = format!("{} on {}", file.path, names.join(", "));
        _ = writeln!(text, "{}", paint(&title, "1", colour));
        if let Some(note) = &file.note {
            _ = writeln!(text, "  {note}");
        }
        for line in file.diff.iter().flat_map(|diff| diff.lines()) {
            let code = match line.as_bytes().first() {
                Some(b'+') => "32",
                Some(b'-') => "31",
                Some(b'@') => "36",
                _ => "0",
            };
            // What a template wrote must not move a terminal's cursor.
            let line: String = line
                .chars()
                .map(|c| if c.is_control() && c != '\t' { '·' } else { c })
                .collect();
            _ = writeln!(text, "{}", paint(&line, code, colour));
        }
        text.push('\n');
    }
    if text.is_empty() {
        text.push_str("no difference\n");
    }
    text
}

fn paint(text: &str, code: &str, colour: bool) -> String {
    if colour && code != "0" {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
