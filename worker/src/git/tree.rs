//! A commit's tree as a snapshot. The tree is hostile: sizes are read from the object header before any
//! content, symlinks and submodules are kept as what they are, and every limit ends the reading.

use std::sync::Arc;

use git2::{Commit, ObjectType, Oid, Repository, Tree, TreeEntry};
use windlass_core::snapshot::{
    Entry, MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, Snapshot,
};

/// The modes of entries that are no plain files.
const SYMLINK: i32 = 0o120_000;

/// Reads every file below `folder` (the whole tree where it is empty) of a commit.
pub fn snapshot_of(
    repository: &Repository,
    commit: &Commit<'_>,
    folder: &str,
) -> Result<Snapshot, git2::Error> {
    let named = (commit.id().to_string(), subject(commit));
    snapshot_of_tree(repository, commit.tree()?, named, folder)
}

/// The same of a tree that no commit holds, under the id and subject given.
pub(super) fn snapshot_of_tree<'repo>(
    repository: &'repo Repository,
    tree: Tree<'repo>,
    (commit, subject): (String, String),
    folder: &str,
) -> Result<Snapshot, git2::Error> {
    let mut filling = Filling::new(commit, subject);
    if let Some(tree) = subtree(repository, tree, folder)? {
        read(repository, &tree, "", 1, &mut filling)?;
    }
    Ok(filling.snapshot)
}

/// A snapshot while it is filled, holding itself to the limits.
pub(super) struct Filling {
    pub(super) snapshot: Snapshot,
    bytes: u64,
}

impl Filling {
    pub(super) fn new(commit: String, subject: String) -> Self {
        let snapshot = Snapshot {
            commit,
            subject,
            ..Snapshot::default()
        };
        Self { snapshot, bytes: 0 }
    }

    /// Whether the reading must end.
    pub(super) fn full(&self) -> bool {
        self.snapshot.over_limit.is_some()
    }

    pub(super) fn stop(&mut self, why: String) {
        self.snapshot.over_limit.get_or_insert(why);
    }

    pub(super) fn too_deep(&mut self, path: &str, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            self.stop(format!(
                "{path} lies deeper than {MAX_DEPTH} folders; deeper trees are not read"
            ));
        }
        self.full()
    }

    /// Whether a file of this size still fits; one that is too large for itself is entered as such.
    pub(super) fn admits(&mut self, path: &str, size: u64) -> bool {
        if size > MAX_FILE_BYTES {
            self.put(path.to_owned(), Entry::TooLarge(size));
            return false;
        }
        self.bytes += size;
        if self.bytes > MAX_TOTAL_BYTES {
            self.stop(format!(
                "the files have more than {} MiB together",
                MAX_TOTAL_BYTES / 1024 / 1024
            ));
        }
        !self.full()
    }

    pub(super) fn put(&mut self, path: String, entry: Entry) {
        if self.snapshot.entries.len() >= MAX_FILES {
            self.stop(format!("there are more than {MAX_FILES} files"));
            return;
        }
        self.snapshot.entries.insert(path, entry);
    }
}

pub(super) fn subject(commit: &Commit<'_>) -> String {
    let bytes = commit.summary_bytes().unwrap_or_default();
    String::from_utf8_lossy(bytes).chars().take(200).collect()
}

fn subtree<'repo>(
    repository: &'repo Repository,
    tree: Tree<'repo>,
    folder: &str,
) -> Result<Option<Tree<'repo>>, git2::Error> {
    let folder = folder.trim_matches('/');
    if folder.is_empty() {
        return Ok(Some(tree));
    }
    match tree.get_path(std::path::Path::new(folder)) {
        Ok(entry) if entry.kind() == Some(ObjectType::Tree) => {
            repository.find_tree(entry.id()).map(Some)
        }
        Ok(_) => Ok(None),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(
    repository: &Repository,
    tree: &Tree<'_>,
    prefix: &str,
    depth: usize,
    filling: &mut Filling,
) -> Result<(), git2::Error> {
    for entry in tree {
        let Ok(name) = std::str::from_utf8(entry.name_bytes()) else {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            filling.stop(format!("the name {prefix}{name} is not UTF-8"));
            return Ok(());
        };
        let path = format!("{prefix}{name}");
        match entry.kind() {
            Some(ObjectType::Tree) => {
                if !filling.too_deep(&path, depth + 1) {
                    let inner = repository.find_tree(entry.id())?;
                    read(repository, &inner, &format!("{path}/"), depth + 1, filling)?;
                }
            }
            Some(ObjectType::Blob) => blob(repository, &entry, path, filling)?,
            // The kind of a gitlink is a commit that this repository need not have.
            _ => filling.put(path, Entry::Submodule),
        }
        if filling.full() {
            return Ok(());
        }
    }
    Ok(())
}

fn blob(
    repository: &Repository,
    entry: &TreeEntry<'_>,
    path: String,
    filling: &mut Filling,
) -> Result<(), git2::Error> {
    if entry.filemode() == SYMLINK {
        filling.put(path, Entry::Symlink);
        return Ok(());
    }
    if filling.admits(&path, size_of(repository, entry.id())?) {
        let blob = repository.find_blob(entry.id())?;
        filling.put(path, Entry::File(Arc::from(blob.content())));
    }
    Ok(())
}

fn size_of(repository: &Repository, id: Oid) -> Result<u64, git2::Error> {
    let (size, _) = repository.odb()?.read_header(id)?;
    Ok(size as u64)
}
