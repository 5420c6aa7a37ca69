//! What this worker knows of the events that go through the broker, in its own database: those that the broker
//! has not confirmed yet (the outbox), and those whose id it must know when it comes again. An event is here before
//! it counts as published, so a broker that is away delays it and loses nothing.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::queue::{Event, Published, QueueError, QueueState, Queued};
use crate::store::{Store, StoreError};

/// How long events are remembered.
const REMEMBERED_MS: i64 = 7 * 24 * 3600 * 1000;

#[derive(Debug, Clone)]
pub(super) struct Book {
    store: Store,
}

/// An event that the broker has not confirmed yet.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) seq: i64,
    pub(super) body: String,
}

impl Book {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn call<T, F>(&self, work: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let done = self.store.call(work).await;
        done.map_err(|error: StoreError| QueueError::Backend(error.to_string()))
    }

    /// Puts an event into the outbox.
    pub(super) async fn enter(&self, event: &Event) -> Result<Published, QueueError> {
        let (id, cluster, body) = (event.id.clone(), event.subject.to_string(), text(event)?);
        let added = self
            .call(move |connection| {
                let now = now();
                let transaction = connection.transaction()?;
                transaction.execute(
                    "DELETE FROM broker_event WHERE state IN ('sent', 'done') AND at < ?1",
                    [now - REMEMBERED_MS],
                )?;
                let added = transaction.execute(
                    "INSERT INTO broker_event (id, cluster, body, state, at, due)
                     VALUES (?1, ?2, ?3, 'waiting', ?4, ?4) ON CONFLICT (id) DO NOTHING",
                    params![id, cluster, body, now],
                )?;
                transaction.commit()?;
                Ok(added)
            })
            .await?;
        Ok(if added == 0 {
            Published::Known
        } else {
            Published::New
        })
    }

    /// The outbox, oldest first.
    pub(super) async fn waiting(&self, limit: u32) -> Result<Vec<Waiting>, QueueError> {
        self.call(move |connection| {
            connection
                .prepare_cached(
                    "SELECT seq, body FROM broker_event WHERE state = 'waiting' ORDER BY seq LIMIT ?1",
                )?
                .query_map([limit], |row| {
                    Ok(Waiting {
                        seq: row.get(0)?,
                        body: row.get(1)?,
                    })
                })?
                .collect()
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
                        "UPDATE broker_event SET state = 'sent', at = ?2, body = json_remove(body, '$.data')
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

    /// Those that are not done first, newest first.
    pub(super) async fn list(&self, limit: u32) -> Result<Vec<Queued>, QueueError> {
        self.call(move |connection| {
            connection
                .prepare_cached(&format!(
                    "{LISTED} ORDER BY state = 'done', seq DESC LIMIT ?1"
                ))?
                .query_map([limit], queued)?
                .filter_map(Result::transpose)
                .collect()
        })
        .await
    }
}

const LISTED: &str = "SELECT body, state, attempts, due, why FROM broker_event";

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

fn queued(row: &Row<'_>) -> rusqlite::Result<Option<Queued>> {
    let body: String = row.get(0)?;
    let state: String = row.get(1)?;
    let state = match state.as_str() {
        "waiting" | "delayed" => QueueState::Ready,
        "done" => QueueState::Done,
        _ => QueueState::Sent,
    };
    let due = Timestamp::from_millisecond(row.get(3)?).unwrap_or(Timestamp::UNIX_EPOCH);
    let Ok(event) = serde_json::from_str(&body) else {
        return Ok(None);
    };
    Ok(Some(Queued {
        event,
        state,
        attempts: row.get(2)?,
        due,
        why: row.get(4)?,
    }))
}
