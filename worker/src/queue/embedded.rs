//! The queue without a broker: one table in the worker's database. Taking an event is a single statement, so
//! two consumers cannot take the same one, and a process that dies in between leaves a lease that runs out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio::sync::Notify;
use uuid::Uuid;
use windlass_core::ids::ClusterName;

use super::{BrokerFigures, Event, EventQueue, Lease, Published, QueueError, QueueState, Queued};
use crate::store::{Store, StoreError};

/// How long done events are remembered, so that the same id is not taken for a new one.
const REMEMBERED_MS: i64 = 7 * 24 * 3600 * 1000;
/// Another process (the CLI) may publish; nobody tells us then.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub struct EmbeddedQueue {
    store: Store,
    patience: Duration,
    published: Arc<Notify>,
}

impl EmbeddedQueue {
    /// `patience`: for how long an event may be held before it is given out again.
    pub fn new(store: Store, patience: Duration) -> Self {
        Self {
            store,
            patience,
            published: Arc::new(Notify::new()),
        }
    }

    /// Gives out again what a worker before us held when it died. Only for the one process that owns the state
    /// directory.
    pub async fn reclaim(&self) -> Result<usize, QueueError> {
        self.call(|connection| {
            connection.execute(
                "UPDATE event SET state = 'ready', lease = NULL, leased_until = NULL WHERE state = 'leased'",
                [],
            )
        })
        .await
    }

    async fn call<T, F>(&self, work: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let done = self.store.call(work).await;
        done.map_err(|error: StoreError| QueueError::Backend(error.to_string()))
    }

    /// Changes the event that is held under this lease; an error where it is not any more.
    async fn answer(
        &self,
        lease: &Lease,
        change: &'static str,
        at: i64,
        why: &str,
    ) -> Result<(), QueueError> {
        let (token, why) = (lease.token.clone(), why.to_owned());
        let changed = self
            .call(move |connection| {
                connection.execute(
                    &format!("UPDATE event SET {change} WHERE lease = ?1 AND state = 'leased'"),
                    params![token, at, why],
                )
            })
            .await?;
        if changed == 1 {
            Ok(())
        } else {
            Err(QueueError::Lost(lease.event.id.clone()))
        }
    }

    async fn of_dead(&self, id: &str, sql: &'static str) -> Result<(), QueueError> {
        let owned = id.to_owned();
        let changed = self
            .call(move |connection| connection.execute(sql, params![owned, now()]))
            .await?;
        if changed == 1 {
            Ok(())
        } else {
            Err(QueueError::Unknown(id.to_owned()))
        }
    }
}

impl EventQueue for EmbeddedQueue {
    async fn publish(&self, event: &Event) -> Result<Published, QueueError> {
        let row = queueable(event)?;
        let added = self
            .call(move |connection| insert(connection, &row))
            .await?;
        if added == 0 {
            return Ok(Published::Known);
        }
        self.published.notify_waiters();
        Ok(Published::New)
    }

    async fn next(&self, cluster: &ClusterName) -> Result<Lease, QueueError> {
        loop {
            // Registered before looking, so that an event published in between is not missed.
            let published = self.published.notified();
            tokio::pin!(published);
            published.as_mut().enable();
            let (name, patience) = (cluster.to_string(), millis(self.patience));
            let taken = self
                .call(move |connection| take(connection, &name, patience))
                .await?;
            match taken {
                Taken::Event(lease) => return Ok(*lease),
                Taken::Unreadable => {}
                Taken::Nothing { wait_ms } => {
                    let wait = Duration::from_millis(wait_ms).min(LOOK_AGAIN);
                    // Whichever comes first: we look again.
                    let _ = tokio::time::timeout(wait, published).await;
                }
            }
        }
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    async fn extend(&self, lease: &Lease) -> Result<(), QueueError> {
        let until = now() + millis(self.patience);
        self.answer(lease, "leased_until = ?2, why = ?3", until, "")
            .await
    }

    async fn ack(&self, lease: Lease, then: &[Event]) -> Result<(), QueueError> {
        let rows: Vec<Queueable> = then.iter().map(queueable).collect::<Result<_, _>>()?;
        let token = lease.token.clone();
        let held = self
            .call(move |connection| done(connection, &token, &rows))
            .await?;
        if !held {
            return Err(QueueError::Lost(lease.event.id));
        }
        // The next event of this cluster may be taken now.
        self.published.notify_waiters();
        Ok(())
    }

    async fn retry(&self, lease: Lease, delay: Duration, why: &str) -> Result<(), QueueError> {
        let due = now() + millis(delay);
        self.answer(
            &lease,
            "state = 'ready', lease = NULL, due = ?2, why = ?3",
            due,
            why,
        )
        .await?;
        self.published.notify_waiters();
        Ok(())
    }

    async fn dead(&self, lease: Lease, why: &str) -> Result<(), QueueError> {
        self.answer(
            &lease,
            "state = 'dead', lease = NULL, due = ?2, why = ?3",
            now(),
            why,
        )
        .await?;
        self.published.notify_waiters();
        Ok(())
    }

    async fn ready(&self) -> Result<(), QueueError> {
        self.list(1).await.map(drop)
    }

    async fn broker(&self) -> Option<BrokerFigures> {
        None
    }

    async fn list(&self, limit: u32) -> Result<Vec<Queued>, QueueError> {
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

    async fn show(&self, id: &str) -> Result<Option<Queued>, QueueError> {
        let id = id.to_owned();
        self.call(move |connection| {
            let found = connection
                .query_row(&format!("{LISTED} WHERE id = ?1"), [id], queued)
                .optional()?;
            Ok(found.flatten())
        })
        .await
    }

    async fn replay(&self, id: &str) -> Result<(), QueueError> {
        self.of_dead(
            id,
            "UPDATE event SET state = 'ready', attempts = 0, due = ?2 WHERE id = ?1 AND state = 'dead'",
        )
        .await?;
        self.published.notify_waiters();
        Ok(())
    }

    async fn discard(&self, id: &str) -> Result<(), QueueError> {
        self.of_dead(
            id,
            "UPDATE event SET state = 'done', due = ?2 WHERE id = ?1 AND state = 'dead'",
        )
        .await
    }
}

const LISTED: &str = "SELECT body, state, attempts, due, why FROM event";

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// An event as its row holds it.
struct Queueable {
    id: String,
    cluster: String,
    body: String,
}

fn queueable(event: &Event) -> Result<Queueable, QueueError> {
    let body = serde_json::to_string(event);
    Ok(Queueable {
        id: event.id.clone(),
        cluster: event.subject.to_string(),
        body: body.map_err(|e| QueueError::Backend(e.to_string()))?,
    })
}

fn insert(connection: &mut Connection, event: &Queueable) -> rusqlite::Result<usize> {
    let now = now();
    let transaction = connection.transaction()?;
    transaction.execute(
        "DELETE FROM event WHERE state = 'done' AND due < ?1",
        [now - REMEMBERED_MS],
    )?;
    let added = add(&transaction, event, now)?;
    transaction.commit()?;
    Ok(added)
}

fn add(connection: &Connection, event: &Queueable, now: i64) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT INTO event (id, cluster, body, state, published, due) VALUES (?1, ?2, ?3, 'ready', ?4, ?4)
         ON CONFLICT (id) DO NOTHING",
        params![event.id, event.cluster, event.body, now],
    )
}

