//! What merging a request would give, made in memory from Git's objects: no working tree, nothing checked out, no
//! merge driver and no filter of the repository's is run. The request is a stranger's: what it may send is limited,
//! and it is fetched into a mirror of its own, so that whatever it sends never lies beside what is rolled.

use git2::{Commit, ErrorCode, Index, MergeOptions, Repository, Tree};
use windlass_core::snapshot::Snapshot;

use super::mirror::{Mirror, find};
use super::{GitError, limits, tree};

/// More than a cluster's whole history takes.
const MAX_RECEIVED: usize = 256 * 1024 * 1024;
/// Commits that were merged into each other again and again would be merged for every such pair.
const MAX_RECURSION: u32 = 4;
/// Pairs of files that are looked at for renames.
const MAX_RENAMES: u32 = 200;
/// Conflicting files that are named.
const MAX_NAMED: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    Clean {
        /// The id of the tree that merging gives.
        tree: String,
        /// Its files; named after the request's head.
        snapshot: Snapshot,
    },
    /// The files that both sides changed, in order.
    Conflicted { files: Vec<String> },
}

impl Mirror {
    /// Fetches the watched branch and what a reference such as `refs/pull/12/head` or `refs/merge-requests/3/head` points
    /// at; gives both commits.
    pub fn fetch_request(&self, reference: &str) -> Result<(String, String), GitError> {
        self.mended(|mirror| mirror.fetch_request_once(reference, MAX_RECEIVED))
    }

    pub(super) fn fetch_request_once(
        &self,
        reference: &str,
        most: usize,
    ) -> Result<(String, String), GitError> {
        let unknown = |why: &str| GitError::NoCommit {
            rev: reference.to_owned(),
            why: why.to_owned(),
        };
        let inner = reference.strip_prefix("refs/");
        let inner = inner.filter(|_| git2::Reference::is_valid_name(reference));
        let Some(inner) = inner else {
            return Err(unknown("it is no name of a reference"));
        };
        let kept = format!("refs/windlass/requests/{inner}");
        let repository = self.open()?;
        let refspec = format!("+{reference}:{kept}");
        let base = match self.receive(&repository, Some(&refspec), most) {
            // The limit is for what the request brings, not for what the branch did.
            Err(GitError::TooMuch { .. }) => {
                self.fetch_once()?;
                self.receive(&repository, Some(&refspec), most)
            }
            received => received,
        }?;
        match repository.refname_to_id(&kept) {
            Ok(id) => Ok((base, id.to_string())),
            Err(error) if error.code() == ErrorCode::NotFound => {
                Err(unknown("the remote has no such reference"))
            }
            Err(error) => Err(self.damaged(&error)),
        }
    }

    /// Merges `head` into `base`; both were fetched before.
    pub fn merge(&self, base: &str, head: &str) -> Result<Merged, GitError> {
        limits::apply();
        let repository = self.open()?;
        let (base, head) = (find(&repository, base)?, find(&repository, head)?);
        commits(&repository, (&base, &head), self.folder()).map_err(|error| self.damaged(&error))
    }
}

/// Merges the second commit into the first. What that makes is written to the repository's objects.
pub(super) fn commits(
    repository: &Repository,
    (base, head): (&Commit<'_>, &Commit<'_>),
    folder: &str,
) -> Result<Merged, git2::Error> {
    // A tree that breaks the limits is not merged; whoever reads the snapshot says so.
    let own = tree::snapshot_of(repository, head, folder)?;
    if own.over_limit.is_some() {
        return Ok(Merged::Clean {
            tree: head.tree_id().to_string(),
            snapshot: own,
        });
    }
    let index = repository.merge_commits(base, head, Some(&options()))?;
    let named = (head.id().to_string(), tree::subject(head));
    ended(repository, index, named, folder)
}

/// The same for a tree that no commit holds yet, made from `parent`.
pub(super) fn trees(
    repository: &Repository,
    (base, parent): (&Commit<'_>, &Commit<'_>),
    (changed, named): (&Tree<'_>, (String, String)),
    folder: &str,
) -> Result<Merged, git2::Error> {
    let ancestor = match repository.merge_base(base.id(), parent.id()) {
        Ok(id) => repository.find_commit(id)?.tree()?,
        // Nothing in common: whatever both have is in conflict.
        Err(error) if error.code() == ErrorCode::NotFound => {
            repository.find_tree(repository.treebuilder(None)?.write()?)?
        }
        Err(error) => return Err(error),
    };
    let index = repository.merge_trees(&ancestor, &base.tree()?, changed, Some(&options()))?;
    ended(repository, index, named, folder)
}

fn options() -> MergeOptions {
    let mut options = MergeOptions::new();
    options
        .recursion_limit(MAX_RECURSION)
        .target_limit(MAX_RENAMES);
    options
}

fn ended(
    repository: &Repository,
    mut index: Index,
    named: (String, String),
    folder: &str,
) -> Result<Merged, git2::Error> {
    if index.has_conflicts() {
        let files = conflicts(&index)?;
        return Ok(Merged::Conflicted { files });
    }
    let id = index.write_tree_to(repository)?;
    let snapshot = tree::snapshot_of_tree(repository, repository.find_tree(id)?, named, folder)?;
    let tree = id.to_string();
    Ok(Merged::Clean { tree, snapshot })
}

fn conflicts(index: &Index) -> Result<Vec<String>, git2::Error> {
    let mut files = Vec::new();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let sides = [conflict.our, conflict.their, conflict.ancestor];
        if let Some(entry) = sides.into_iter().flatten().next() {
            files.push(String::from_utf8_lossy(&entry.path).into_owned());
        }
    }
    files.sort();
    files.dedup();
    files.truncate(MAX_NAMED);
    Ok(files)
}
