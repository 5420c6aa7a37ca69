//! What changes on one node, file by file, and why. Compared are the release that the node confirmed last, the
//! release it should hold, and what was changed there by hand.

use std::collections::{BTreeMap, BTreeSet};

use super::{ChangeKind, FileChange};
use crate::ids::NodePath;
use crate::observed::DriftKind;
use crate::release::{FileMeta, ReleaseMeta};

/// The changes from `base` to `target`. Files in `drift` are changed even where the releases agree.
pub(super) fn changes(
    base: Option<&ReleaseMeta>,
    target: &ReleaseMeta,
    drift: &BTreeMap<NodePath, DriftKind>,
) -> Vec<FileChange> {
    let no_files = BTreeMap::new();
    let old_files = base.map_or(&no_files, |base| &base.files);
    let sources = sources(base, target);
    let mut changes: Vec<FileChange> = target
        .files
        .iter()
        .filter_map(|(path, new)| {
            let old = old_files.get(path);
            let kind = kind_of(old, new, drift.get(path).copied())?;
            let mut because = reasons(&sources, old, Some(new));
            if drift.contains_key(path) {
                because.push(("the node".to_owned(), "changed by hand".to_owned()));
            }
            change(path, kind, old, Some(new), because)
        })
        .collect();
    let removed = old_files
        .iter()
        .filter(|(path, _)| !target.files.contains_key(*path));
    changes.extend(removed.filter_map(|(path, old)| {
        let because = reasons(&sources, Some(old), None);
        change(path, ChangeKind::Remove, Some(old), None, because)
    }));
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

fn kind_of(old: Option<&FileMeta>, new: &FileMeta, drift: Option<DriftKind>) -> Option<ChangeKind> {
    let Some(old) = old else {
        return Some(ChangeKind::Create);
    };
    match drift {
        Some(DriftKind::Missing) => return Some(ChangeKind::Create),
        Some(DriftKind::Modified) => return Some(ChangeKind::Replace),
        Some(DriftKind::Attributes) | None => {}
    }
    if old.digest != new.digest {
        Some(ChangeKind::Replace)
    } else if drift.is_some() || old.mode != new.mode || old.owner != new.owner {
        Some(ChangeKind::Attributes)
    } else {
        None
    }
}

fn change(
    path: &NodePath,
    kind: ChangeKind,
    old: Option<&FileMeta>,
    new: Option<&FileMeta>,
    because: Vec<(String, String)>,
) -> Option<FileChange> {
    let meta = new.or(old)?;
    Some(FileChange {
        path: path.clone(),
        kind,
        component: meta.component.clone(),
        before: old.map(|file| file.digest),
        after: new.map(|file| file.digest),
        secret: old.is_some_and(|file| file.secret) || new.is_some_and(|file| file.secret),
        serial: meta.serial,
        because,
    })
}

/// What is new, changed or gone since the base was rendered, of all that the node's files are made from.
fn sources<'a>(
    base: Option<&'a ReleaseMeta>,
    target: &'a ReleaseMeta,
) -> BTreeMap<&'a str, &'static str> {
    let before = |input: &String| base.and_then(|base| base.sources.get(input));
    let now = target.sources.iter().filter_map(|(input, digest)| {
        let word = match before(input) {
            None => "new",
            Some(before) if before != digest => "changed",
            Some(_) => return None,
        };
        Some((input.as_str(), word))
    });
    let gone = base.into_iter().flat_map(|base| base.sources.keys());
    let gone = gone.filter(|input| !target.sources.contains_key(*input));
    now.chain(gone.map(|input| (input.as_str(), "removed")))
        .collect()
}

/// Those of them that the file is made from, or was.
fn reasons(
    sources: &BTreeMap<&str, &'static str>,
    old: Option<&FileMeta>,
    new: Option<&FileMeta>,
) -> Vec<(String, String)> {
    let files = new.into_iter().chain(old);
    let inputs = files.flat_map(|file| &file.inputs);
    let told = inputs.filter_map(|input| Some((input, *sources.get(input.as_str())?)));
    let mut seen = BTreeSet::new();
    told.filter(|(input, _)| seen.insert(*input))
        .map(|(input, word)| (input.clone(), word.to_owned()))
        .collect()
}
