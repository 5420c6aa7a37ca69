//! Waiting for a condition, with an end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_millis(300);

/// Polls `condition` until it holds; an error after `limit`.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    loop {
        let asked = Instant::now();
        if condition() {
            return Ok(());
        }
        // A question that costs something, such as a request to each node, leaves the machine to what is waited for.
        let pause = (asked.elapsed() * 3).clamp(SHORT, LONG);
        if start.elapsed() > limit {
            bail!("still not so after {} s", limit.as_secs());
        }
        sleep(pause);
    }
}
