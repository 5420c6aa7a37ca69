//! Reads the body of a request that is not authenticated yet: bounded in size, in time, and in how many are read at
//! once.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use tokio::sync::Semaphore;

/// How long a sender may take for its body.
const DEADLINE: Duration = Duration::from_secs(10);

/// Status and words for the sender.
pub(super) type Answer = (StatusCode, String);

/// Reads bodies of at most `most` bytes, a few at once.
#[derive(Debug)]
pub(super) struct Reader {
    most: usize,
    pub(super) reading: Semaphore,
}

impl Reader {
    pub(super) fn new(most: usize, at_once: usize) -> Self {
        Self {
            most,
            reading: Semaphore::new(at_once),
        }
    }

    pub(super) async fn read(&self, body: Body) -> Result<Bytes, Answer> {
        let _reading = self
            .reading
            .try_acquire()
            .map_err(|_| refuse(StatusCode::TOO_MANY_REQUESTS, "too many requests at once"))?;
        match tokio::time::timeout(DEADLINE, axum::body::to_bytes(body, self.most)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => {
                let words = format!("the body broke off or has more than {} bytes", self.most);
                Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, &words))
            }
            Err(_) => Err(refuse(
                StatusCode::REQUEST_TIMEOUT,
                "the body took too long",
            )),
        }
    }
}

pub(super) fn refuse(status: StatusCode, words: &str) -> Answer {
    (status, format!("{words}\n"))
}
