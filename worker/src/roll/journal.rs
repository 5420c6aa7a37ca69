//! The roll's journal: append-only rows, each on disk before the step that follows from it. Replayed, it gives the
//! roll's state as it was when the worker died.

use std::future::Future;

use jiff::Timestamp;
use rusqlite::OptionalExtension as _;
use windlass_core::ids::ClusterName;
use windlass_core::outcome::Outcome;
use windlass_core::plan::Plan;
use windlass_core::roll::Entry;

use crate::store::{Store, StoreError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RollId(pub i64);

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the roll's journal cannot be written or read")]
    Store(#[from] StoreError),
    #[error("an entry of the roll's journal cannot be read")]
    Damaged(#[from] serde_json::Error),
}

/// A roll that was begun and is not over.
#[derive(Debug, Clone)]
pub struct OpenRoll {
    pub id: RollId,
    pub plan: Plan,
    pub entries: Vec<Entry>,
}

/// A roll that is over, and nobody was told yet how it ended.
#[derive(Debug, Clone)]
pub struct Untold {
    pub plan: Plan,
    pub outcome: Outcome,
    pub begun: Timestamp,
}

pub trait Journal: Send + Sync {
    fn begin(&self, plan: &Plan) -> impl Future<Output = Result<RollId, JournalError>> + Send;
    /// No more fits: the roll must come to its end here.
    fn is_full(&self) -> bool {
        false
    }

    fn append(
        &self,
        roll: RollId,
        entry: &Entry,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;
    fn close(
        &self,
        roll: RollId,
        outcome: &Outcome,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;
    fn unfinished(
        &self,
        cluster: &ClusterName,
    ) -> impl Future<Output = Result<Option<OpenRoll>, JournalError>> + Send;
    /// One that had touched nothing is over: there is nothing to tell.
    fn forget(&self, roll: RollId) -> impl Future<Output = Result<(), JournalError>> + Send;
}

/// In the worker's database, which syncs every transaction.
#[derive(Debug, Clone)]
pub struct StoreJournal {
    store: Store,
}

impl StoreJournal {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// What a worker that was killed between a roll's end and its report left. Storing a report settles it.
    pub async fn untold(&self, cluster: &ClusterName) -> Result<Option<Untold>, JournalError> {
        let cluster = cluster.to_string();
        let row = self.store.call(move |db| {
            let newest = "SELECT plan, outcome, begun FROM roll
                WHERE cluster = ?1 AND told = 0 AND outcome IS NOT NULL ORDER BY id DESC LIMIT 1";
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            db.query_row(newest, [cluster], columns).optional()
        });
        let row: Option<(String, String, String)> = row.await?;
        row.map(|(plan, outcome, begun)| {
            Ok(Untold {
                plan: serde_json::from_str(&plan)?,
                outcome: serde_json::from_str(&outcome)?,
                begun: begun.parse().unwrap_or_else(|_| Timestamp::now()),
            })
        })
        .transpose()
    }
}

impl Journal for StoreJournal {
    async fn begin(&self, plan: &Plan) -> Result<RollId, JournalError> {
        let cluster = plan.cluster.to_string();
        let plan = serde_json::to_string(plan)?;
        let begun = Timestamp::now().to_string();
        let insert = "INSERT INTO roll (cluster, begun, plan) VALUES (?1, ?2, ?3)";
        let id = self.store.call(move |db| {
            db.execute(insert, (cluster, begun, plan))?;
            Ok::<_, rusqlite::Error>(db.last_insert_rowid())
        });
        Ok(RollId(id.await?))
    }

    async fn append(&self, roll: RollId, entry: &Entry) -> Result<(), JournalError> {
        let entry = serde_json::to_string(entry)?;
        let insert = "INSERT INTO roll_entry (roll, entry) VALUES (?1, ?2)";
        let done = self.store.call(move |db| {
            let mut insert = db.prepare_cached(insert)?;
            insert.execute((roll.0, entry)).map(drop)
        });
        Ok(done.await?)
    }

    async fn close(&self, roll: RollId, outcome: &Outcome) -> Result<(), JournalError> {
        let outcome = serde_json::to_string(outcome)?;
        let update = "UPDATE roll SET outcome = ?2 WHERE id = ?1";
        let done = self
            .store
            .call(move |db| db.execute(update, (roll.0, outcome)).map(drop));
        Ok(done.await?)
    }

    async fn forget(&self, roll: RollId) -> Result<(), JournalError> {
        let delete = "DELETE FROM roll WHERE id = ?1";
        let done = self
            .store
            .call(move |db| db.execute(delete, [roll.0]).map(drop));
        Ok(done.await?)
    }

    async fn unfinished(&self, cluster: &ClusterName) -> Result<Option<OpenRoll>, JournalError> {
        let cluster = cluster.to_string();
        let rows = self.store.call(move |db| {
            let newest = "SELECT id, plan FROM roll WHERE cluster = ?1 AND outcome IS NULL
                ORDER BY id DESC LIMIT 1";
            let mut newest = db.prepare_cached(newest)?;
            let mut rows = newest.query([cluster])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            let (id, plan): (i64, String) = (row.get(0)?, row.get(1)?);
            let mut entries =
                db.prepare_cached("SELECT entry FROM roll_entry WHERE roll = ?1 ORDER BY id")?;
            let entries = entries.query_map([id], |row| row.get(0))?;
            let entries: Vec<String> = entries.collect::<Result<_, _>>()?;
            Ok::<_, rusqlite::Error>(Some((id, plan, entries)))
        });
        let Some((id, plan, entries)) = rows.await? else {
            return Ok(None);
        };
        let entries = entries.iter().map(|entry| serde_json::from_str(entry));
        Ok(Some(OpenRoll {
            id: RollId(id),
            plan: serde_json::from_str(&plan)?,
            entries: entries.collect::<Result<_, _>>()?,
        }))
    }
}
