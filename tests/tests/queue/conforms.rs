//! The suite that every backend must pass.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use windlass::queue::conformance;
use windlass_tests::broker::Version;

use super::place::{Place, on_each_broker};

on_each_broker!(
    rabbitmq_keeps_what_every_queue_must,
    two_workers_share_what_is_shared_and_order_one_at_a_time,
);

async fn rabbitmq_keeps_what_every_queue_must(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let made = AtomicUsize::new(0);
    conformance::run(|| async {
        let n = made.fetch_add(1, Ordering::SeqCst);
        let url = place.broker.url(&format!("v{n}"));
        let queue = place.queue(&url, &format!("w{n}"), Duration::from_secs(2));
        queue.expect("a queue")
    })
    .await
}

async fn two_workers_share_what_is_shared_and_order_one_at_a_time(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let url = place.broker.url("v0");
    let patience = Duration::from_secs(60);
    let (one, other) = (
        place.queue(&url, "one", patience)?,
        place.queue(&url, "other", patience)?,
    );
    conformance::together(&one, &other).await
}
