//! Which requests are being looked at: a newer look at a request ends the older one, and only so many go on side by
//! side.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// A newer look at the same request has begun, or the worker stops; nothing is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("superseded by a newer look at the same request")]
pub struct Superseded;

#[derive(Debug)]
pub(super) struct Running {
    looks: Mutex<BTreeMap<u64, CancellationToken>>,
    permits: Semaphore,
}

impl Running {
    pub(super) fn new(side_by_side: usize) -> Self {
        Self {
            looks: Mutex::default(),
            permits: Semaphore::new(side_by_side),
        }
    }

    /// Ends an older look at this request.
    pub(super) fn begin(&self, request: u64, stop: &CancellationToken) -> CancellationToken {
        let token = stop.child_token();
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|_, look| !look.is_cancelled());
        if let Some(older) = looks.insert(request, token.clone()) {
            older.cancel();
        }
        token
    }

    /// Waits for a place.
    pub(super) async fn place(
        &self,
        look: &CancellationToken,
    ) -> Result<SemaphorePermit<'_>, Superseded> {
        tokio::select! {
            () = look.cancelled() => Err(Superseded),
            place = self.permits.acquire() => place.map_err(|_| Superseded),
        }
    }
}
