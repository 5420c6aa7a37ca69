//! A cluster's mirror for async callers: one use at a time, off the runtime's threads, and patient with a
//! remote that is away for a moment.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use tokio::sync::Mutex;
use windlass_core::snapshot::Snapshot;

use super::GitError;
use super::merge::Merged;
use super::mirror::{Mirror, Step};

const TRIES: usize = 3;
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Source {
    mirror: Arc<Mutex<Mirror>>,
}

impl Source {
    pub fn new(mirror: Mirror) -> Self {
        Self {
            mirror: Arc::new(Mutex::new(mirror)),
        }
    }

    /// Looks once which commit the watched branch points at.
    pub async fn look(&self) -> Result<String, GitError> {
        self.run(Mirror::fetch).await
    }

    /// Fetches the watched branch; tries again when the remote is away.
    pub async fn fetch(&self) -> Result<String, GitError> {
        (|| self.look()).retry(waits()).when(is_away).await
    }

    /// Fetches the watched branch together with a request's reference, which the caller names (`refs/pull/12/head`): one
    /// connection for both. Gives what they point at; tries again when the remote is away.
    pub async fn fetch_request(&self, reference: &str) -> Result<(String, String), GitError> {
        let fetch = || {
            let reference = reference.to_owned();
            self.run(move |mirror| mirror.fetch_request(&reference))
        };
        fetch.retry(waits()).when(is_away).await
    }

    pub async fn snapshot(&self, commit: &str) -> Result<Snapshot, GitError> {
        let commit = commit.to_owned();
        self.run(move |mirror| mirror.snapshot(&commit)).await
    }

    pub async fn verify(&self, commit: &str) -> Result<(), GitError> {
        let commit = commit.to_owned();
        self.run(move |mirror| mirror.verify(&commit)).await
    }

    pub async fn step(&self, from: &str, to: &str) -> Result<Step, GitError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.run(move |mirror| mirror.step(&from, &to)).await
    }

    pub async fn merge(&self, base: &str, head: &str) -> Result<Merged, GitError> {
        let (base, head) = (base.to_owned(), head.to_owned());
        self.run(move |mirror| mirror.merge(&base, &head)).await
    }

    async fn run<T, F>(&self, work: F) -> Result<T, GitError>
    where
        T: Send + 'static,
        F: FnOnce(&Mirror) -> Result<T, GitError> + Send + 'static,
    {
        let mirror = Arc::clone(&self.mirror).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || work(&mirror)).await;
        done.unwrap_or_else(|error| {
            Err(GitError::Unreadable {
                path: "the mirror".to_owned(),
                why: error.to_string(),
            })
        })
    }
}

fn waits() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_times(TRIES - 1)
        .with_jitter()
}

fn is_away(error: &GitError) -> bool {
    matches!(error, GitError::Away { .. })
}
