//! The broker in figures, for metrics: asked for when they are read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::dead;
use super::inner::{Inner, lock};
use super::session::Session;
use super::topology;
use crate::queue::{Content, EventKind, QueueError, QueueFigures};

/// Metrics come late rather than never, but not later than this.
const LONGEST: Duration = Duration::from_secs(3);
/// Dead letters are looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// What a look at a queue of dead letters showed.
#[derive(Debug)]
pub(super) struct Looked {
    count: u64,
    oldest: Option<Timestamp>,
    at: Instant,
}

pub(super) async fn of(inner: &Inner) -> QueueFigures {
    let mut figures = QueueFigures {
        connected: Some(false),
        ..QueueFigures::default()
    };
    for queued in inner.here() {
        if let Content::Event(event) = queued.event {
            let name = topology::queue_of(&event.subject, event.kind);
            let queue = figures.queues.entry(name).or_default();
            queue.held += 1;
            queue.saw(event.time);
        }
    }
    // The same database gives all other metrics, and says what is wrong with it.
    let _ = of_book(inner, &mut figures).await;
    let Some(session) = inner.session_now() else {
        return figures;
    };
    figures.connected = Some(true);
    // A broker that does not answer in time is told of by what is missing.
    let _ = tokio::time::timeout(LONGEST, of_broker(inner, &session, &mut figures)).await;
    figures
}

/// What this worker has put back itself; events that cannot be read count nowhere.
async fn of_book(inner: &Inner, figures: &mut QueueFigures) -> Result<(), QueueError> {
    let now = Timestamp::now().as_millisecond();
    let retries = inner.book.call(|connection| {
        let mut statement = connection.prepare_cached(
            "SELECT cluster, json_extract(body, '$.type') AS kind, sum(attempts) FROM broker_event
             WHERE json_valid(body) GROUP BY cluster, kind",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<Result<Vec<(String, String, u32)>, _>>()
    });
    for (cluster, kind, retries) in retries.await? {
        let kind = serde_json::from_value::<EventKind>(kind.into());
        if let (Ok(cluster), Ok(kind)) = (cluster.parse(), kind) {
            let name = topology::queue_of(&cluster, kind);
            figures.queues.entry(name).or_default().retries += u64::from(retries);
        }
    }
    let delayed = inner.book.call(move |connection| {
        let mut statement = connection.prepare_cached(
            "SELECT due - at, json_extract(body, '$.time') FROM broker_event
             WHERE state = 'delayed' AND due > ?1 AND json_valid(body)",
        )?;
        let rows = statement.query_map([now], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<Vec<(u32, String)>, _>>()
    });
    for (delay, published) in delayed.await? {
        if let Ok(published) = published.parse() {
            let (name, _) = topology::delay_for(Duration::from_millis(delay.into()));
            figures.queues.entry(name).or_default().saw(published);
        }
    }
    Ok(())
}

/// What no worker has been given, and how long the dead letters have been there.
async fn of_broker(
    inner: &Inner,
    session: &Session,
    figures: &mut QueueFigures,
) -> Result<(), String> {
    let channel = session.aside().await?;
    let worker = inner.store.worker().await;
    let told = topology::told_queue(&worker.map_err(|error| error.to_string())?);
    let wanted = inner.wanted().into_iter();
    let clusters =
        wanted.flat_map(|(cluster, lane)| topology::queues_of(&cluster, lane).into_keys());
    for name in clusters
        .chain(topology::delay_queues())
        .chain(topology::dead_queues())
        // A moment after the connection it may not be there yet, and a question for it ends the channel.
        .chain([told])
    {
        let look = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let found = channel.queue_declare(name.as_str().into(), look, FieldTable::default());
        let found = found.await.map_err(|error| error.to_string())?;
        let ready = u64::from(found.message_count());
        figures.queues.entry(name).or_default().ready = Some(ready);
    }
    // Closed or not, it ends with the connection.
    let _ = channel.close(200, "counted".into()).await;
    let oldest = of_dead(inner, session, figures).await;
    for (name, published) in oldest.map_err(|error| error.to_string())? {
        figures.queues.entry(name).or_default().saw(published);
    }
    Ok(())
}

/// When the oldest dead letter of each queue was published. A look counts as a delivery, so there is one only where the
/// count has changed, or after a while.
async fn of_dead(
    inner: &Inner,
    session: &Session,
    figures: &QueueFigures,
) -> Result<BTreeMap<String, Timestamp>, QueueError> {
    let count = |name: &String| figures.queues.get(name).and_then(|queue| queue.ready);
    let (mut known, mut unknown) = (BTreeMap::new(), Vec::new());
    for name in topology::dead_queues() {
        let Some(count) = count(&name).filter(|count| *count > 0) else {
            continue;
        };
        match lock(&inner.looked).get(&name) {
            Some(looked) if looked.count == count && looked.at.elapsed() < LOOK_AGAIN => {
                known.extend(looked.oldest.map(|oldest| (name, oldest)));
            }
            _ => unknown.push(name),
        }
    }
    if unknown.is_empty() {
        return Ok(known);
    }
    let found = dead::oldest(session, unknown.clone()).await?;
    let found: BTreeMap<_, _> = found.into_iter().collect();
    let mut looked = lock(&inner.looked);
    for name in unknown {
        let look = Looked {
            count: count(&name).unwrap_or_default(),
            oldest: found.get(&name).copied(),
            at: Instant::now(),
        };
        looked.insert(name, look);
    }
    drop(looked);
    known.extend(found);
    Ok(known)
}
