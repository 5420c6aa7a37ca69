//! Definitions out of Git, read from its objects and never checked out: nothing a repository holds is
//! followed, executed or written to disk.

mod authority;
pub mod checkout;
pub mod limits;
pub mod merge;
pub mod mirror;
pub mod remote;
mod signature;
pub mod source;
pub mod tree;

use git2::{ErrorClass, ErrorCode};

/// Why Git gave no commit. The caller decides by the variant: try again, refuse with a finding, or clone anew.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The remote is away or the transfer broke off; the next try may work.
    #[error("cannot fetch from {url}: {why}")]
    Away { url: String, why: String },
    /// The remote is there and does not let us in, or is not the host we pinned.
    #[error("{url} refused: {why}")]
    Denied { url: String, why: String },
    /// More came than is taken of one transfer.
    #[error("{url} sent more than {} MiB", .most >> 20)]
    TooMuch { url: String, most: usize },
    #[error("{url} has no branch {branch:?}")]
    NoBranch { url: String, branch: String },
    /// The local mirror cannot be read.
    #[error("the mirror {dir} is damaged: {why}")]
    Damaged { dir: String, why: String },
    #[error("{rev:?} names no commit: {why}")]
    NoCommit { rev: String, why: String },
    /// A signature is required, and this commit has none that counts.
    #[error("commit {commit} is not to be trusted: {why}")]
    Untrusted { commit: String, why: String },
    #[error("cannot read {path}: {why}")]
    Unreadable { path: String, why: String },
}

impl GitError {
    fn of_remote(url: &str, error: &git2::Error) -> Self {
        let url = url.to_owned();
        let why = error.message().to_owned();
        // libgit2 has no code of its own for a certificate that OpenSSL refused.
        let denied = matches!(error.code(), ErrorCode::Auth | ErrorCode::Certificate)
            || matches!(error.class(), ErrorClass::Callback)
            || why.contains("certificate is invalid");
        if denied {
            Self::Denied { url, why }
        } else {
            Self::Away { url, why }
        }
    }
}

#[cfg(test)]
mod merge_tests;
#[cfg(test)]
mod signature_tests;
#[cfg(test)]
mod tests;
