//! Previews, so that a comment can link to all of one, and so that a merge finds what was reviewed. Kept for a while
//! and only so many: they are made again whenever someone asks.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;
use windlass_core::ids::ClusterName;
use windlass_core::preview::Preview;

use super::{Store, StoreError};

/// Of each cluster.
const KEPT: i64 = 500;
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Of one preview; what is longer loses files from its end.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// So many of a request are looked through.
const LOOKED_THROUGH: i64 = 20;

/// The same preview, as it was kept.
pub(super) fn like(
    connection: &Connection,
    wanted: &Preview,
) -> Result<Option<Preview>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT body FROM preview WHERE cluster = ?1 AND request = ?2
         ORDER BY stored DESC, rowid DESC LIMIT ?3",
    )?;
    let number = wanted.request.number.cast_signed();
    let key = params![wanted.cluster.as_str(), number, LOOKED_THROUGH];
    let bodies = statement.query_map(key, |row| row.get::<_, String>(0))?;
    for body in bodies {
        let kept: Preview = serde_json::from_str(&body?)?;
        if (&kept.request, kept.bundle, &kept.verdict)
            == (&wanted.request, wanted.bundle, &wanted.verdict)
        {
            return Ok(Some(kept));
        }
    }
    Ok(None)
}

impl Store {
    /// Stores a preview under an id that cannot be guessed. With the address that people reach this worker at, it gets
    /// the address of its page.
    pub async fn add_preview(
        &self,
        mut preview: Preview,
        address: Option<&str>,
    ) -> Result<Preview, StoreError> {
        let id = Uuid::new_v4().simple().to_string();
        let page = |address: &str| format!("{}/previews/{id}", address.trim_end_matches('/'));
        preview.page = address.map(page);
        let mut kept = preview.clone();
        let body = loop {
            let body = serde_json::to_string(&kept)?;
            if body.len() <= MOST_BYTES || kept.diffs.is_empty() {
                break body;
            }
            let half = kept.diffs.len() / 2;
            kept.left_out += kept.diffs.len() - half;
            kept.diffs.truncate(half);
        };
        let now = Timestamp::now().as_millisecond();
        let preview = self
            .call(move |connection| -> Result<Preview, StoreError> {
                let transaction = connection.transaction()?;
                let row = Row {
                    id: &id,
                    stored: now,
                    body: &body,
                    told: false,
                };
                insert(&transaction, &preview, &row, now)?;
                transaction.commit()?;
                Ok(preview)
            })
            .await?;
        self.news().notify_waiters();
        Ok(preview)
    }

    pub async fn preview(&self, id: &str) -> Result<Option<Preview>, StoreError> {
        let id = id.to_owned();
        self.call(move |connection| -> Result<Option<Preview>, StoreError> {
            let body: Option<String> = connection
                .query_row("SELECT body FROM preview WHERE id = ?1", [id], |row| {
                    row.get(0)
                })
                .optional()?;
            Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
        })
        .await
    }

    /// What a request was told last.
    pub async fn latest_preview(
        &self,
        cluster: &ClusterName,
        request: u64,
    ) -> Result<Option<Preview>, StoreError> {
        let cluster = cluster.to_string();
        self.call(move |connection| -> Result<Option<Preview>, StoreError> {
            let body: Option<String> = connection
                .query_row(
                    "SELECT body FROM preview WHERE cluster = ?1 AND request = ?2
                     ORDER BY stored DESC, rowid DESC LIMIT 1",
                    params![cluster, request.cast_signed()],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
        })
        .await
    }
}

/// What the table has beside the preview itself.
pub(super) struct Row<'a> {
    pub(super) id: &'a str,
    pub(super) stored: i64,
    pub(super) body: &'a str,
    pub(super) told: bool,
}

/// Where it is there already, nothing is done.
pub(super) fn insert(
    connection: &Connection,
    preview: &Preview,
    row: &Row<'_>,
    now: i64,
) -> rusqlite::Result<()> {
    let cluster = preview.cluster.as_str();
    connection.execute(
        "INSERT INTO preview (id, cluster, request, stored, body, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO NOTHING",
        params![
            row.id,
            cluster,
            preview.request.number.cast_signed(),
            row.stored,
            row.body,
            row.told
        ],
    )?;
    connection.execute("DELETE FROM preview WHERE stored < ?1", [now - KEPT_MS])?;
    connection
        .execute(
            "DELETE FROM preview WHERE cluster = ?1 AND id NOT IN
             (SELECT id FROM preview WHERE cluster = ?1 ORDER BY stored DESC, rowid DESC LIMIT ?2)",
            params![cluster, KEPT],
        )
        .map(drop)
}
