//! The history: how each roll ended, told by the same value everywhere.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::outcome::Outcome;

use super::{Store, StoreError};

/// How many reports are kept for each cluster.
const KEPT: i64 = 1000;

/// Of the rolls that are over none is untold any more.
const TOLD: &str =
    "UPDATE roll SET told = 1 WHERE cluster = ?1 AND told = 0 AND outcome IS NOT NULL";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Given by the store, each worker's its own; 0 before it is stored.
    #[serde(default)]
    pub id: i64,
    /// The same at every worker: two reports of this name are one. The roll's own name, where any worker may carry out
    /// its turns; else given by the store.
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
        let report = self
            .call(move |connection| -> Result<Report, StoreError> {
                let transaction = connection.transaction()?;
                let newest: Option<i64> = transaction.query_row(
                    "SELECT max(at) FROM report WHERE cluster = ?1",
                    [report.cluster.as_str()],
                    |row| row.get(0),
                )?;
                let now = Timestamp::now().as_millisecond();
                let at = newest.map_or(now, |newest| now.max(newest + 1));
                let name = || Uuid::new_v4().simple().to_string();
                report.roll.get_or_insert_with(name);
                insert(&transaction, &report, at, false)?;
                report.id = transaction.query_row(
                    "SELECT id FROM report WHERE name = ?1",
                    [&report.roll],
                    |row| row.get(0),
                )?;
                transaction.execute(TOLD, [report.cluster.as_str()])?;
                transaction.commit()?;
                Ok(report)
            })
            .await?;
        self.news().notify_waiters();
        Ok(report)
    }

    /// How a roll ended that was told in the same words before.
    pub async fn told(&self, cluster: &ClusterName) -> Result<(), StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| connection.execute(TOLD, [name]).map(drop))
            .await
    }

    /// Another one where a report has come, from wherever it did.
    pub async fn report_stored_last(
        &self,
        cluster: &ClusterName,
    ) -> Result<Option<i64>, StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| {
            connection.query_row(
                "SELECT max(id) FROM report WHERE cluster = ?1",
                [name],
                |row| row.get(0),
            )
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
                "SELECT id, body FROM report WHERE ?1 IS NULL OR cluster = ?1 ORDER BY at DESC, id DESC LIMIT ?2",
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
                "SELECT id, body FROM report WHERE cluster = ?1
                 AND (?2 IS NULL OR (at, id) < (SELECT at, id FROM report WHERE id = ?2))
                 ORDER BY at DESC, id DESC LIMIT ?3",
            )?;
            let rows = statement.query_map(params![name, before, limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })?;
            rows.map(|row| {
                row.map_err(StoreError::from)
                    .and_then(|(id, body)| read(id, &body))
            })
            .collect()
        })
        .await
    }

    /// Whether there were more than are kept, so that one that is not here may have been.
    pub async fn forgets_reports(&self, cluster: &ClusterName) -> Result<bool, StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| {
            connection.query_row(
                "SELECT count(*) >= ?2 FROM report WHERE cluster = ?1",
                params![name, KEPT],
                |row| row.get(0),
            )
        })
        .await
    }

    /// When the last roll ended that changed something on a node.
    pub async fn settled(&self, cluster: &ClusterName) -> Result<Option<Timestamp>, StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| -> Result<Option<Timestamp>, StoreError> {
            let ended: Option<i64> = connection.query_row(
                "SELECT max(ended) FROM report WHERE cluster = ?1 AND outcome IN ('rolled out', 'rolled back', 'overtaken', 'stuck')",
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
                    "SELECT id, body FROM report WHERE name = ?1",
                    [roll],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            found.map(|(id, body)| read(id, &body)).transpose()
        })
        .await
    }
}

/// Where one of this name is there already, nothing is done.
pub(super) fn insert(
    connection: &Connection,
    report: &Report,
    at: i64,
    told: bool,
) -> Result<(), StoreError> {
    let body = serde_json::to_string(report)?;
    connection.execute(
        r#"INSERT INTO report (cluster, "commit", started, ended, outcome, body, name, at, told)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (name) DO NOTHING"#,
        params![
            report.cluster.as_str(),
            report.commit,
            report.started.as_millisecond(),
            report.ended.as_millisecond(),
            report.outcome.word(),
            body,
            report.roll,
            at,
            told
        ],
    )?;
    connection.execute(
        "DELETE FROM report WHERE cluster = ?1 AND id NOT IN
         (SELECT id FROM report WHERE cluster = ?1 ORDER BY at DESC, id DESC LIMIT ?2)",
        params![report.cluster.as_str(), KEPT],
    )?;
    Ok(())
}

pub(super) fn read(id: i64, body: &str) -> Result<Report, StoreError> {
    let report: Report = serde_json::from_str(body)?;
    Ok(Report { id, ..report })
}
