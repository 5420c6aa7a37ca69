//! What a broker can do to those who rely on it. An event that was accepted is worked on, whatever happens.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use windlass::queue::amqp::{AmqpQueue, Settings};
use windlass::queue::{EventQueue, Published, QueueError, QueueState};
use windlass_tests::broker::{Proxy, Version};

use super::place::{Place, SOON, cluster, event, on_each_broker, take};

on_each_broker!(
    stopped_and_killed_and_started_again_it_has_every_event,
    a_cut_connection_is_made_anew_and_its_work_goes_on,
    a_full_disk_delays_and_lets_answers_through,
    a_deleted_queue_is_declared_again,
    another_node_of_the_broker_is_tried_when_one_is_away,
);

const LONG: Duration = Duration::from_secs(60);

/// Waits for a condition of the queue.
pub async fn until<F: Future<Output = bool>>(
    what: &str,
    mut holds: impl FnMut() -> F,
) -> Result<()> {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(SOON, waiting).await;
    waited.with_context(|| format!("waited in vain: {what}"))
}

/// Takes what is there, until this one came.
async fn worked_on(queue: &AmqpQueue, id: &str) -> Result<()> {
    loop {
        let lease = take(queue).await?;
        let found = lease.event.id == id;
        // One whose connection was lost comes again.
        match queue.ack(lease, &[]).await {
            Ok(()) if found => return Ok(()),
            Ok(()) | Err(QueueError::Lost(_)) => {}
            Err(other) => bail!(other),
        }
    }
}

async fn stopped_and_killed_and_started_again_it_has_every_event(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let url = place.broker.url("v0");
    let queue = place.queue(&url, "w", LONG)?;
    worked_on_after(&queue, "before").await?;
    for (how, id) in [("stop", "a"), ("kill", "b")] {
        let kept = format!("{id}-kept");
        queue.publish(&event(&kept)).await?;
        until("it is sent", || async {
            let shown = queue.show(&kept).await;
            shown.is_ok_and(|queued| queued.is_some_and(|q| q.state != QueueState::Sent))
        })
        .await?;
        match how {
            "stop" => place.broker.node(0).stop()?,
            _ => place.broker.node(0).kill()?,
        }
        until("it is noticed", || async { !queue.is_connected() }).await?;
        let late = format!("{id}-late");
        ensure!(queue.publish(&event(&late)).await? == Published::New);
        ensure!(queue.publish(&event(&late)).await? == Published::Known);
        place.broker.node(0).start()?;
        let mut left = vec![kept, late];
        while !left.is_empty() {
            let lease = take(&queue).await?;
            left.retain(|id| *id != lease.event.id);
            queue.ack(lease, &[]).await?;
        }
    }
    queue.close().await;
    Ok(())
}

async fn worked_on_after(queue: &AmqpQueue, id: &str) -> Result<()> {
    queue.publish(&event(id)).await?;
    worked_on(queue, id).await
}

async fn a_cut_connection_is_made_anew_and_its_work_goes_on(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let proxy = Proxy::to(place.broker.node(0).address())?;
    let queue = place.queue(&place.broker.url_at(proxy.port(), "v0"), "w", LONG)?;
    queue.publish(&event("first")).await?;
    let lease = take(&queue).await?;
    proxy.drop_connections();
    until("it is noticed", || async { !queue.is_connected() }).await?;
    until("it is back", || async { queue.is_connected() }).await?;
    // The event comes back while it is worked on, and the two are one.
    until("the two are joined", || async {
        queue.extend(&lease).await.is_ok()
    })
    .await?;
    until("it can be answered", || async {
        let here = queue.show("first").await.ok().flatten();
        here.is_some_and(|queued| queued.state == QueueState::Leased)
    })
    .await?;
    queue.publish(&event("second")).await?;
    match queue.ack(lease, &[]).await {
        // It came back in time, or not; then it comes once more.
        Ok(()) | Err(QueueError::Lost(_)) => {}
        Err(other) => bail!(other),
    }
    worked_on(&queue, "second").await?;

    // A wire that says nothing more is as good as cut, only later.
    proxy.silence();
    until("silence is noticed", || async { !queue.is_connected() }).await?;
    queue.publish(&event("third")).await?;
    proxy.mend();
    worked_on(&queue, "third").await?;
    queue.close().await;
    Ok(())
}

async fn a_full_disk_delays_and_lets_answers_through(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let queue = place.queue(&place.broker.url("v0"), "w", LONG)?;
    queue.publish(&event("before")).await?;
    let lease = take(&queue).await?;
    place.broker.node(0).fill_disk(true)?;
    queue.publish(&event("during")).await?;
    queue
        .ack(lease, &[])
        .await
        .context("an answer needs no disk")?;
    let cluster = cluster();
    let early = tokio::time::timeout(Duration::from_secs(3), queue.next(&cluster)).await;
    ensure!(early.is_err(), "{early:?} came through a full disk");
    place.broker.node(0).fill_disk(false)?;
    worked_on(&queue, "during").await?;
    queue.close().await;
    Ok(())
}

async fn a_deleted_queue_is_declared_again(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let queue = place.queue(&place.broker.url("v0"), "w", LONG)?;
    worked_on_after(&queue, "before").await?;
    let node = place.broker.node(0);
    node.ctl(&[
        "delete_queue",
        "--vhost",
        "v0",
        "windlass.v1.cluster.example",
    ])?;
    worked_on_after(&queue, "after").await?;
    // And where nobody consumes, sending notices.
    let sender = place.queue(&place.broker.url("v1"), "s", LONG)?;
    sender.publish(&event("one")).await?;
    until("it is sent", || async {
        let shown = sender.show("one").await;
        shown.is_ok_and(|queued| queued.is_some_and(|q| q.state == QueueState::Sent))
    })
    .await?;
    node.ctl(&[
        "delete_queue",
        "--vhost",
        "v1",
        "windlass.v1.cluster.example",
    ])?;
    sender.publish(&event("two")).await?;
    let worker = place.queue(&place.broker.url("v1"), "t", LONG)?;
    worked_on(&worker, "two").await?;
    for queue in [queue, sender, worker] {
        queue.close().await;
    }
    Ok(())
}

async fn another_node_of_the_broker_is_tried_when_one_is_away(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    // Two ways to one node are to a worker what two nodes are.
    let address = place.broker.node(0).address();
    let (one, other) = (Proxy::to(address)?, Proxy::to(address)?);
    let mut settings = Settings::new(&place.broker.url_at(one.port(), "v0"))?;
    settings.also_at(&format!("127.0.0.1:{}", other.port()))?;
    let queue = AmqpQueue::start(settings, place.store("w")?, LONG);
    worked_on_after(&queue, "through the first").await?;
    ensure!(other.connections() == 0);
    one.cut();
    worked_on_after(&queue, "through the second").await?;
    one.mend();
    other.cut();
    worked_on_after(&queue, "through the first again").await?;
    queue.close().await;
    Ok(())
}
