//! What every queue backend must keep, as one suite that each backend's tests run. It needs a backend whose
//! `patience` is short, and waits for conditions instead of for times.

mod answers;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use windlass_core::ids::ClusterName;

use answers::{breaks, dead_letters, retries};

use super::{Chosen, Event, EventKind, EventQueue, Lease, Published, QueueError, QueueState};

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
    breaks(&make().await).await.context("breaks")?;
    dead_letters(&make().await).await.context("dead letters")?;
    waiting_consumers_wake(&make().await)
        .await
        .context("waiting consumers wake")?;
    lanes(&make().await).await.context("lanes")?;
    orders(&make().await).await.context("orders")?;
    shared_events_are_answered(&make().await)
        .await
        .context("shared events are answered")
}

/// What two workers with the same queue must see of each other.
pub async fn together<Q: EventQueue>(one: &Q, other: &Q) -> anyhow::Result<()> {
    let cluster = cluster("one")?;
    let clusters = std::slice::from_ref(&cluster);
    let both = tokio::join!(
        quiet(one.next_shared(clusters)),
        quiet(other.next_shared(clusters))
    );
    both.0.and(both.1).context("before anything is published")?;
    for id in ["o1", "o2"] {
        one.publish(&order(&cluster, id)).await?;
    }
    let (holder, first) = either(one, other, clusters).await?;
    let idle = if std::ptr::eq(holder, one) {
        other
    } else {
        one
    };
    ensure!(first.event.id == "o1", "{first:?}");
    quiet(idle.next_shared(clusters))
        .await
        .context("an order beside an order")?;
    for n in 0..8_u64 {
        one.publish(&request(&cluster, n)).await?;
    }
    // Neither of them answers, and all are taken.
    let mut taken = Vec::new();
    while taken.len() < 8 {
        let (queue, lease) = either(one, other, clusters).await?;
        ensure!(lease.event.kind == EventKind::Request, "{lease:?}");
        queue.ack(lease.clone(), &[]).await?;
        taken.push(lease.event.id);
    }
    taken.sort();
    taken.dedup();
    ensure!(taken.len() == 8, "taken twice: {taken:?}");
    holder.ack(first, &[]).await?;
    let (queue, second) = either(one, other, clusters).await?;
    ensure!(second.event.id == "o2", "{second:?}");
    queue.ack(second, &[]).await?;
    Ok(())
}

/// Neither lane waits for the other or takes what is the other's, and the shared one gives out many at once.
async fn lanes<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let (one, other) = (cluster("one")?, cluster("other")?);
    let both = [one.clone(), other.clone()];
    queue.publish(&request(&one, 1)).await?;
    nothing(queue, &one).await?;
    queue.publish(&event(&one, "roll")).await?;
    queue.publish(&request(&other, 2)).await?;
    queue.publish(&request(&one, 3)).await?;
    let first = take_shared(queue, &both).await?;
    let roll = take(queue, &one).await?;
    ensure!(roll.event.id == "roll", "{roll:?}");
    let second = take_shared(queue, &both).await?;
    quiet(queue.next_shared(&[cluster("third")?])).await?;
    let third = take_shared(queue, &both).await?;
    let mut ids = [&first, &second, &third].map(|lease| lease.event.id.as_str());
    ids.sort_unstable();
    ensure!(ids == ["r1", "r2", "r3"], "{ids:?}");
    quiet(queue.next_shared(&both)).await?;
    queue.publish(&event(&one, "next")).await?;
    nothing(queue, &one).await?;
    for lease in [third, first, roll, second] {
        queue.ack(lease, &[]).await?;
    }
    ensure!(take(queue, &one).await?.event.id == "next");
    Ok(())
}

