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

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// The runtime's clock is stopped and set by hand, and what the machine's own clock says meanwhile is no argument.
    #[tokio::test(start_paused = true)]
    async fn only_time_that_passes_counts() {
        // Nobody's machine believes in either of these.
        for wall in ["1970-01-02T00:00:00Z", "2199-12-31T23:00:00Z"] {
            let wall: Timestamp = wall.parse().unwrap();
            let clock = Clock::start(wall);
            assert_eq!(clock.now(), wall);
            tokio::time::advance(MINUTE).await;
            assert_eq!(clock.now().duration_since(wall).as_secs(), 60);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_sleeps_for_what_is_left_and_not_at_all_for_what_is_over() {
        let wall: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Clock::start(wall);
        let at = |seconds: i64| wall + SignedDuration::from_secs(seconds);
        let begun = Instant::now();
        clock.sleep_until(at(-86_400)).await;
        clock.sleep_until(at(0)).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        clock.sleep_until(at(90)).await;
        assert_eq!(begun.elapsed().as_secs(), 90);
        assert!(clock.now() >= at(90));
    }
}
