//! What one worker has learnt, as the others that share its clusters are told it: whole rows, never what changed in them.
//! A row says itself whether it was told, so the word is on disk with what causes it, two changes in a row are one word, and a
//! word that comes twice, late or in another order does no harm (`learn`). With the embedded queue nobody asks for it.

use rusqlite::{Connection, OptionalExtension as _, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::preview::Preview;

use super::clusters::{Quarantined, quarantined};
use super::reports::{self, Report};
use super::requests::KnownRequest;
use super::{Store, StoreError};

/// Of each kind, what a worker is told that is new or was away for too long.
const AGAIN: i64 = 200;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum Told {
    /// How a roll, or an attempt at one, ended.
    #[serde(rename = "windlass.told.report.v1")]
    Report(Box<ToldReport>),
    /// What is known of a pull request.
    #[serde(rename = "windlass.told.request.v1")]
    Request(Box<ToldRequest>),
    /// A preview that has a page.
    #[serde(rename = "windlass.told.preview.v1")]
    Preview(Box<ToldPreview>),
    /// What people said of a cluster, and how far it is rolled.
    #[serde(rename = "windlass.told.cluster.v1")]
    Cluster(ToldCluster),
    /// A worker is new, or was away for too long: it wants to be told what there is.
    #[serde(rename = "windlass.told.asked.v1")]
    Asked,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToldReport {
    /// Milliseconds since 1970; later than every report of the cluster that its worker knew.
    pub at: i64,
    pub report: Report,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToldRequest {
    /// Milliseconds since 1970; later than what its worker knew of the request before.
    pub at: i64,
    pub request: KnownRequest,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToldPreview {
    /// The end of its page's address.
    pub id: String,
    /// Milliseconds since 1970.
    pub stored: i64,
    pub preview: Preview,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToldCluster {
    /// Milliseconds since 1970; later than what its worker knew of the cluster before.
    pub at: i64,
    /// The commit that every reachable node holds.
    pub rolled: Option<String>,
    /// A rewound commit that a person said yes to.
    pub accepted: Option<String>,
    /// What a person released, though it is not what was reviewed.
    pub released: Option<Digest>,
    pub quarantine: Vec<Quarantined>,
}

/// The row that a word is of, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Report(i64),
    Request(String, i64, i64),
    Preview(String),
    Cluster(String, i64),
}

/// A row that nobody was told yet.
#[derive(Debug, Clone)]
pub struct Untold {
    pub row: Row,
    /// Absent where this version cannot read what another one wrote: it is left alone.
    pub told: Option<(ClusterName, Told)>,
}

impl Store {
    /// Under which name this worker is told things.
    pub async fn worker(&self) -> Result<String, StoreError> {
        self.call(|connection| {
            let transaction = connection.transaction()?;
            let known = transaction.query_row("SELECT id FROM worker", [], |row| row.get(0));
            let id = match known.optional()? {
                Some(id) => id,
                None => {
                    let id = Uuid::new_v4().simple().to_string();
                    transaction.execute("INSERT INTO worker (id) VALUES (?1)", [&id])?;
                    id
                }
            };
            transaction.commit()?;
            Ok::<String, rusqlite::Error>(id)
        })
        .await
    }

    /// At most so many of each kind, the oldest first.
    pub async fn untold(&self, limit: u32) -> Result<Vec<Untold>, StoreError> {
        self.call(move |connection| -> Result<Vec<Untold>, StoreError> {
            let mut untold = previews(connection, limit)?;
            untold.extend(requests(connection, limit)?);
            untold.extend(clusters(connection, limit)?);
            // What wakes others comes when they have the rest.
            untold.extend(reports(connection, limit)?);
            Ok(untold)
        })
        .await
    }

    /// The broker has these now. A row that has changed meanwhile is told once more.
    pub async fn was_told(&self, rows: Vec<Row>) -> Result<(), StoreError> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            for row in rows {
                match row {
                    Row::Report(id) => {
                        transaction.execute("UPDATE report SET told = 1 WHERE id = ?1", [id])
                    }
                    Row::Request(cluster, number, at) => transaction.execute(
                        "UPDATE request SET told = 1 WHERE cluster = ?1 AND number = ?2 AND changed = ?3",
                        params![cluster, number, at],
                    ),
                    Row::Preview(id) => {
                        transaction.execute("UPDATE preview SET told = 1 WHERE id = ?1", [id])
                    }
                    Row::Cluster(name, at) => transaction.execute(
                        "UPDATE cluster SET told = 1 WHERE name = ?1 AND at = ?2",
                        params![name, at],
                    ),
                }?;
            }
            transaction.commit()
        })
        .await
    }

    /// Somebody asks: the newest of everything is told once more.
    pub async fn tell_again(&self) -> Result<(), StoreError> {
        self.call(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "UPDATE report SET told = 0 WHERE id IN (SELECT id FROM report ORDER BY at DESC LIMIT ?1)",
                [AGAIN],
            )?;
            transaction.execute(
                "UPDATE request SET told = 0 WHERE rowid IN
                 (SELECT rowid FROM request ORDER BY stage = 'over', changed DESC LIMIT ?1)",
                [AGAIN],
            )?;
            transaction.execute(
                "UPDATE preview SET told = 0 WHERE id IN (SELECT id FROM preview ORDER BY stored DESC LIMIT ?1)",
                [AGAIN],
            )?;
            transaction.execute("UPDATE cluster SET told = 0 WHERE at > 0", [])?;
            transaction.commit()
        })
        .await?;
        self.news().notify_waiters();
        Ok(())
    }
}

