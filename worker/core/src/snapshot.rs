//! Every file of the cluster repository at one commit, read from Git's objects, never from a working tree.
//! What cannot be a definition (symlinks, submodules, files too large to read) is kept as such, so that the
//! loader can say so with a finding instead of silently missing it.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Limits that the reader of the tree holds itself to, so that no tree can fill the memory.
pub const MAX_FILES: usize = 20_000;
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;
pub const MAX_TOTAL_BYTES: u64 = 64 * 1024 * 1024;
pub const MAX_DEPTH: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    File(Arc<[u8]>),
    Symlink,
    Submodule,
    /// Larger than `MAX_FILE_BYTES`; its size.
    TooLarge(u64),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit's id; for a working tree that was not committed: `worktree`.
    pub commit: String,
    /// The commit's subject line, for reports.
    pub subject: String,
    /// Path in the repository (with `/`) → entry.
    pub entries: BTreeMap<String, Entry>,
    /// Set when the tree broke one of the limits; says which. The entries are then incomplete.
    pub over_limit: Option<String>,
}

impl Snapshot {
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        match self.entries.get(path) {
            Some(Entry::File(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// For tests and `init`: a snapshot of texts.
    pub fn of_texts<'a>(commit: &str, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let entries = files
            .into_iter()
            .map(|(path, text)| (path.to_owned(), Entry::File(Arc::from(text.as_bytes()))))
            .collect();
        Self {
            commit: commit.to_owned(),
            entries,
            ..Self::default()
        }
    }
}
