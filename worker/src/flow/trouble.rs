//! Why the flow ended without an outcome: not a verdict on the commit, so it is tried again.

use std::fmt;
use std::time::Duration;

use windlass_core::codes::git as codes;
use windlass_core::finding::{Finding, Findings};

use crate::check::Cancelled;
use crate::git::GitError;

/// No `Error` itself, so that every error becomes one by `?`.
#[derive(Debug)]
pub enum Trouble {
    /// Something outside is away, or someone else is at work; it passes by itself.
    Later(String),
    /// It said when to come back.
    Again(Duration, String),
    /// Something went wrong that should not.
    Broken(anyhow::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(why) | Self::Again(_, why) => f.write_str(why),
            Self::Broken(error) => write!(f, "{error:#}"),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        let error: anyhow::Error = error.into();
        if error.is::<Cancelled>() {
            return Self::Later("the worker stops".to_owned());
        }
        match error.downcast_ref() {
            Some(GitError::Away { .. }) => Self::Later(format!("{error:#}")),
            _ => Self::Broken(error),
        }
    }
}

/// What a person must mend at the remote, as findings; anything else is trouble.
pub fn of_git(error: GitError) -> Result<Findings, Trouble> {
    let message = error.to_string();
    let finding = match error {
        GitError::NoBranch { .. } => Finding::error(codes::BRANCH_MISSING, message)
            .hint("create the branch, or mend `repository.branch` in the worker's configuration"),
        GitError::Denied { .. } => Finding::error(codes::REMOTE_DENIED, message)
            .hint("mend the token, key or host keys in the worker's configuration; the files are read anew each time"),
        GitError::Untrusted { .. } => Finding::error(codes::UNTRUSTED, message)
            .hint("sign it (`git commit --amend -S`), or add the signer to the file that `repository.signed_by` names"),
        GitError::Away { .. } => return Err(Trouble::Later(message)),
        GitError::TooMuch { .. } | GitError::Damaged { .. } | GitError::NoCommit { .. } | GitError::Unreadable { .. } => {
            return Err(Trouble::Broken(error.into()));
        }
    };
    Ok(Findings::from_iter([finding]))
}
