//! That a person wants a certificate renewed: noted by the event that says so, once, and done with when it was.

use rusqlite::{OptionalExtension as _, params};
use windlass_core::model::names::Label;

use super::ledger::Ledger;
use super::record::Key;
use crate::store::StoreError;

/// So many of the events that asked for a certificate are remembered: others may come before one comes once more.
const ASKED_BY: usize = 8;

/// What a person said of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    No = 0,
    /// Renew it.
    Yes = 1,
    /// Renew it, and do not wait because of what failed before. Limits of authorities hold all the same.
    AtOnce = 2,
}

impl Ledger {
    /// What was wanted of the certificate, or `No`: it was done.
    pub async fn ask(&self, certificate: &Label, asked: Asked) -> Result<(), StoreError> {
        let row = (
            self.cluster.to_string(),
            certificate.to_string(),
            asked as i64,
        );
        let upsert =
            "INSERT INTO acme_certificate (cluster, certificate, asked) VALUES (?1, ?2, ?3)
            ON CONFLICT DO UPDATE SET asked = excluded.asked";
        self.store
            .call(move |db| db.execute(upsert, row).map(drop))
            .await?;
        self.share(&Key::Certificate(certificate.clone())).await
    }

    /// An event asks for it. One that comes once more, to this worker or another, asks nothing anew: what it asked for was
    /// noted, and may be done by now.
    pub async fn ask_by(
        &self,
        certificate: &Label,
        asked: Asked,
        event: &str,
    ) -> Result<(), StoreError> {
        let (cluster, name) = (self.cluster.to_string(), certificate.to_string());
        let event = event.to_owned();
        let noted = self.store.call(move |db| {
            let tx = db.transaction()?;
            let select = "SELECT asked_by FROM acme_certificate WHERE cluster = ?1 AND certificate = ?2";
            let by: Option<Option<String>> = tx
                .query_row(select, [&cluster, &name], |row| row.get(0))
                .optional()?;
            let by = by.flatten();
            let by = by.and_then(|by| serde_json::from_str(&by).ok());
            let mut by: Vec<String> = by.unwrap_or_default();
            if by.contains(&event) {
                return Ok(false);
            }
            by.push(event);
            by.drain(..by.len().saturating_sub(ASKED_BY));
            tx.execute(
                "INSERT INTO acme_certificate (cluster, certificate, asked, asked_by) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET asked = excluded.asked, asked_by = excluded.asked_by",
                params![cluster, name, asked as i64, serde_json::json!(by).to_string()],
            )?;
            tx.commit()?;
            Ok::<_, rusqlite::Error>(true)
        });
        if !noted.await? {
            return Ok(());
        }
        self.share(&Key::Certificate(certificate.clone())).await
    }

    /// The one try that was not to wait is being made.
    pub(super) async fn try_now(&self, certificate: &Label) -> Result<(), StoreError> {
        let key = (self.cluster.to_string(), certificate.to_string());
        let update = "UPDATE acme_certificate SET asked = 1
            WHERE cluster = ?1 AND certificate = ?2 AND asked = 2";
        let changed = self.store.call(move |db| db.execute(update, key)).await?;
        match changed {
            0 => Ok(()),
            _ => self.share(&Key::Certificate(certificate.clone())).await,
        }
    }
}
