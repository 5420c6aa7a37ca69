//! What is remembered of requests. It is a cache: without it the comment is found again by its marker, and the
//! request is looked at once more.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::preview::{Preview, Status, Verdict};

use super::{Store, StoreError, previews};

/// A preview with more is remembered without its differences: they are read from where previews are kept.
const MAX_PREVIEW_BYTES: usize = 512 * 1024;
/// Requests that are over are kept this long: someone may reopen one.
const KEPT_DAYS: i64 = 90;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    #[default]
    Open,
    /// Merged, and how it was rolled is not told to its end.
    Merged,
    Over,
}

/// What is known of a request; the same at all workers that share its cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KnownRequest {
    pub number: u64,
    pub stage: Stage,
    pub head: String,
    /// The commit of the branch that it was previewed against.
    pub base: String,
    #[serde(default)]
    pub preview: Option<Preview>,
    /// When the last roll had ended that it was planned after: what a later one left on the nodes it does not know.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub settled: Option<Timestamp>,
    /// Our comment.
    #[serde(default)]
    pub comment: Option<u64>,
    /// The commit and what was said of it last.
    #[serde(default)]
    pub status: Option<(String, Status)>,
    /// The commit that the merge made.
    #[serde(default)]
    pub merged: Option<String>,
    /// The report that was told, by its name.
    #[serde(default)]
    pub told: Option<String>,
    /// The head that someone who may merge asked a preview of.
    #[serde(default)]
    pub wanted: Option<String>,
    /// Comments whose commands were carried out or refused.
    #[serde(default)]
    pub answered: Vec<u64>,
    /// Who holds it.
    #[serde(default)]
    pub held: Option<String>,
    /// The comment that held or released it last.
    #[serde(default)]
    pub ruled: Option<u64>,
    /// The newest comment that was looked at for commands.
    #[serde(default)]
    pub heard: Option<u64>,
    /// What waits for a release, because it is not what was reviewed.
    #[serde(default)]
    pub waits: Option<Digest>,
    /// Who was told that commands are not for them.
    #[serde(default)]
    pub refused: Vec<String>,
}

impl KnownRequest {
    pub fn new(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Whether it was not previewed as it, its base and the nodes are now.
    pub fn is_behind(&self, head: &str, base: &str, settled: Option<Timestamp>) -> bool {
        // What is withheld was not looked at, so that its base does not matter.
        let looked = !self.base.is_empty();
        self.head != head || (looked && (self.base != base || self.settled != settled))
    }

    /// The newer one's word, and of both what only grows: so two that write at once, here or at two workers, lose neither
    /// what was typed nor that it was answered.
    pub(super) fn joined(mut newer: Self, older: Self) -> Self {
        if older.ruled > newer.ruled {
            (newer.ruled, newer.held) = (older.ruled, older.held);
        }
        newer.heard = newer.heard.max(older.heard);
        newer.wanted = newer.wanted.or(older.wanted);
        newer.comment = newer.comment.or(older.comment);
        for comment in older.answered {
            if !newer.answered.contains(&comment) {
                newer.answered.push(comment);
            }
        }
        newer.answered.sort_unstable();
        for login in older.refused {
            if !newer.refused.contains(&login) {
                newer.refused.push(login);
            }
        }
        newer.refused.sort_unstable();
        if let (Some(brief), Some(full)) = (&newer.preview, older.preview)
            && brief.verdict == Verdict::Checking
            && (brief.bundle, &brief.request.head) == (full.bundle, &full.request.head)
        {
            // It is known from the comment only.
            newer.preview = Some(full);
        }
        newer
    }
}

impl Stage {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Merged => "merged",
            Self::Over => "over",
        }
    }
}

impl Store {
    pub async fn request(
        &self,
        cluster: &ClusterName,
        number: u64,
    ) -> Result<Option<KnownRequest>, StoreError> {
        let name = cluster.to_string();
        let found = self.call(
            move |connection| -> Result<Option<KnownRequest>, StoreError> {
                let Some(Row { mut known, .. }) = find(connection, &name, number)? else {
                    return Ok(None);
                };
                if let Some(preview) = &mut known.preview
                    && preview.diffs.is_empty()
                    && preview.left_out > 0
                    && let Some(whole) = previews::like(connection, preview)?
                {
                    *preview = Preview {
                        held: preview.held.take(),
                        ..whole
                    };
                }
                Ok(Some(known))
            },
        );
        found.await
    }

