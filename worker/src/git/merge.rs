//! What merging a request would give, made in memory from Git's objects: no working tree, nothing checked out, no
//! merge driver and no filter of the repository's is run. The request is a stranger's: what it may send is limited,
//! and it is fetched into a mirror of its own, so that whatever it sends never lies beside what is rolled.

use git2::{ErrorCode, Index, MergeOptions, Oid, Repository};
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
    /// Fetches what a reference such as `refs/pull/12/head` or `refs/merge-requests/3/head` points at.
    pub fn fetch_reference(&self, reference: &str) -> Result<String, GitError> {
        limits::apply();
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
        self.receive(&repository, &format!("+{reference}:{kept}"), MAX_RECEIVED)?;
        match repository.refname_to_id(&kept) {
            Ok(id) => Ok(id.to_string()),
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
        let of_store = |error: git2::Error| self.damaged(&error);
        // A tree that breaks the limits is not merged; whoever reads the snapshot says so.
        let own = tree::snapshot_of(&repository, &head, self.folder()).map_err(of_store)?;
        if own.over_limit.is_some() {
            return Ok(Merged::Clean {
                tree: head.tree_id().to_string(),
                snapshot: own,
            });
        }
        let mut options = MergeOptions::new();
        options
            .recursion_limit(MAX_RECURSION)
            .target_limit(MAX_RENAMES);
        let merged = repository.merge_commits(&base, &head, Some(&options));
        let mut index = merged.map_err(of_store)?;
        if index.has_conflicts() {
            let files = conflicts(&index).map_err(of_store)?;
            return Ok(Merged::Conflicted { files });
        }
        let id = index.write_tree_to(&repository).map_err(of_store)?;
        let snapshot = self.read(&repository, id, &head).map_err(of_store)?;
        let tree = id.to_string();
        Ok(Merged::Clean { tree, snapshot })
    }

    fn read(
        &self,
        repository: &Repository,
        id: Oid,
        head: &git2::Commit<'_>,
    ) -> Result<Snapshot, git2::Error> {
        let tree = repository.find_tree(id)?;
        let named = (head.id().to_string(), tree::subject(head));
        tree::snapshot_of_tree(repository, tree, named, self.folder())
    }
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