fn reports(connection: &Connection, limit: u32) -> Result<Vec<Untold>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id, at, body FROM report WHERE told = 0 ORDER BY id LIMIT ?1")?;
    let rows = statement.query_map([limit], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
    })?;
    let mut untold = Vec::new();
    for row in rows {
        let (id, at, body): (i64, i64, String) = row?;
        let report = reports::read(0, &body).ok();
        untold.push(Untold {
            row: Row::Report(id),
            told: report.map(|report| {
                let cluster = report.cluster.clone();
                (cluster, Told::Report(Box::new(ToldReport { at, report })))
            }),
        });
    }
    Ok(untold)
}

fn requests(connection: &Connection, limit: u32) -> Result<Vec<Untold>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT cluster, number, changed, body FROM request WHERE told = 0 ORDER BY changed LIMIT ?1",
    )?;
    let rows = statement.query_map([limit], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let mut untold = Vec::new();
    for row in rows {
        let (name, number, at, body): (String, i64, i64, String) = row?;
        let request: Option<KnownRequest> = serde_json::from_str(&body).ok();
        let told = request.map(|request| Told::Request(Box::new(ToldRequest { at, request })));
        let cluster: Option<ClusterName> = name.parse().ok();
        untold.push(Untold {
            told: cluster.zip(told),
            row: Row::Request(name, number, at),
        });
    }
    Ok(untold)
}

fn previews(connection: &Connection, limit: u32) -> Result<Vec<Untold>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, stored, body FROM preview WHERE told = 0 ORDER BY stored LIMIT ?1",
    )?;
    let rows = statement.query_map([limit], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
    })?;
    let mut untold = Vec::new();
    for row in rows {
        let (id, stored, body): (String, i64, String) = row?;
        let preview: Option<Preview> = serde_json::from_str(&body).ok();
        untold.push(Untold {
            row: Row::Preview(id.clone()),
            told: preview.map(|preview| {
                let cluster = preview.cluster.clone();
                let told = ToldPreview {
                    id,
                    stored,
                    preview,
                };
                (cluster, Told::Preview(Box::new(told)))
            }),
        });
    }
    Ok(untold)
}

fn clusters(connection: &Connection, limit: u32) -> Result<Vec<Untold>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, at, rolled, accepted, released FROM cluster WHERE told = 0 LIMIT ?1",
    )?;
    let mut held = connection
        .prepare_cached("SELECT bundle, reason, at, times FROM quarantine WHERE cluster = ?1")?;
    let rows = statement.query_map([limit], |row| {
        let released: Option<String> = row.get(4)?;
        let said = ToldCluster {
            at: row.get(1)?,
            rolled: row.get(2)?,
            accepted: row.get(3)?,
            released: released.and_then(|digest| digest.parse().ok()),
            quarantine: Vec::new(),
        };
        Ok((row.get::<_, String>(0)?, said))
    })?;
    let mut untold = Vec::new();
    for row in rows {
        let (name, mut said) = row?;
        let quarantine = held.query_map([&name], quarantined)?;
        let quarantine = quarantine.filter_map(Result::transpose);
        said.quarantine = quarantine.collect::<rusqlite::Result<_>>()?;
        let at = said.at;
        let cluster: Option<ClusterName> = name.parse().ok();
        untold.push(Untold {
            told: cluster.map(|cluster| (cluster, Told::Cluster(said))),
            row: Row::Cluster(name, at),
        });
    }
    Ok(untold)
}
