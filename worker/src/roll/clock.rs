//! Time as a roll sees it: the wall clock's when the process began to roll, from then on counted by the
//! monotonic clock. A wall clock that jumps in the middle of a roll therefore ends no deadline.

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    wall: Timestamp,
    begun: Instant,
}

impl Clock {
    pub(super) fn start(wall: Timestamp) -> Self {
        Self {
            wall,
            begun: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.begun.elapsed()).unwrap_or(SignedDuration::MAX);
        self.wall.saturating_add(since).unwrap_or(Timestamp::MAX)
    }

    pub(super) async fn sleep_until(&self, then: Timestamp) {
        let left = then.duration_since(self.now());
        let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
        tokio::time::sleep(left).await;
    }
}
