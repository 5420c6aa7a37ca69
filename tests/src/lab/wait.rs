//! Waiting for a condition, with an end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Polls `condition` until it holds; an error after `limit`.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > limit {
            bail!("still not so after {} s", limit.as_secs());
        }
        sleep(Duration::from_millis(30));
    }
    Ok(())
}
