//! Events that are put back, and those that are given up.

use super::*;

pub(super) async fn retries<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    queue.publish(&event(&cluster, "broken")).await?;
    queue.publish(&event(&cluster, "mending")).await?;
    let lease = take(queue, &cluster).await?;
    queue
        .retry(lease, Duration::from_secs(2), "remote away")
        .await?;
    let second = take(queue, &cluster).await?;
    ensure!(
        second.event.id == "mending",
        "a waiting event blocked the one behind it"
    );
    queue.ack(second, &[]).await?;
    let again = take(queue, &cluster).await?;
    ensure!(
        again.event.id == "broken" && again.attempt == 2,
        "{again:?}"
    );
    queue.ack(again, &[]).await?;
    nothing(queue, &cluster).await
}

/// What was tried often is not what broke often, and only the caller knows which it was.
pub(super) async fn breaks<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    queue.publish(&event(&cluster, "1")).await?;
    let counts = |lease: &Lease| (lease.attempt, lease.breaks);
    let lease = take(queue, &cluster).await?;
    ensure!(counts(&lease) == (1, 0), "{lease:?}");
    queue.retry(lease, Duration::ZERO, "a roll").await?;
    let lease = take(queue, &cluster).await?;
    ensure!(counts(&lease) == (2, 0), "{lease:?}");
    queue
        .retry(lease.broken(), Duration::ZERO, "broken")
        .await?;
    let lease = take(queue, &cluster).await?;
    ensure!(counts(&lease) == (3, 1), "{lease:?}");
    queue.retry(lease, Duration::ZERO, "a roll").await?;
    let lease = take(queue, &cluster).await?;
    ensure!(counts(&lease) == (4, 1), "{lease:?}");
    // Nobody answers: whether that was a break is not known.
    let lease = take(queue, &cluster).await?;
    ensure!(lease.attempt > 4 && lease.breaks == 1, "{lease:?}");
    queue.dead(lease.broken(), "broken").await?;
    queue.replay(&Chosen::one("1")).await?;
    let lease = take(queue, &cluster).await?;
    ensure!(counts(&lease) == (1, 0), "{lease:?}");
    queue.ack(lease, &[]).await.context("the last answer")
}

pub(super) async fn dead_letters<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    queue.publish(&event(&cluster, "1")).await?;
    let lease = take(queue, &cluster).await?;
    queue.dead(lease, "poison").await?;
    nothing(queue, &cluster).await?;
    let shown = queue
        .show("1")
        .await?
        .context("a dead event is not shown")?;
    ensure!(
        shown.state == QueueState::Dead && shown.why == "poison",
        "{shown:?}"
    );
    ensure!(queue.list(10).await?.iter().any(|entry| entry.id() == "1"));

    queue.replay(&Chosen::one("1")).await?;
    let again = take(queue, &cluster).await?;
    ensure!(
        again.attempt == 1,
        "replay counts anew, but attempt is {}",
        again.attempt
    );
    queue.dead(again, "poison still").await?;
    queue.discard(&Chosen::one("1")).await?;
    for gone in [
        queue.replay(&Chosen::one("1")).await,
        queue.discard(&Chosen::one("1")).await,
    ] {
        ensure!(matches!(gone, Err(QueueError::Unknown(_))), "{gone:?}");
    }
    nothing(queue, &cluster).await
}
