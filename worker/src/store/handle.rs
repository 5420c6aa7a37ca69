//! SQLite blocks, so one thread owns the connection and works through what it is handed; everyone else awaits.
//! One writer also means that no two of our own transactions ever wait for each other.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

use super::open;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{path}: {why}")]
    File { path: String, why: String },
    #[error("the database was written by another version of Windlass: {0}")]
    Schema(String),
    #[error("the database's thread has ended")]
    Closed,
    #[error("a stored value cannot be read: {0}")]
    Value(#[from] serde_json::Error),
}

impl StoreError {
    pub(super) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::File {
            path: path.display().to_string(),
            why: error.to_string(),
        }
    }
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the database; cheap to clone. The file is closed when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    news: Arc<Notify>,
}

impl Store {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = open::open(path)?;
        let (jobs, inbox) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                for job in inbox {
                    job(&mut connection);
                }
            })
            .map_err(|error| StoreError::file(path, &error))?;
        Ok(Self {
            jobs,
            news: Arc::default(),
        })
    }

    /// Told when there is something that other workers should know.
    pub fn news(&self) -> &Notify {
        &self.news
    }

    /// Runs `work` on the database's thread. It is carried out even if the caller stops waiting for it.
    pub async fn call<T, E, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: Into<StoreError> + Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // The caller may have gone; the work is done all the same.
            let _ = done.send(work(connection).map_err(Into::into));
        });
        self.jobs.send(job).map_err(|_| StoreError::Closed)?;
        result.await.map_err(|_| StoreError::Closed)?
    }
}
