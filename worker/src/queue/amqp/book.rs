//! What this worker knows of the events that go through the broker, in its own database: those that the broker
//! has not confirmed yet (the outbox), and those whose id it must know when it comes again. An event is here before
//! it counts as published, so a broker that is away delays it and loses nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio::sync::oneshot;

use crate::queue::{Content, Event, Published, QueueError, QueueState, Queued};
use crate::store::{Store, StoreError};

/// How long events are remembered.
const REMEMBERED_MS: i64 = 7 * 24 * 3600 * 1000;

#[derive(Debug, Clone)]
pub(super) struct Book {
    store: Store,
    /// Events that gather while the disk is busy with those before them: one sync serves all of them.
    entering: Arc<Mutex<Vec<Entering>>>,
}

/// An event on its way into the outbox, and who waits for it.
#[derive(Debug)]
struct Entering {
    id: String,
    cluster: String,
    body: String,
    entered: oneshot::Sender<Published>,
}

/// An event that the broker has not confirmed yet.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) place: Place,
    pub(super) body: String,
}

/// What waits for the same queue, told from outside: the body may be unreadable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) cluster: String,
    pub(super) kind: String,
}

impl Book {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            entering: Arc::default(),
        }
    }

    pub(super) async fn call<T, F>(&self, work: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let done = self.store.call(work).await;
        done.map_err(|error: StoreError| QueueError::Backend(error.to_string()))
    }

    /// Puts an event into the outbox.
    pub(super) async fn enter(&self, event: &Event) -> Result<Published, QueueError> {
        let (sender, entered) = oneshot::channel();
        let entering = Entering {
            id: event.id.clone(),
            cluster: event.subject.to_string(),
            body: text(event)?,
            entered: sender,
        };
        lock(&self.entering).push(entering);
        let gathered = Arc::clone(&self.entering);
        self.call(move |connection| {
            let gathered = std::mem::take(&mut *lock(&gathered));
            enter_all(connection, gathered)
        })
        .await?;
        // Whoever took ours along could not write it, and was told why.
        let lost = |_| QueueError::Backend("the outbox could not be written".to_owned());
        entered.await.map_err(lost)
    }

    /// The outbox, oldest first, but for what is for these places.
    pub(super) async fn waiting(
        &self,
        limit: u32,
        except: Vec<Place>,
    ) -> Result<Vec<Waiting>, QueueError> {
        let except = except.iter().map(|place| (&place.cluster, &place.kind));
        let except = serde_json::to_string(&except.collect::<Vec<_>>());
        let except = except.map_err(|error| QueueError::Backend(error.to_string()))?;
        self.call(move |connection| {
            connection
                .prepare_cached(&format!(
                    "{WAITING} WHERE NOT EXISTS (
                         SELECT 1 FROM json_each(?2) WHERE value ->> 0 = cluster AND value ->> 1 = kind)
                     ORDER BY seq LIMIT ?1"
                ))?
                .query_map(params![limit, except], waiting)?
                .collect()
        })
        .await
    }

    /// The oldest of the outbox that is for this place.
    pub(super) async fn oldest_of(&self, place: &Place) -> Result<Option<Waiting>, QueueError> {
        let Place { cluster, kind } = place.clone();
        self.call(move |connection| {
            connection
                .prepare_cached(&format!(
                    "{WAITING} WHERE cluster = ?1 AND kind = ?2 ORDER BY seq LIMIT 1"
                ))?
                .query_row([cluster, kind], waiting)
                .optional()
        })
        .await
    }

    /// The broker has confirmed these.
    pub(super) async fn sent(&self, seqs: Vec<i64>) -> Result<(), QueueError> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            for seq in seqs {
                transaction
                    .prepare_cached(
                        "UPDATE broker_event SET state = 'sent', at = ?2,
                             body = CASE WHEN json_valid(body) THEN json_remove(body, '$.data') ELSE body END
                         WHERE seq = ?1 AND state = 'waiting'",
                    )?
                    .execute(params![seq, now()])?;
            }
            transaction.commit()
        })
        .await
    }

    /// An event was worked on, and what follows from it is with the broker.
    pub(super) async fn done(&self, event: &Event, then: &[Event]) -> Result<(), QueueError> {
        let mut rows = vec![(brief(event)?, "done")];
        for event in then {
            rows.push((brief(event)?, "sent"));
        }
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            for ((id, cluster, body), state) in &rows {
                note(&transaction, id, cluster, body, state, now(), 0, "")?;
            }
            transaction.commit()
        })
        .await
    }

    pub(super) async fn delayed(
        &self,
        event: &Event,
        attempts: u32,
        delay: Duration,
        why: &str,
    ) -> Result<(), QueueError> {
        let (id, cluster, body) = brief(event)?;
        let due = now().saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        let why = why.to_owned();
        self.call(move |connection| {
            note(
                connection, &id, &cluster, &body, "delayed", due, attempts, &why,
            )
        })
        .await
    }

    /// Given up or given back: where it is now only the broker knows.
    pub(super) async fn let_go(&self, event: &Event) -> Result<(), QueueError> {
        let (id, cluster, body) = brief(event)?;
        self.call(move |connection| note(connection, &id, &cluster, &body, "sent", now(), 0, ""))
            .await
    }

    /// Whether this worker has worked on it before.
    pub(super) async fn is_done(&self, id: &str) -> Result<bool, QueueError> {
        let id = id.to_owned();
        self.call(move |connection| {
            connection
                .prepare_cached("SELECT 1 FROM broker_event WHERE id = ?1 AND state = 'done'")?
                .exists([id])
        })
        .await
    }

    pub(super) async fn find(&self, id: &str) -> Result<Option<Queued>, QueueError> {
        let id = id.to_owned();
        self.call(move |connection| {
            let found = connection
                .query_row(&format!("{LISTED} WHERE id = ?1"), [id], queued)
                .optional()?;
            Ok(found.flatten())
        })
        .await
    }

    /// Those that wait first, then those that the broker has, then those that are done; newest first.
    pub(super) async fn list(&self, limit: u32) -> Result<Vec<Queued>, QueueError> {
        self.call(move |connection| {
            connection
                .prepare_cached(&format!(
                    "{LISTED} ORDER BY CASE WHEN state = 'waiting' THEN 0 WHEN state = 'delayed' AND due > ?2 THEN 1
                                            WHEN state = 'done' THEN 3 ELSE 2 END, seq DESC LIMIT ?1"
                ))?
                .query_map(params![limit, now()], queued)?
                .filter_map(Result::transpose)
                .collect()
        })
        .await
    }
}