/// Whether the event was still held; only then it is done, and what follows from it is there.
fn done(connection: &mut Connection, token: &str, then: &[Queueable]) -> rusqlite::Result<bool> {
    let now = now();
    let transaction = connection.transaction()?;
    let changed = transaction.execute(
        "UPDATE event SET state = 'done', lease = NULL, due = ?2, why = ''
         WHERE lease = ?1 AND state = 'leased'",
        params![token, now],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    for event in then {
        add(&transaction, event, now)?;
    }
    transaction.commit()?;
    Ok(true)
}

enum Taken {
    Event(Box<Lease>),
    /// An event of another version; it was put among the dead.
    Unreadable,
    Nothing {
        wait_ms: u64,
    },
}

/// The oldest event that is due, a roll's next turn before all others; nothing while another one of this cluster
/// is held.
const TAKE: &str = "
    UPDATE event SET state = 'leased', lease = ?3, leased_until = ?2 + ?4, attempts = attempts + 1
    WHERE seq = (
        SELECT seq FROM event
        WHERE cluster = ?1 AND ((state = 'ready' AND due <= ?2) OR (state = 'leased' AND leased_until <= ?2))
          AND NOT EXISTS (SELECT 1 FROM event WHERE cluster = ?1 AND state = 'leased' AND leased_until > ?2)
        ORDER BY json_extract(body, '$.type') IS NOT 'windlass.roll.turn.v1', seq LIMIT 1)
    RETURNING seq, body, attempts";

fn take(connection: &Connection, cluster: &str, patience: i64) -> rusqlite::Result<Taken> {
    let now = now();
    let token = Uuid::new_v4().to_string();
    let row: Option<(i64, String, u32)> = connection
        .prepare_cached(TAKE)?
        .query_row(params![cluster, now, token, patience], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((seq, body, attempt)) = row else {
        return nothing(connection, cluster, now);
    };
    match serde_json::from_str(&body) {
        Ok(event) => Ok(Taken::Event(Box::new(Lease {
            event,
            attempt,
            token,
        }))),
        Err(error) => {
            connection.execute(
                "UPDATE event SET state = 'dead', lease = NULL, why = ?2 WHERE seq = ?1",
                params![seq, format!("not an event of this version: {error}")],
            )?;
            Ok(Taken::Unreadable)
        }
    }
}

/// How long until an event becomes due or a lease runs out.
fn nothing(connection: &Connection, cluster: &str, now: i64) -> rusqlite::Result<Taken> {
    let next: Option<i64> = connection
        .prepare_cached(
            "SELECT min(CASE state WHEN 'ready' THEN due ELSE leased_until END) FROM event
             WHERE cluster = ?1 AND state IN ('ready', 'leased')
               AND (CASE state WHEN 'ready' THEN due ELSE leased_until END) > ?2",
        )?
        .query_row(params![cluster, now], |row| row.get(0))?;
    let wait_ms = next.map_or(u64::MAX, |next| {
        u64::try_from(next - now).unwrap_or(0).max(1)
    });
    Ok(Taken::Nothing { wait_ms })
}

fn queued(row: &Row<'_>) -> rusqlite::Result<Option<Queued>> {
    let body: String = row.get(0)?;
    let state: String = row.get(1)?;
    let state = match state.as_str() {
        "ready" => QueueState::Ready,
        "leased" => QueueState::Leased,
        "dead" => QueueState::Dead,
        _ => QueueState::Done,
    };
    let due = Timestamp::from_millisecond(row.get(3)?).unwrap_or(Timestamp::UNIX_EPOCH);
    // An event of another version is listed by nothing but its row; it cannot be shown.
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

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