/// One order at a time for each cluster; other kinds and clusters do not wait for it.
async fn orders<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let (one, other) = (cluster("one")?, cluster("other")?);
    let both = [one.clone(), other.clone()];
    queue.publish(&order(&one, "a")).await?;
    queue.publish(&order(&one, "b")).await?;
    let first = take_shared(queue, &both).await?;
    ensure!(first.event.id == "a", "{first:?}");
    quiet(queue.next_shared(&both)).await?;
    queue.publish(&order(&other, "c")).await?;
    let beside = take_shared(queue, &both).await?;
    ensure!(beside.event.id == "c", "{beside:?}");
    queue.publish(&request(&one, 1)).await?;
    let request = take_shared(queue, &both).await?;
    ensure!(request.event.id == "r1", "{request:?}");
    queue.ack(first, &[]).await?;
    let second = take_shared(queue, &both).await?;
    ensure!(second.event.id == "b", "{second:?}");
    // What nobody answers in time comes again here, too.
    let again = take_shared(queue, &both).await?;
    ensure!(again.attempt == 2, "{again:?}");
    Ok(())
}

/// With what follows from them, another time, or among the dead.
async fn shared_events_are_answered<Q: EventQueue>(queue: &Q) -> anyhow::Result<()> {
    let one = cluster("one")?;
    let clusters = std::slice::from_ref(&one);
    queue.publish(&request(&one, 1)).await?;
    let lease = take_shared(queue, clusters).await?;
    queue.ack(lease, &[event(&one, "follows")]).await?;
    let lease = take(queue, &one).await?;
    ensure!(lease.event.id == "follows", "{lease:?}");
    queue.ack(lease, &[]).await?;
    queue.publish(&request(&one, 2)).await?;
    let lease = take_shared(queue, clusters).await?;
    let wait = Duration::from_secs(1);
    queue.retry(lease, wait, "forge away").await?;
    let lease = take_shared(queue, clusters).await?;
    ensure!(lease.attempt == 2, "{lease:?}");
    queue.dead(lease, "poison").await?;
    quiet(queue.next_shared(clusters)).await?;
    queue.replay(&Chosen::one("r2")).await?;
    let lease = take_shared(queue, clusters).await?;
    ensure!(
        (lease.event.id.as_str(), lease.attempt) == ("r2", 1),
        "{lease:?}"
    );
    queue.ack(lease, &[]).await?;
    quiet(queue.next_shared(clusters)).await
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
    quiet(queue.next(cluster)).await
}

fn request(cluster: &ClusterName, number: u64) -> Event {
    let event = Event::new(
        EventKind::Request,
        "/conformance",
        cluster,
        format!("r{number}"),
    );
    event.with(serde_json::json!({ "request": number }))
}

fn order(cluster: &ClusterName, id: &str) -> Event {
    let event = Event::new(EventKind::Order, "/conformance", cluster, id);
    event.with(serde_json::json!({ "certificate": id }))
}

async fn take_shared<Q: EventQueue>(queue: &Q, clusters: &[ClusterName]) -> anyhow::Result<Lease> {
    let next = tokio::time::timeout(DEADLINE, queue.next_shared(clusters));
    Ok(next.await.context("no shared event came")??)
}

/// What either of them is given, and which.
async fn either<'a, Q: EventQueue>(
    one: &'a Q,
    other: &'a Q,
    clusters: &[ClusterName],
) -> anyhow::Result<(&'a Q, Lease)> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < DEADLINE {
        // In turn: a call that is dropped in the middle may have taken something.
        for queue in [one, other] {
            let next = queue.next_shared(clusters);
            if let Ok(lease) = tokio::time::timeout(QUIET * 4, next).await {
                return Ok((queue, lease?));
            }
        }
    }
    bail!("no shared event came to either")
}

async fn quiet(next: impl Future<Output = Result<Lease, QueueError>>) -> anyhow::Result<()> {
    match tokio::time::timeout(QUIET, next).await {
        Err(_) => Ok(()),
        Ok(lease) => bail!("an event came that must not: {lease:?}"),
    }
}
