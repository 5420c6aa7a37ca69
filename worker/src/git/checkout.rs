//! Snapshots of a checkout that a person works in: of what lies there now, committed or not, or of any
//! revision. A working tree is read like a hostile one: links are not followed.

use std::fs::{self, DirEntry, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{Commit, Index, IndexAddOption, Repository, Tree};
use windlass_core::snapshot::{Entry, MAX_FILE_BYTES, Snapshot};

use super::merge::{self, Merged};
use super::tree::{self, Filling};
use super::{GitError, limits};

/// What stands in a commit's place, and in its subject's.
const WORKTREE: (&str, &str) = ("worktree", "uncommitted changes");
/// Before the repository's own files, which have 1 and 2.
const PREFERRED: i32 = 1000;

/// What Git would see in this folder: files it tracks and new ones that it does not ignore. Works in a folder
/// that is no repository as well.
pub fn snapshot_worktree(dir: &Path) -> Result<Snapshot, GitError> {
    limits::apply();
    let dir = canonical(dir)?;
    let (name, subject) = WORKTREE;
    let mut filling = Filling::new(name.to_owned(), subject.to_owned());
    Worktree::open(&dir).read(&dir, "", 1, &mut filling)?;
    Ok(filling.snapshot)
}

/// The same folder at a revision (`HEAD~2`, a branch, a commit).
pub fn snapshot_rev(dir: &Path, rev: &str) -> Result<Snapshot, GitError> {
    limits::apply();
    let dir = canonical(dir)?;
    let none = |error: git2::Error| no_commit(rev, &error);
    let repository = Repository::discover(&dir).map_err(none)?;
    let commit = commit(&repository, rev).map_err(none)?;
    tree::snapshot_of(&repository, &commit, &folder(&repository, &dir)).map_err(none)
}

/// What merging `head`, or without one the working tree, into `base` would give. Nothing is written: whatever objects
/// that makes are kept in memory.
pub fn merged(dir: &Path, base: &str, head: Option<&str>) -> Result<Merged, GitError> {
    limits::apply();
    let dir = canonical(dir)?;
    let of_base = |error: git2::Error| no_commit(base, &error);
    let repository = Repository::discover(&dir).map_err(of_base)?;
    let objects = repository.odb().map_err(of_base)?;
    let _kept = objects
        .add_new_mempack_backend(PREFERRED)
        .map_err(of_base)?;
    let within = folder(&repository, &dir);
    let into = commit(&repository, base).map_err(of_base)?;
    if let Some(rev) = head {
        let of_head = |error: git2::Error| no_commit(rev, &error);
        let head = commit(&repository, rev).map_err(of_head)?;
        return merge::commits(&repository, (&into, &head), &within).map_err(of_head);
    }
    let of_head = |error: git2::Error| no_commit("HEAD", &error);
    let head = commit(&repository, "HEAD").map_err(of_head)?;
    let holds = head.id() == into.id() || descends(&repository, &head, &into);
    if holds {
        // It is read as every other command reads it.
        return Ok(Merged::Clean {
            tree: String::new(),
            snapshot: snapshot_worktree(&dir)?,
        });
    }
    let changed = changed(&repository).map_err(of_head)?;
    let named = (WORKTREE.0.to_owned(), WORKTREE.1.to_owned());
    merge::trees(&repository, (&into, &head), (&changed, named), &within).map_err(of_head)
}

fn descends(repository: &Repository, commit: &Commit<'_>, from: &Commit<'_>) -> bool {
    let descends = repository.graph_descendant_of(commit.id(), from.id());
    descends.unwrap_or(false)
}

/// The working tree with what is new in it and not ignored; the index on disk stays as it is.
fn changed(repository: &Repository) -> Result<Tree<'_>, git2::Error> {
    let mut index = repository.index()?;
    index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
    repository.find_tree(index.write_tree()?)
}

fn commit<'repo>(repository: &'repo Repository, rev: &str) -> Result<Commit<'repo>, git2::Error> {
    repository.revparse_single(rev)?.peel_to_commit()
}

