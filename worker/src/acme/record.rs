//! What goes from one worker's database into another's: a certificate's orders with all they need to go on, an account,
//! the commit that was rolled. As text that is sealed before it leaves the worker.

use std::fmt;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};
use windlass_core::acme::Entry;
use windlass_core::ids::ClusterName;
use windlass_core::model::names::Label;

use super::past::entries;

/// So many of a certificate's orders tell how long it has failed, and when it succeeded last.
const TOLD: i64 = 12;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Certificate(Label),
    /// By its directory.
    Account(String),
    Rolled,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(name) => write!(f, "certificate {name}"),
            Self::Account(directory) => write!(f, "account {directory}"),
            Self::Rolled => f.write_str("rolled"),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    /// Grows with every change, whichever worker makes it.
    pub(super) version: i64,
    #[serde(flatten)]
    pub(super) what: What,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub(super) enum What {
    Certificate(Box<Certificate>),
    Account {
        directory: String,
        credentials: Option<String>,
    },
    Rolled {
        commit: String,
        at: Timestamp,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Certificate {
    pub(super) name: Label,
    orders: Vec<Stored>,
    suggestion: Option<String>,
    asked: i64,
    /// Absent in what a worker of an older version wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_by: Option<String>,
    /// Chain and key in use.
    pub(super) pem: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    over: bool,
    key: Option<String>,
    entries: Vec<(i64, String)>,
}

impl Certificate {
    /// Nobody wants it any more.
    pub(super) fn is_forgotten(&self) -> bool {
        self.orders.is_empty() && self.pem.is_none()
    }
}

impl Record {
    pub(super) fn key(&self) -> Key {
        match &self.what {
            What::Certificate(own) => Key::Certificate(own.name.clone()),
            What::Account { directory, .. } => Key::Account(directory.clone()),
            What::Rolled { .. } => Key::Rolled,
        }
    }
}

/// What this database holds under the key; `None`: nothing.
pub(super) fn read(
    db: &Connection,
    cluster: &ClusterName,
    key: &Key,
) -> rusqlite::Result<Option<What>> {
    let cluster = cluster.as_str();
    Ok(match key {
        Key::Certificate(name) => {
            Some(What::Certificate(Box::new(certificate(db, cluster, name)?)))
        }
        Key::Account(directory) => {
            let select =
                "SELECT credentials FROM acme_account WHERE cluster = ?1 AND directory = ?2";
            let credentials = db
                .query_row(select, [cluster, directory], |row| row.get(0))
                .optional()?;
            Some(What::Account {
                directory: directory.clone(),
                credentials,
            })
        }
        Key::Rolled => rolled(db, cluster)?.map(|(commit, at)| What::Rolled { commit, at }),
    })
}

pub(super) fn rolled(
    db: &Connection,
    cluster: &str,
) -> rusqlite::Result<Option<(String, Timestamp)>> {
    let select = "SELECT rolled, at FROM acme_rolled WHERE cluster = ?1";
    let found: Option<(String, i64)> = db
        .query_row(select, [cluster], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.and_then(|(commit, at)| Some((commit, Timestamp::from_millisecond(at).ok()?))))
}

fn certificate(db: &Connection, cluster: &str, name: &Label) -> rusqlite::Result<Certificate> {
    let select = "SELECT id, over, key FROM acme_order WHERE cluster = ?1 AND certificate = ?2
                  ORDER BY id DESC LIMIT ?3";
    let latest: Vec<(i64, bool, Option<String>)> = db
        .prepare_cached(select)?
        .query_map(params![cluster, name.as_str(), TOLD], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut orders = Vec::new();
    for (id, over, key) in latest.into_iter().rev() {
        let mut entries = entries(db, id)?;
        if over {
            entries.iter_mut().for_each(|(_, entry)| shorten(entry));
        }
        orders.push(Stored { over, key, entries });
    }
    let select = "SELECT suggestion, asked, asked_by FROM acme_certificate
                  WHERE cluster = ?1 AND certificate = ?2";
    let beside = db
        .query_row(select, [cluster, name.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let (suggestion, asked, asked_by) = beside.unwrap_or((None, 0, None));
    Ok(Certificate {
        name: name.clone(),
        orders,
        suggestion,
        asked,
        asked_by,
        pem: None,
    })
}

/// Nobody needs the chain of an order that is over: it lies beside its key.
fn shorten(entry: &mut String) {
    if let Ok(Entry::Downloaded { .. }) = serde_json::from_str(entry)
        && let Ok(short) = serde_json::to_string(&Entry::Downloaded {
            chain: String::new(),
        })
    {
        *entry = short;
    }
}

/// Puts it in the place of what this database holds.
pub(super) fn write(
    tx: &Transaction<'_>,
    cluster: &ClusterName,
    what: &What,
) -> rusqlite::Result<()> {
    let cluster = cluster.as_str();
    match what {
        What::Certificate(own) => write_certificate(tx, cluster, own),
        What::Account {
            directory,
            credentials: Some(credentials),
        } => tx
            .execute(
                "INSERT OR REPLACE INTO acme_account (cluster, directory, credentials) VALUES (?1, ?2, ?3)",
                [cluster, directory, credentials],
            )
            .map(drop),
        What::Account { directory, .. } => tx
            .execute(
                "DELETE FROM acme_account WHERE cluster = ?1 AND directory = ?2",
                [cluster, directory],
            )
            .map(drop),
        What::Rolled { commit, at } => tx
            .execute(
                "INSERT OR REPLACE INTO acme_rolled (cluster, rolled, at) VALUES (?1, ?2, ?3)",
                params![cluster, commit, at.as_millisecond()],
            )
            .map(drop),
    }
}

fn write_certificate(
    tx: &Transaction<'_>,
    cluster: &str,
    own: &Certificate,
) -> rusqlite::Result<()> {
    let name = own.name.as_str();
    tx.execute(
        "DELETE FROM acme_order WHERE cluster = ?1 AND certificate = ?2",
        [cluster, name],
    )?;
    for order in &own.orders {
        tx.execute(
            "INSERT INTO acme_order (cluster, certificate, key, over) VALUES (?1, ?2, ?3, ?4)",
            params![cluster, name, order.key, order.over],
        )?;
        let id = tx.last_insert_rowid();
        for (at, entry) in &order.entries {
            tx.execute(
                "INSERT INTO acme_entry (order_id, at, entry) VALUES (?1, ?2, ?3)",
                params![id, at, entry],
            )?;
        }
    }
    tx.execute(
        "INSERT OR REPLACE INTO acme_certificate (cluster, certificate, suggestion, asked, asked_by) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![cluster, name, own.suggestion, own.asked, own.asked_by],
    )
    .map(drop)
}

/// Everything that this database holds of a cluster.
pub(super) fn keys(db: &Connection, cluster: &ClusterName) -> rusqlite::Result<Vec<Key>> {
    let all = |select: &str| -> rusqlite::Result<Vec<String>> {
        db.prepare_cached(select)?
            .query_map([cluster.as_str()], |row| row.get(0))?
            .collect()
    };
    let certificates = all("SELECT DISTINCT certificate FROM acme_order WHERE cluster = ?1")?;
    let accounts = all("SELECT directory FROM acme_account WHERE cluster = ?1")?;
    let certificates = certificates.iter().filter_map(|name| name.parse().ok());
    let mut keys: Vec<Key> = certificates.map(Key::Certificate).collect();
    keys.extend(accounts.into_iter().map(Key::Account));
    Ok(keys)
}
