//! The suite that every backend must pass.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use windlass::queue::conformance;

use super::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_keeps_what_every_queue_must() -> Result<()> {
    let place = Place::start()?;
    let made = AtomicUsize::new(0);
    conformance::run(|| async {
        let n = made.fetch_add(1, Ordering::SeqCst);
        let url = place.broker.url(&format!("v{n}"));
        let queue = place.queue(&url, &format!("w{n}"), Duration::from_secs(2));
        queue.expect("a queue")
    })
    .await
}
