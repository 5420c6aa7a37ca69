//! What is sent from the outbox, and what is not sent twice; and the figures that are told of all this.

use std::time::Duration;

use anyhow::{Result, ensure};
use windlass::queue::{Event, EventQueue, Figures, QueueState};
use windlass_core::ids::ClusterName;
use windlass_tests::broker::Version;

use super::faults::until;
use super::letters::{Stranger, dead};
use super::place::{Place, cluster, event, on_each_broker, take};

on_each_broker!(
    a_full_queue_holds_up_no_other_and_nothing_is_sent_twice,
    what_another_version_left_is_put_aside_and_stops_nothing,
    its_figures_are_those_of_the_queues,
);

const LONG: Duration = Duration::from_secs(60);
/// More than are sent at once.
const MANY: usize = 500;

fn of_full(id: &str) -> Result<Event> {
    let full: ClusterName = "full".parse()?;
    Ok(Event {
        subject: full,
        ..event(id)
    })
}

async fn a_full_queue_holds_up_no_other_and_nothing_is_sent_twice(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let (node, url) = (place.broker.node(0), place.broker.url("v0"));
    let queue = place.queue(&url, "w", LONG)?;
    queue.publish(&of_full("first")?).await?;
    until("the queue is there", || async {
        let shown = queue.show("first").await.ok().flatten();
        shown.is_some_and(|queued| queued.state == QueueState::Sent)
    })
    .await?;
    let pattern = "^windlass.v1.cluster.full$";
    let one = "{\"max-length\":1}";
    node.ctl(&["set_policy", "--vhost", "v0", "small", pattern, one])?;
    for n in 0..MANY {
        queue.publish(&of_full(&n.to_string())?).await?;
    }
    // Entered after all of those.
    for id in ["a", "b"] {
        queue.publish(&event(id)).await?;
        let lease = take(&queue).await?;
        ensure!(lease.event.id == id, "{lease:?}");
        queue.ack(lease, &[]).await?;
    }
    // Those that wait come first in the list.
    let some_wait = || async {
        let listed = queue.list(1).await.unwrap_or_default();
        listed
            .iter()
            .any(|queued| queued.state == QueueState::Ready)
    };
    ensure!(some_wait().await, "it is not full");
    node.ctl(&["clear_policy", "--vhost", "v0", "small"])?;
    until("all are sent", || async { !some_wait().await }).await?;
    let stranger = Stranger::at(&url).await?;
    queue.publish(&of_full("last")?).await?;
    let mut ids = stranger.taken("windlass.v1.cluster.full", "last").await?;
    let all = ids.len();
    ids.sort();
    ids.dedup();
    ensure!(ids.len() == MANY + 2, "{} events arrived", ids.len());
    ensure!(ids.len() == all, "{} came twice", all - ids.len());
    queue.close().await;
    Ok(())
}

async fn what_another_version_left_is_put_aside_and_stops_nothing(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let store = place.store("w")?;
    let newer = serde_json::to_string(&event("newer"))?.replace("moved.v1", "moved.v9");
    for (id, body) in [("newer", newer), ("torn", "{\"id".to_owned())] {
        let left = store.call(move |connection| {
            connection.execute(
                "INSERT INTO broker_event (id, cluster, body, state, at, due) VALUES (?1, 'example', ?2, 'waiting', 0, 0)",
                [id, body.as_str()],
            )
        });
        left.await?;
    }
    let queue = place.queue(&place.broker.url("v0"), "w", LONG)?;
    queue.publish(&event("after")).await?;
    ensure!(take(&queue).await?.event.id == "after");
    let dead = dead(&queue, 2).await?;
    for (queued, id) in dead.iter().zip(["newer", "torn"]) {
        ensure!(
            queued.id() == id && queued.readable().is_none(),
            "{queued:?}"
        );
        ensure!(
            queued.why.contains("not an event of this version"),
            "{queued:?}"
        );
    }
    queue.close().await;
    Ok(())
}

async fn its_figures_are_those_of_the_queues(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let queue = place.queue(&place.broker.url("v0"), "w", LONG)?;
    let events = ["dead", "delayed", "held", "ready"].map(event);
    for event in &events {
        queue.publish(event).await?;
    }
    let lease = take(&queue).await?;
    queue.dead(lease, "poison").await?;
    let lease = take(&queue).await?;
    queue.retry(lease, Duration::from_secs(300), "away").await?;
    let _held = take(&queue).await?;
    let of = |figures: &std::collections::BTreeMap<String, Figures>, name: &str| {
        figures.get(name).copied().unwrap_or_default()
    };
    let [dead, delayed, held, _] = &events;
    let wanted = [
        // What this worker was given ahead of its work is its own as well.
        (format!("windlass.v1.cluster.{}", cluster()), 0, 2, held, 1),
        ("windlass.v1.delay.300".to_owned(), 1, 0, delayed, 0),
        ("windlass.v1.dead.moved".to_owned(), 1, 0, dead, 0),
    ];
    let wanted = wanted.map(|(name, ready, held, oldest, retries)| {
        let figures = Figures {
            ready: Some(ready),
            held,
            oldest: Some(oldest.time),
            retries,
        };
        (name, figures)
    });
    until("the figures are as they should be", || async {
        let figures = queue.figures().await;
        let is = |(name, wanted): &(String, Figures)| of(&figures.queues, name) == *wanted;
        figures.connected == Some(true) && wanted.iter().all(is)
    })
    .await?;
    let none = of(&queue.figures().await.queues, "windlass.v1.dead.sweep");
    ensure!((none.ready, none.oldest) == (Some(0), None), "{none:?}");
    queue.close().await;
    Ok(())
}
