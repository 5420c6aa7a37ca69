//! The bare mirror of one cluster's repository in the state directory. It is only a cache: where it cannot be
//! read it is thrown away and cloned again.
//!
//! Everything here blocks; the flow calls it in `spawn_blocking`.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid, Repository};
use windlass_core::snapshot::Snapshot;

use super::remote::Remote;
use super::{GitError, limits, signature, tree};

/// Where the mirror keeps what it fetched: outside of `refs/heads`, so that nobody mistakes it for a branch.
const FETCHED: &str = "refs/windlass/watched";

#[derive(Debug, Clone)]
pub struct Mirror {
    dir: PathBuf,
    remote: Remote,
    /// The cluster's folder in the repository; empty for the whole of it.
    folder: String,
}

/// How a commit stands to the one rolled out before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Same,
    Forward,
    /// The branch no longer contains the older commit: it was force-pushed or reset.
    Rewound,
}

impl Mirror {
    pub fn new(dir: PathBuf, remote: Remote, folder: String) -> Self {
        Self {
            dir,
            remote,
            folder,
        }
    }

    /// Fetches the watched branch and gives the commit it points at.
    pub fn fetch(&self) -> Result<String, GitError> {
        self.mended(Self::fetch_once)
    }

    /// Where the mirror is damaged it is cloned again, once.
    pub(super) fn mended<T>(
        &self,
        fetch: impl Fn(&Self) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        limits::apply();
        match fetch(self) {
            Err(GitError::Damaged { why, .. }) => {
                tracing::warn!(mirror = %self.dir.display(), why, "the mirror is damaged; cloning it again");
                self.discard()?;
                fetch(self)
            }
            fetched => fetched,
        }
    }

    /// Every file of a commit that was fetched.
    pub fn snapshot(&self, commit: &str) -> Result<Snapshot, GitError> {
        limits::apply();
        let repository = self.open()?;
        let commit = find(&repository, commit)?;
        tree::snapshot_of(&repository, &commit, &self.folder).map_err(|error| self.damaged(&error))
    }

    /// Where signatures are required: whether this commit has one that counts.
    pub fn verify(&self, commit: &str) -> Result<(), GitError> {
        limits::apply();
        let Some(signers) = &self.remote.signers else {
            return Ok(());
        };
        signature::verify(&self.open()?, commit, signers).map_err(|error| GitError::Untrusted {
            commit: commit.to_owned(),
            why: format!("{error:#}"),
        })
    }

    pub fn step(&self, from: &str, to: &str) -> Result<Step, GitError> {
        limits::apply();
        if from == to {
            return Ok(Step::Same);
        }
        let repository = self.open()?;
        let to = find(&repository, to)?.id();
        // After a force push and a fresh clone the old commit may not exist any more.
        let Ok(from) = find(&repository, from) else {
            return Ok(Step::Rewound);
        };
        match repository.graph_descendant_of(to, from.id()) {
            Ok(true) => Ok(Step::Forward),
            Ok(false) => Ok(Step::Rewound),
            Err(error) => Err(self.damaged(&error)),
        }
    }

    pub(super) fn fetch_once(&self) -> Result<String, GitError> {
        self.receive(&self.open()?, None, usize::MAX)
    }

    /// Fetches the watched branch, and over the same connection what else is wanted; gives the commit that the branch
    /// points at. More than `most` bytes are not taken.
    pub(super) fn receive(
        &self,
        repository: &Repository,
        also: Option<&str>,
        most: usize,
    ) -> Result<String, GitError> {
        let wanted = format!("refs/heads/{}", self.remote.branch);
        let watched = format!("+{wanted}:{FETCHED}");
        let refspecs: Vec<&str> = std::iter::once(watched.as_str()).chain(also).collect();
        let of_remote = |error: git2::Error| self.fetch_error(&error);
        let remote = repository.remote_anonymous(&self.remote.url);
        let mut remote = remote.map_err(of_remote)?;
        let cut = Cell::new(false);
        let mut options = self.remote.options(most, &cut);
        remote
            .fetch(&refspecs, Some(&mut options), None)
            .map_err(|error| {
                let url = self.remote.url.clone();
                if cut.get() {
                    GitError::TooMuch { url, most }
                } else {
                    of_remote(error)
                }
            })?;
        let heads = remote.list().map_err(of_remote)?;
        let head = heads.iter().find(|head| head.name() == wanted);
        let head = head.ok_or_else(|| GitError::NoBranch {
            url: self.remote.url.clone(),
            branch: self.remote.branch.clone(),
        })?;
        self.complete(repository, head.oid())?;
        Ok(head.oid().to_string())
    }

    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// A fetch that found nothing new does not look at what it has: a damaged store would only show later.
    fn complete(&self, repository: &Repository, head: Oid) -> Result<(), GitError> {
        let tree = repository
            .find_commit(head)
            .and_then(|commit| commit.tree());
        tree.map(|_| ()).map_err(|error| self.damaged(&error))
    }

    fn fetch_error(&self, error: &git2::Error) -> GitError {
        use git2::ErrorClass as Class;
        match error.class() {
            Class::Odb | Class::Object | Class::Zlib | Class::Indexer | Class::Reference
                if self.remote_is_elsewhere() =>
            {
                self.damaged(error)
            }
            _ => GitError::of_remote(&self.remote.url, error),
        }
    }

    /// With a local remote the same classes speak of the remote's own store, and cloning again would not help.
    fn remote_is_elsewhere(&self) -> bool {
        !Path::new(&self.remote.url).is_absolute() && !self.remote.url.starts_with("file:")
    }

    pub(super) fn open(&self) -> Result<Repository, GitError> {
        match Repository::open_bare(&self.dir) {
            Ok(repository) => Ok(repository),
            Err(error) if error.code() == ErrorCode::NotFound && !self.dir.exists() => {
                Repository::init_bare(&self.dir).map_err(|error| self.damaged(&error))
            }
            Err(error) => Err(self.damaged(&error)),
        }
    }

    fn discard(&self) -> Result<(), GitError> {
        let removed = if self.dir.is_dir() {
            std::fs::remove_dir_all(&self.dir)
        } else {
            std::fs::remove_file(&self.dir)
        };
        removed.map_err(|error| GitError::Unreadable {
            path: self.dir.display().to_string(),
            why: error.to_string(),
        })
    }

    pub(super) fn damaged(&self, error: &git2::Error) -> GitError {
        GitError::Damaged {
            dir: self.dir.display().to_string(),
            why: error.message().to_owned(),
        }
    }
}

pub(super) fn find<'repo>(
    repository: &'repo Repository,
    id: &str,
) -> Result<git2::Commit<'repo>, GitError> {
    Oid::from_str(id)
        .and_then(|id| repository.find_commit(id))
        .map_err(|error| GitError::NoCommit {
            rev: id.to_owned(),
            why: error.message().to_owned(),
        })
}