    pub async fn remember_request(
        &self,
        cluster: &ClusterName,
        known: &KnownRequest,
    ) -> Result<(), StoreError> {
        let (name, known) = (cluster.to_string(), known.clone());
        let now = Timestamp::now().as_millisecond();
        self.call(move |connection| -> Result<(), StoreError> {
            let transaction = connection.transaction()?;
            let (known, at) = match find(&transaction, &name, known.number)? {
                Some(row) => (KnownRequest::joined(known, row.known), now.max(row.at + 1)),
                None => (known, now),
            };
            let told = false;
            put(&transaction, &name, Row { known, at, told })?;
            transaction.execute(
                "DELETE FROM request WHERE stage = 'over' AND changed < ?1",
                [now - KEPT_DAYS * 24 * 60 * 60 * 1000],
            )?;
            Ok(transaction.commit()?)
        })
        .await?;
        self.news().notify_waiters();
        Ok(())
    }

    /// When the forge was asked last what no webhook told of.
    pub async fn listened(&self, cluster: &ClusterName) -> Result<Option<Timestamp>, StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| -> Result<Option<Timestamp>, StoreError> {
            let at: Option<Option<i64>> = connection
                .query_row(
                    "SELECT listened FROM cluster WHERE name = ?1",
                    [name],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(at
                .flatten()
                .and_then(|at| Timestamp::from_millisecond(at).ok()))
        })
        .await
    }

    pub async fn listen(&self, cluster: &ClusterName, at: Timestamp) -> Result<(), StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| -> Result<(), StoreError> {
            connection.execute(
                "INSERT INTO cluster (name, listened) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET listened = ?2",
                params![name, at.as_millisecond()],
            )?;
            Ok(())
        })
        .await
    }

    /// Those that are not over.
    pub async fn requests(&self, cluster: &ClusterName) -> Result<Vec<KnownRequest>, StoreError> {
        let name = cluster.to_string();
        self.call(move |connection| -> Result<Vec<KnownRequest>, StoreError> {
            let mut statement = connection.prepare_cached(
                "SELECT body FROM request WHERE cluster = ?1 AND stage != 'over' ORDER BY number",
            )?;
            let bodies = statement.query_map([name], |row| row.get::<_, String>(0))?;
            let bodies = bodies.collect::<rusqlite::Result<Vec<_>>>()?;
            let known = bodies
                .iter()
                .filter_map(|body| serde_json::from_str(body).ok());
            Ok(known.collect())
        })
        .await
    }
}

pub(super) struct Row {
    pub(super) known: KnownRequest,
    pub(super) at: i64,
    pub(super) told: bool,
}

pub(super) fn find(
    connection: &Connection,
    cluster: &str,
    number: u64,
) -> rusqlite::Result<Option<Row>> {
    let row = connection
        .prepare_cached(
            "SELECT body, changed, told FROM request WHERE cluster = ?1 AND number = ?2",
        )?
        .query_row(params![cluster, number.cast_signed()], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    // What an older version wrote in another shape is forgotten.
    Ok(row.and_then(|(body, at, told)| {
        let known = serde_json::from_str(&body).ok()?;
        Some(Row { known, at, told })
    }))
}

pub(super) fn put(connection: &Connection, cluster: &str, row: Row) -> Result<(), StoreError> {
    let Row {
        mut known,
        at,
        told,
    } = row;
    let mut body = serde_json::to_string(&known)?;
    if let Some(preview) = &mut known.preview
        && body.len() > MAX_PREVIEW_BYTES
    {
        preview.left_out += preview.diffs.len();
        preview.diffs.clear();
        body = serde_json::to_string(&known)?;
    }
    connection.execute(
        "INSERT OR REPLACE INTO request (cluster, number, stage, changed, body, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![cluster, known.number.cast_signed(), known.stage.word(), at, body, told],
    )?;
    Ok(())
}
