//! The queue without a broker: one table in the worker's database. Taking an event is a single statement, so
//! two consumers cannot take the same one, and a process that dies in between leaves a lease that runs out.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::Notify;
use windlass_core::ids::ClusterName;

use super::rows::{
    LISTED, Queueable, Taken, Wanted, done, figures, insert, millis, now, queueable, queued, take,
};
use super::{
    Answered, Chosen, Event, EventQueue, Lane, Lease, Published, QueueError, QueueFigures, Queued,
};
use crate::store::{Store, StoreError};

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
        let (token, breaks, why) = (lease.token.clone(), lease.breaks, why.to_owned());
        let changed = self
            .call(move |connection| {
                connection.execute(
                    &format!("UPDATE event SET {change} WHERE lease = ?1 AND state = 'leased'"),
                    params![token, at, why, breaks],
                )
            })
            .await?;
        if changed == 1 {
            Ok(())
        } else {
            Err(QueueError::Lost(lease.event.id.clone()))
        }
    }

    async fn wait_for(&self, clusters: &[ClusterName], lane: Lane) -> Result<Lease, QueueError> {
        let wanted = Wanted::of(clusters, lane)?;
        loop {
            // Registered before looking, so that an event published in between is not missed.
            let published = self.published.notified();
            tokio::pin!(published);
            published.as_mut().enable();
            let (wanted, patience) = (wanted.clone(), millis(self.patience));
            let taken = self
                .call(move |connection| take(connection, &wanted, patience))
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

    /// Changes all of the chosen, or none.
    async fn of_dead(&self, which: &Chosen, sql: &'static str) -> Result<Answered, QueueError> {
        let which = which.clone();
        let changed = self.call(move |connection| {
            let transaction = connection.transaction()?;
            let ids: Vec<String> = match which {
                Chosen::These(ids) => ids,
                Chosen::All => transaction
                    .prepare("SELECT id FROM event WHERE state = 'dead' ORDER BY seq")?
                    .query_map([], |row| row.get(0))?
                    .collect::<Result<_, _>>()?,
            };
            for id in &ids {
                if transaction.execute(sql, params![id, now()])? == 0 {
                    return Ok(Err(QueueError::Unknown(id.clone())));
                }
            }
            transaction.commit()?;
            Ok(Ok(ids))
        });
        Ok(Answered {
            done: changed.await??,
            left: Vec::new(),
        })
    }

    async fn listed(&self, rest: &'static str, limit: u32) -> Result<Vec<Queued>, QueueError> {
        self.call(move |connection| {
            connection
                .prepare_cached(&format!("{LISTED} {rest} LIMIT ?1"))?
                .query_map([limit], queued)?
                .collect()
        })
        .await
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
        self.wait_for(std::slice::from_ref(cluster), Lane::Cluster)
            .await
    }

    async fn next_shared(&self, clusters: &[ClusterName]) -> Result<Lease, QueueError> {
        self.wait_for(clusters, Lane::Shared).await
    }

    async fn came(&self, _: &ClusterName) {
        self.published.notified().await;
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    async fn extend(&self, lease: &Lease) -> Result<(), QueueError> {
        let until = now() + millis(self.patience);
        self.answer(lease, "leased_until = ?2, why = ?3, breaks = ?4", until, "")
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
            "state = 'ready', lease = NULL, due = ?2, why = ?3, breaks = ?4",
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
            "state = 'dead', lease = NULL, due = ?2, why = ?3, breaks = ?4",
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

    async fn figures(&self) -> QueueFigures {
        let queues = self.call(|connection| figures(connection)).await;
        QueueFigures {
            connected: None,
            // The same database gives all other metrics, and says what is wrong with it.
            queues: queues.unwrap_or_default(),
        }
    }

    async fn list(&self, limit: u32) -> Result<Vec<Queued>, QueueError> {
        let order = "ORDER BY state = 'done', state != 'dead', state != 'leased', seq DESC";
        self.listed(order, limit).await
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<Queued>, QueueError> {
        self.listed("WHERE state = 'dead' ORDER BY seq", limit)
            .await
    }

    async fn show(&self, id: &str) -> Result<Option<Queued>, QueueError> {
        let id = id.to_owned();
        self.call(move |connection| {
            connection
                .query_row(&format!("{LISTED} WHERE id = ?1"), [id], queued)
                .optional()
        })
        .await
    }

    async fn replay(&self, which: &Chosen) -> Result<Answered, QueueError> {
        let replayed = self
            .of_dead(
                which,
                "UPDATE event SET state = 'ready', attempts = 0, breaks = 0, due = ?2 WHERE id = ?1 AND state = 'dead'",
            )
            .await?;
        self.published.notify_waiters();
        Ok(replayed)
    }

    async fn discard(&self, which: &Chosen) -> Result<Answered, QueueError> {
        self.of_dead(
            which,
            "UPDATE event SET state = 'done', due = ?2 WHERE id = ?1 AND state = 'dead'",
        )
        .await
    }
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