fn no_commit(rev: &str, error: &git2::Error) -> GitError {
    GitError::NoCommit {
        rev: rev.to_owned(),
        why: error.message().to_owned(),
    }
}

/// The commit that `HEAD` names and whether the folder differs from it; `None` outside of a repository.
pub fn head(dir: &Path) -> Option<String> {
    limits::apply();
    let repository = Repository::discover(dir).ok()?;
    let commit = repository.head().ok()?.peel_to_commit().ok()?;
    Some(commit.id().to_string())
}

fn canonical(dir: &Path) -> Result<PathBuf, GitError> {
    dir.canonicalize().map_err(|error| unreadable(dir, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> GitError {
    GitError::Unreadable {
        path: path.display().to_string(),
        why: error.to_string(),
    }
}

/// The folder's path within its repository, with `/`.
fn folder(repository: &Repository, dir: &Path) -> String {
    let root = repository.workdir().and_then(|dir| dir.canonicalize().ok());
    let inner = root.as_deref().and_then(|root| dir.strip_prefix(root).ok());
    inner
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// What is needed to know whether Git ignores a path.
struct Worktree {
    repository: Option<(Repository, Index)>,
    /// The folder read, within the repository, with a trailing slash unless empty.
    prefix: String,
}

impl Worktree {
    fn open(dir: &Path) -> Self {
        let repository = Repository::discover(dir)
            .ok()
            .filter(|repository| !repository.is_bare())
            .and_then(|repository| {
                let index = repository.index().ok()?;
                Some((repository, index))
            });
        let inner = repository
            .as_ref()
            .map(|(repository, _)| folder(repository, dir))
            .unwrap_or_default();
        let prefix = if inner.is_empty() { inner } else { inner + "/" };
        Self { repository, prefix }
    }

    fn ignores(&self, path: &str, is_dir: bool) -> bool {
        let Some((repository, index)) = &self.repository else {
            return false;
        };
        let path = format!("{}{path}", self.prefix);
        // A tracked file stays tracked, whatever an ignore file says of it.
        let tracked = if is_dir {
            index.find_prefix(format!("{path}/")).is_ok()
        } else {
            index.get_path(Path::new(&path), 0).is_some()
        };
        let asked = if is_dir { path + "/" } else { path };
        !tracked && repository.is_path_ignored(asked).unwrap_or(false)
    }

    fn read(
        &self,
        dir: &Path,
        prefix: &str,
        depth: usize,
        filling: &mut Filling,
    ) -> Result<(), GitError> {
        let entries = fs::read_dir(dir).map_err(|error| unreadable(dir, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(dir, &error))?;
            self.enter(&entry, prefix, depth, filling)?;
            if filling.full() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn enter(
        &self,
        entry: &DirEntry,
        prefix: &str,
        depth: usize,
        filling: &mut Filling,
    ) -> Result<(), GitError> {
        let name = entry.file_name();
        if name == ".git" {
            return Ok(());
        }
        let Some(name) = name.to_str() else {
            filling.stop(format!(
                "the name {prefix}{} is not UTF-8",
                name.to_string_lossy()
            ));
            return Ok(());
        };
        let path = format!("{prefix}{name}");
        let kind = entry
            .file_type()
            .map_err(|error| unreadable(&entry.path(), &error))?;
        if self.ignores(&path, kind.is_dir()) {
            return Ok(());
        }
        if kind.is_symlink() {
            filling.put(path, Entry::Symlink);
        } else if kind.is_dir() {
            if entry.path().join(".git").exists() {
                filling.put(path, Entry::Submodule);
            } else if !filling.too_deep(&path, depth + 1) {
                self.read(&entry.path(), &format!("{path}/"), depth + 1, filling)?;
            }
        } else if kind.is_file() {
            file(&entry.path(), path, filling)?;
        }
        Ok(())
    }
}

fn file(real: &Path, path: String, filling: &mut Filling) -> Result<(), GitError> {
    let failed = |error: std::io::Error| unreadable(real, &error);
    let file = File::open(real).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if !filling.admits(&path, size) {
        return Ok(());
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    filling.put(path, Entry::File(Arc::from(bytes)));
    Ok(())
}