const LISTED: &str = "SELECT body, state, attempts, due, why FROM broker_event";
const WAITING: &str = "SELECT seq, id, cluster, kind, body FROM (
    SELECT seq, id, cluster, body,
           CASE WHEN json_valid(body) THEN coalesce(json_extract(body, '$.type'), '') ELSE '' END AS kind
    FROM broker_event WHERE state = 'waiting')";

fn lock(entering: &Mutex<Vec<Entering>>) -> MutexGuard<'_, Vec<Entering>> {
    // Whoever panicked while holding it left whole events behind.
    entering.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody is told before all of them are on disk.
fn enter_all(connection: &mut Connection, events: Vec<Entering>) -> rusqlite::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let now = now();
    let transaction = connection.transaction()?;
    transaction
        .prepare_cached("DELETE FROM broker_event WHERE state IN ('sent', 'done') AND at < ?1")?
        .execute([now - REMEMBERED_MS])?;
    let mut answers = Vec::with_capacity(events.len());
    for event in events {
        let added = transaction
            .prepare_cached(
                "INSERT INTO broker_event (id, cluster, body, state, at, due)
                 VALUES (?1, ?2, ?3, 'waiting', ?4, ?4) ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![event.id, event.cluster, event.body, now])?;
        let published = match added {
            0 => Published::Known,
            _ => Published::New,
        };
        answers.push((event.entered, published));
    }
    transaction.commit()?;
    for (entered, published) in answers {
        // Whoever asked may have gone; the event stays.
        let _ = entered.send(published);
    }
    Ok(())
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

fn text(event: &Event) -> Result<String, QueueError> {
    serde_json::to_string(event).map_err(|error| QueueError::Backend(error.to_string()))
}

/// Id, cluster and what is kept of an event: its data can be large, and only the broker needs it.
fn brief(event: &Event) -> Result<(String, String, String), QueueError> {
    let kept = Event {
        data: None,
        ..event.clone()
    };
    Ok((event.id.clone(), event.subject.to_string(), text(&kept)?))
}

#[expect(clippy::too_many_arguments, reason = "one for each column")]
fn note(
    connection: &Connection,
    id: &str,
    cluster: &str,
    body: &str,
    state: &str,
    due: i64,
    attempts: u32,
    why: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO broker_event (id, cluster, body, state, at, due, attempts, why)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (id) DO UPDATE SET body = ?3, state = ?4, at = ?5, due = ?6, attempts = max(attempts, ?7), why = ?8",
        )?
        .execute(params![id, cluster, body, state, now(), due, attempts, why])
        .map(drop)
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    Ok(Waiting {
        seq: row.get(0)?,
        id: row.get(1)?,
        place: Place {
            cluster: row.get(2)?,
            kind: row.get(3)?,
        },
        body: row.get(4)?,
    })
}

fn queued(row: &Row<'_>) -> rusqlite::Result<Option<Queued>> {
    let body: String = row.get(0)?;
    let state: String = row.get(1)?;
    let due = Timestamp::from_millisecond(row.get(3)?).unwrap_or(Timestamp::UNIX_EPOCH);
    let state = match state.as_str() {
        "waiting" => QueueState::Ready,
        // Once its delay is over any worker may have taken it, and only the broker knows.
        "delayed" if due > Timestamp::now() => QueueState::Ready,
        "done" => QueueState::Done,
        _ => QueueState::Sent,
    };
    // What cannot be read is among the dead letters, and told there.
    let Ok(event) = serde_json::from_str(&body) else {
        return Ok(None);
    };
    Ok(Some(Queued {
        event: Content::Event(event),
        state,
        attempts: row.get(2)?,
        due,
        why: row.get(4)?,
    }))
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
