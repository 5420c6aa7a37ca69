//! What is remembered of each watched cluster: which commit was looked at, which one its nodes hold, and which
//! bundles are in quarantine.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::plan::Tried;

use super::{Store, StoreError};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterRecord {
    /// The commit looked at last.
    pub seen: Option<String>,
    /// The commit that every reachable node holds.
    pub rolled: Option<String>,
    /// A rewound commit that a person said yes to.
    pub accepted: Option<String>,
    /// What this worker saw when it compared the nodes with the newest commit last.
    pub compared: Option<String>,
    #[schemars(with = "Option<String>")]
    pub compared_at: Option<Timestamp>,
    /// What a person released, though it is not what was reviewed.
    pub released: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quarantined {
    pub bundle: Digest,
    pub reason: String,
    /// When it was rolled back last.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// How often it was rolled back.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

impl Store {
    pub async fn cluster(&self, cluster: &ClusterName) -> Result<ClusterRecord, StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| {
            connection
                .query_row(
                    "SELECT seen, rolled, accepted, compared, compared_at, released FROM cluster WHERE name = ?1",
                    [name],
                    |row| {
                        let at: Option<i64> = row.get(4)?;
                        Ok(ClusterRecord {
                            seen: row.get(0)?,
                            rolled: row.get(1)?,
                            accepted: row.get(2)?,
                            compared: row.get(3)?,
                            compared_at: at.and_then(|at| Timestamp::from_millisecond(at).ok()),
                            released: row
                                .get::<_, Option<String>>(5)?
                                .and_then(|digest| digest.parse().ok()),
                        })
                    },
                )
                .optional()
                .map(Option::unwrap_or_default)
        })
        .await
    }

    pub async fn saw(&self, cluster: &ClusterName, commit: &str) -> Result<(), StoreError> {
        self.remember(cluster, "seen = ?2, seen_at = ?3", commit)
            .await
    }

    /// Every reachable node holds this commit now. A rewind that was accepted is thereby used up.
    pub async fn rolled(&self, cluster: &ClusterName, commit: &str) -> Result<(), StoreError> {
        let columns = "rolled = ?2, rolled_at = ?3, accepted = NULL";
        self.learnt(cluster, columns, commit).await
    }

    pub async fn accept(&self, cluster: &ClusterName, commit: &str) -> Result<(), StoreError> {
        self.learnt(cluster, "accepted = ?2, seen_at = ?3", commit)
            .await
    }

    /// This may be rolled, whatever was reviewed.
    pub async fn release(&self, cluster: &ClusterName, bundle: Digest) -> Result<(), StoreError> {
        self.learnt(cluster, "released = ?2, seen_at = ?3", &bundle.to_string())
            .await
    }

    pub async fn compared(&self, cluster: &ClusterName, found: &str) -> Result<(), StoreError> {
        self.remember(cluster, "compared = ?2, compared_at = ?3", found)
            .await
    }

    /// Something that other workers should know too.
    async fn learnt(
        &self,
        cluster: &ClusterName,
        columns: &'static str,
        value: &str,
    ) -> Result<(), StoreError> {
        self.write(cluster, columns, value, true).await?;
        self.news().notify_waiters();
        Ok(())
    }

    async fn remember(
        &self,
        cluster: &ClusterName,
        columns: &'static str,
        value: &str,
    ) -> Result<(), StoreError> {
        self.write(cluster, columns, value, false).await
    }

    async fn write(
        &self,
        cluster: &ClusterName,
        columns: &'static str,
        value: &str,
        is_news: bool,
    ) -> Result<(), StoreError> {
        let (name, value) = (cluster.to_string(), value.to_owned());
        let now = Timestamp::now().as_millisecond();
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute("INSERT OR IGNORE INTO cluster (name) VALUES (?1)", [&name])?;
            transaction.execute(
                &format!("UPDATE cluster SET {columns} WHERE name = ?1"),
                params![name, value, now],
            )?;
            if is_news {
                touch(&transaction, &name, now)?;
            }
            transaction.commit()
        })
        .await
    }

    pub async fn quarantine(
        &self,
        cluster: &ClusterName,
        bundle: Digest,
        reason: &str,
    ) -> Result<(), StoreError> {
        let (name, reason) = (cluster.to_string(), reason.to_owned());
        let now = Timestamp::now().as_millisecond();
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO quarantine (cluster, bundle, reason, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (cluster, bundle) DO UPDATE
                 SET reason = excluded.reason, at = excluded.at, times = times + 1",
                params![name, bundle.to_string(), reason, now],
            )?;
            touch(&transaction, &name, now)?;
            transaction.commit()
        })
        .await?;
        self.news().notify_waiters();
        Ok(())
    }

    pub async fn quarantined(&self, cluster: &ClusterName) -> Result<Vec<Quarantined>, StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| {
            connection
                .prepare_cached(
                    "SELECT bundle, reason, at, times FROM quarantine WHERE cluster = ?1 ORDER BY at",
                )?
                .query_map([name], quarantined)?
                .filter_map(Result::transpose)
                .collect::<rusqlite::Result<Vec<_>>>()
        })
        .await
    }

    pub async fn quarantined_bundles(
        &self,
        cluster: &ClusterName,
    ) -> Result<BTreeSet<Digest>, StoreError> {
        let entries = self.quarantined(cluster).await?;
        Ok(entries.into_iter().map(|entry| entry.bundle).collect())
    }

    /// How often this bundle was rolled back, and when last.
    pub async fn tried(
        &self,
        cluster: &ClusterName,
        bundle: Digest,
    ) -> Result<Option<Tried>, StoreError> {
        let mut entries = self.quarantined(cluster).await?.into_iter();
        let entry = entries.find(|entry| entry.bundle == bundle);
        Ok(entry.map(|entry| Tried {
            times: entry.times,
            last: entry.at,
        }))
    }

    /// A person says that what was rolled back may be tried again; how many bundles that freed.
    pub async fn lift_quarantine(&self, cluster: &ClusterName) -> Result<usize, StoreError> {
        let name = cluster.to_string();
        let now = Timestamp::now().as_millisecond();
        let freed = self
            .call(move |connection| {
                let transaction = connection.transaction()?;
                let freed =
                    transaction.execute("DELETE FROM quarantine WHERE cluster = ?1", [&name])?;
                if freed > 0 {
                    touch(&transaction, &name, now)?;
                }
                transaction.commit()?;
                Ok::<_, rusqlite::Error>(freed)
            })
            .await?;
        self.news().notify_waiters();
        Ok(freed)
    }
}

/// There is something to tell of the cluster.
fn touch(connection: &Connection, name: &str, now: i64) -> rusqlite::Result<()> {
    connection.execute("INSERT OR IGNORE INTO cluster (name) VALUES (?1)", [name])?;
    connection
        .execute(
            "UPDATE cluster SET told = 0, at = max(?2, at + 1) WHERE name = ?1",
            params![name, now],
        )
        .map(drop)
}

pub(super) fn quarantined(row: &Row<'_>) -> rusqlite::Result<Option<Quarantined>> {
    let (bundle, reason, at): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let times = row.get(3)?;
    let entry = bundle
        .parse()
        .ok()
        .zip(Timestamp::from_millisecond(at).ok());
    Ok(entry.map(|(bundle, at)| Quarantined {
        bundle,
        reason,
        at,
        times,
    }))
}
