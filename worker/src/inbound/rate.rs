//! Bounds how many hooks are taken a minute. The sender is authenticated by then, so this is against a mad
//! sender, not against strangers; one counter for all is enough.

use std::sync::Mutex;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);

/// At most `limit` in each minute.
#[derive(Debug)]
pub struct Rate {
    limit: u32,
    window: Mutex<(Instant, u32)>,
}

impl Rate {
    pub fn per_minute(limit: u32) -> Self {
        Self {
            limit,
            window: Mutex::new((Instant::now(), 0)),
        }
    }

    /// Whether one more is taken now.
    pub fn admit(&self) -> bool {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> bool {
        // A panic while it was held cannot have left the pair half written.
        let mut window = self.window.lock().unwrap_or_else(|held| held.into_inner());
        if now.saturating_duration_since(window.0) >= WINDOW {
            *window = (now, 0);
        }
        window.1 = window.1.saturating_add(1);
        window.1 <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_its_share_and_the_next_one_too() {
        let rate = Rate::per_minute(2);
        let start = Instant::now();
        let taken =
            [0, 1, 2, 59, 61, 62, 63].map(|s| rate.admit_at(start + Duration::from_secs(s)));
        assert_eq!(taken, [true, true, false, false, true, true, false]);
    }
}
