//! What goes into the sandbox and what comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use windlass_core::finding::Findings;
use windlass_core::ids::{Digest, NodeName};
use windlass_core::release::{Bundle, Release, ReleaseMeta};
use windlass_core::snapshot::{Entry, Snapshot};

use super::super::packed;
use super::stubs::Stubs;

#[derive(Serialize, Deserialize)]
struct Question {
    stubs: Stubs,
    commit: String,
    subject: String,
    over_limit: Option<String>,
    entries: Vec<(String, Kind)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    File,
    Symlink,
    Submodule,
    TooLarge(u64),
}

/// What rendering came to; no bundle where there are errors.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) findings: Findings,
    pub(super) bundle: Option<Bundle>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    findings: Findings,
    bundle: Option<Meta>,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    commit: String,
    releases: BTreeMap<NodeName, ReleaseMeta>,
    incomplete: Findings,
    pending: BTreeSet<String>,
}

pub(super) fn ask(snapshot: &Snapshot, stubs: &Stubs) -> Result<Vec<u8>> {
    let entries = snapshot.entries.iter();
    let kinds = entries.clone().map(|(path, entry)| {
        let kind = match entry {
            Entry::File(_) => Kind::File,
            Entry::Symlink => Kind::Symlink,
            Entry::Submodule => Kind::Submodule,
            Entry::TooLarge(size) => Kind::TooLarge(*size),
        };
        (path.clone(), kind)
    });
    let question = Question {
        stubs: stubs.clone(),
        commit: snapshot.commit.clone(),
        subject: snapshot.subject.clone(),
        over_limit: snapshot.over_limit.clone(),
        entries: kinds.collect(),
    };
    let contents = entries.filter_map(|(_, entry)| match entry {
        Entry::File(bytes) => Some(&**bytes),
        _ => None,
    });
    let mut bytes = Vec::new();
    packed::write(&mut bytes, &question, contents)?;
    Ok(bytes)
}

pub(super) fn asked(input: impl Read) -> Result<(Snapshot, Stubs)> {
    let (question, contents): (Question, _) = packed::read(input)?;
    let mut contents = contents.into_iter();
    let mut snapshot = Snapshot {
        commit: question.commit,
        subject: question.subject,
        over_limit: question.over_limit,
        ..Snapshot::default()
    };
    for (path, kind) in question.entries {
        let entry = match kind {
            Kind::File => {
                let bytes = contents.next().ok_or(ErrorKind::UnexpectedEof)?;
                Entry::File(Arc::from(bytes))
            }
            Kind::Symlink => Entry::Symlink,
            Kind::Submodule => Entry::Submodule,
            Kind::TooLarge(size) => Entry::TooLarge(size),
        };
        snapshot.entries.insert(path, entry);
    }
    Ok((snapshot, question.stubs))
}

pub(super) fn answer(answer: &Answer, output: impl Write) -> Result<()> {
    let mut contents: BTreeMap<Digest, &[u8]> = BTreeMap::new();
    let bundle = answer.bundle.as_ref();
    for release in bundle
        .into_iter()
        .flat_map(|bundle| bundle.releases.values())
    {
        for (path, bytes) in &release.contents {
            if let Some(meta) = release.meta.files.get(path) {
                contents.insert(meta.digest, bytes);
            }
        }
    }
    let meta = |bundle: &Bundle| Meta {
        commit: bundle.commit.clone(),
        releases: bundle
            .releases
            .iter()
            .map(|(node, release)| (node.clone(), release.meta.clone()))
            .collect(),
        incomplete: bundle.incomplete.iter().cloned().collect(),
        pending: bundle.pending.clone(),
    };
    let head = Head {
        findings: answer.findings.clone(),
        bundle: bundle.map(meta),
    };
    packed::write(output, &head, contents.into_values())
}

/// Nothing that comes is believed: what a file holds is what has its digest, and a release is what its files are.
pub(super) fn answered(bytes: &[u8]) -> Result<Answer> {
    let (head, contents): (Head, _) = packed::read(bytes)?;
    let contents = contents.into_iter();
    let contents: BTreeMap<Digest, Arc<[u8]>> = contents
        .map(|bytes| (Digest::of(&bytes), Arc::from(bytes)))
        .collect();
    let bundle = head
        .bundle
        .map(|meta| bundle(meta, &contents))
        .transpose()?;
    Ok(Answer {
        findings: head.findings,
        bundle,
    })
}

fn bundle(meta: Meta, contents: &BTreeMap<Digest, Arc<[u8]>>) -> Result<Bundle> {
    let mut releases = BTreeMap::new();
    for (node, mut meta) in meta.releases {
        meta.node = node.clone();
        meta.digest = Release::digest_of(&meta.files, &meta.components);
        let mut held = BTreeMap::new();
        for (path, file) in &meta.files {
            let missing = || Error::new(ErrorKind::InvalidData, format!("{path} has no content"));
            let content = contents.get(&file.digest).ok_or_else(missing)?;
            held.insert(path.clone(), Arc::clone(content));
        }
        let release = Release {
            meta,
            contents: held,
        };
        releases.insert(node, release);
    }
    let mut bundle = Bundle::new(meta.commit, releases);
    bundle.incomplete = meta.incomplete.into_iter().collect();
    bundle.pending = meta.pending;
    Ok(bundle)
}
