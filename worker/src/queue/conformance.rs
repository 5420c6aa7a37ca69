//! What every queue backend must keep, as one suite that each backend's tests run. It needs a backend whose
//! `patience` is short, and waits for conditions instead of for times.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use windlass_core::ids::ClusterName;

use super::{Event, EventKind, EventQueue, Lease, Published, QueueError, QueueState};

/// Long enough for a slow machine; no test waits that long unless it fails.
const DEADLINE: Duration = Duration::from_secs(30);
/// Long enough to see that nothing comes.
const QUIET: Duration = Duration::from_millis(300);

/// Runs the whole suite; `make` gives a fresh, empty backend each time it is called.
pub async fn run<Q, F, M>(make: M) -> anyhow::Result<()>
where
    Q: EventQueue,
    F: Future<Output = Q>,
    M: Fn() -> F,
{
    order_and_ack(&make().await)
        .await
        .context("order and ack")?;
    what_follows(&make().await).await.context("what follows")?;
    one_id_is_one_event(&make().await)
        .await
        .context("one id is one event")?;
    one_in_flight(&make().await)
        .await
        .context("one in flight")?;
    clusters_do_not_wait(&make().await)
        .await
        .context("clusters do not wait for each other")?;
    leases_run_out(&make().await)
        .await
        .context("leases run out")?;
    extended_leases_stay(&make().await)
        .await
        .context("extended leases stay")?;
    retries(&make().await).await.context("retries")?;
    dead_letters(&make().await).await.context("dead letters")?;
    waiting_consumers_wake(&make().await)
        .await
        .context("waiting consumers wake")
}

async fn order_and_ack<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    for id in ["1", "2", "3"] {
        queue.publish(&event(&cluster, id)).await?;
    }
    for id in ["1", "2", "3"] {
        let lease = take(queue, &cluster).await?;
        ensure!(
            lease.event.id == id,
            "took {} instead of {id}",
            lease.event.id
        );
        ensure!(lease.attempt == 1, "attempt {}", lease.attempt);
        queue.ack(lease, &[]).await?;
    }
    nothing(queue, &cluster).await
}

/// A roll's next turn follows from the one before and overtakes what was published earlier.
async fn what_follows<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    for id in ["1", "2"] {
        queue.publish(&event(&cluster, id)).await?;
    }
    let data = serde_json::json!({"roll": "r", "entries": [1, 2]});
    let turn = Event::new(EventKind::Turn, "/roll", &cluster, "r-1").with(data);
    queue
        .ack(take(queue, &cluster).await?, std::slice::from_ref(&turn))
        .await?;
    let lease = take(queue, &cluster).await?;
    ensure!(lease.event == turn, "took {:?}", lease.event);
    // Said twice, as after a crash between the two halves of an answer, it is still one.
    ensure!(queue.publish(&turn).await? == Published::Known);
    queue.ack(lease, &[]).await?;
    let lease = take(queue, &cluster).await?;
    ensure!(lease.event.id == "2", "took {}", lease.event.id);
    queue.ack(lease, &[]).await?;
    nothing(queue, &cluster).await
}

async fn one_id_is_one_event<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    ensure!(queue.publish(&event(&cluster, "1")).await? == Published::New);
    ensure!(queue.publish(&event(&cluster, "1")).await? == Published::Known);
    let lease = take(queue, &cluster).await?;
    ensure!(
        queue.publish(&event(&cluster, "1")).await? == Published::Known,
        "while it is held"
    );
    queue.ack(lease, &[]).await?;
    ensure!(
        queue.publish(&event(&cluster, "1")).await? == Published::Known,
        "after it was done"
    );
    nothing(queue, &cluster).await
}

async fn one_in_flight<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    queue.publish(&event(&cluster, "1")).await?;
    queue.publish(&event(&cluster, "2")).await?;
    let first = take(queue, &cluster).await?;
    nothing(queue, &cluster).await?;
    queue.ack(first, &[]).await?;
    ensure!(take(queue, &cluster).await?.event.id == "2");
    Ok(())
}

async fn clusters_do_not_wait<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let (one, other) = (cluster("one")?, cluster("other")?);
    queue.publish(&event(&one, "1")).await?;
    queue.publish(&event(&other, "2")).await?;
    let _held = take(queue, &one).await?;
    ensure!(take(queue, &other).await?.event.subject == other);
    Ok(())
}

async fn leases_run_out<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    queue.publish(&event(&cluster, "1")).await?;
    let lost = take(queue, &cluster).await?;
    let again = take(queue, &cluster).await?;
    ensure!(
        again.event.id == "1" && again.attempt == 2,
        "attempt {}",
        again.attempt
    );
    match queue.ack(lost, &[]).await {
        Err(QueueError::Lost(_)) => {}
        other => bail!("answering a lease that ran out gave {other:?}"),
    }
    queue.ack(again, &[]).await?;
    nothing(queue, &cluster).await
}

async fn extended_leases_stay<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    queue.publish(&event(&cluster, "1")).await?;
    let lease = take(queue, &cluster).await?;
    let holding = async {
        loop {
            tokio::time::sleep(queue.patience() / 4).await;
            if let Err(error) = queue.extend(&lease).await {
                return error;
            }
        }
    };
    tokio::select! {
        error = holding => bail!("the lease could not be held: {error}"),
        second = queue.next(&cluster) => bail!("given out twice: {second:?}"),
        () = tokio::time::sleep(queue.patience() * 3) => {}
    }
    queue.ack(lease, &[]).await?;
    nothing(queue, &cluster).await
}

async fn retries<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
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

async fn dead_letters<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
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
    ensure!(
        queue
            .list(10)
            .await?
            .iter()
            .any(|entry| entry.event.id == "1")
    );

    queue.replay("1").await?;
    let again = take(queue, &cluster).await?;
    ensure!(
        again.attempt == 1,
        "replay counts anew, but attempt is {}",
        again.attempt
    );
    queue.dead(again, "poison still").await?;
    queue.discard("1").await?;
    for gone in [queue.replay("1").await, queue.discard("1").await] {
        ensure!(matches!(gone, Err(QueueError::Unknown(_))), "{gone:?}");
    }
    nothing(queue, &cluster).await
}

async fn waiting_consumers_wake<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    let event = event(&cluster, "1");
    let publishing = async {
        tokio::time::sleep(QUIET).await;
        queue.publish(&event).await
    };
    let (taken, published) = tokio::join!(take(queue, &cluster), publishing);
    published?;
    ensure!(taken?.event.id == "1");
    Ok(())
}

fn cluster(name: &str) -> anyhow::Result<ClusterName> {
    Ok(name.parse()?)
}

fn event(cluster: &ClusterName, id: &str) -> Event {
    Event::new(EventKind::Moved, "/conformance", cluster, id)
}

async fn take<Q: EventQueue>(queue: &Q, cluster: &ClusterName) -> anyhow::Result<Lease> {
    let next = tokio::time::timeout(DEADLINE, queue.next(cluster));
    Ok(next.await.context("no event came")??)
}

async fn nothing<Q: EventQueue>(queue: &Q, cluster: &ClusterName) -> anyhow::Result<()> {
    match tokio::time::timeout(QUIET, queue.next(cluster)).await {
        Err(_) => Ok(()),
        Ok(lease) => bail!("an event came that must not: {lease:?}"),
    }
}
