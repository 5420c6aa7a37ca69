//! The history: how each roll ended, told by the same value everywhere.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::outcome::Outcome;

use super::{Store, StoreError};

/// How many reports are kept for each cluster.
const KEPT: i64 = 1000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Given by the store; 0 before it is stored.
    #[serde(default)]
    pub id: i64,
    /// Names the roll where any worker may carry out its turns: two reports of the same roll are one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll: Option<String>,
    pub cluster: ClusterName,
    pub commit: String,
    pub subject: String,
    /// Absent where the commit gave no bundle.
    pub bundle: Option<Digest>,
    /// What a review of the bundle can show; equal to a preview's bundle where nothing differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<Digest>,
    /// What woke the worker: "push", "poll", "sweep" …
    pub trigger: String,
    #[schemars(with = "String")]
    pub started: Timestamp,
    #[schemars(with = "String")]
    pub ended: Timestamp,
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Store {
    /// Stores a report and gives it back with its id.
    pub async fn add_report(&self, mut report: Report) -> Result<Report, StoreError> {
        self.call(move |connection| -> Result<Report, StoreError> {
            let body = serde_json::to_string(&report)?;
            let transaction = connection.transaction()?;
            transaction.execute(
                r#"INSERT INTO report (cluster, "commit", started, ended, outcome, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"#,
                params![
                    report.cluster.as_str(), report.commit, report.started.as_millisecond(),
                    report.ended.as_millisecond(), report.outcome.word(), body
                ],
            )?;
            report.id = transaction.last_insert_rowid();
            transaction.execute(
                "DELETE FROM report WHERE cluster = ?1 AND id NOT IN
                 (SELECT id FROM report WHERE cluster = ?1 ORDER BY id DESC LIMIT ?2)",
                params![report.cluster.as_str(), KEPT],
            )?;
            transaction.commit()?;
            Ok(report)
        })
        .await
    }

    /// The newest first; of all clusters where none is named.
    pub async fn reports(
        &self,
        cluster: Option<&ClusterName>,
        limit: u32,
    ) -> Result<Vec<Report>, StoreError> {
        let name = cluster.map(ToString::to_string);
        self.call(move |connection| -> Result<Vec<Report>, StoreError> {
            let mut statement = connection.prepare_cached(
                "SELECT id, body FROM report WHERE ?1 IS NULL OR cluster = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![name, limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })?;
            rows.map(|row| row.map_err(StoreError::from).and_then(|(id, body)| read(id, &body)))
                .collect()
        })
        .await
    }

    /// As `reports`, of one cluster and older than the report with this id.
    pub async fn reports_before(
        &self,
        cluster: &ClusterName,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Report>, StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| -> Result<Vec<Report>, StoreError> {
            let mut statement = connection.prepare_cached(
                "SELECT id, body FROM report WHERE cluster = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
            )?;
            let rows = statement.query_map(params![name, before, limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })?;
            rows.map(|row| row.map_err(StoreError::from).and_then(|(id, body)| read(id, &body)))
                .collect()
        })
        .await
    }

    /// When the last roll ended that changed something on a node.
    pub async fn settled(&self, cluster: &ClusterName) -> Result<Option<Timestamp>, StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| -> Result<Option<Timestamp>, StoreError> {
            let ended: Option<i64> = connection.query_row(
                "SELECT max(ended) FROM report WHERE cluster = ?1 AND outcome IN ('rolled out', 'rolled back', 'stuck')",
                [name],
                |row| row.get(0),
            )?;
            Ok(ended.and_then(|ended| Timestamp::from_millisecond(ended).ok()))
        })
        .await
    }

    pub async fn report(&self, id: i64) -> Result<Option<Report>, StoreError> {
        self.call(move |connection| -> Result<Option<Report>, StoreError> {
            let body: Option<String> = connection
                .query_row("SELECT body FROM report WHERE id = ?1", [id], |row| {
                    row.get(0)
                })
                .optional()?;
            body.map(|body| read(id, &body)).transpose()
        })
        .await
    }

    /// How this roll ended, where this worker was told.
    pub async fn report_of(&self, roll: &str) -> Result<Option<Report>, StoreError> {
        let roll = roll.to_owned();
        self.call(move |connection| -> Result<Option<Report>, StoreError> {
            let found: Option<(i64, String)> = connection
                .query_row(
                    "SELECT id, body FROM report WHERE json_extract(body, '$.roll') = ?1",
                    [roll],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            found.map(|(id, body)| read(id, &body)).transpose()
        })
        .await
    }
}

fn read(id: i64, body: &str) -> Result<Report, StoreError> {
    let report: Report = serde_json::from_str(body)?;
    Ok(Report { id, ..report })
}
