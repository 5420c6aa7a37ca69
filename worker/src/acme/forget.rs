//! Certificates that nobody wants any more. Once they have expired nothing of them is left but an empty record, which has the
//! other workers forget them as well.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use windlass_core::model::names::Label;

use super::ledger::Ledger;
use super::record::Key;
use super::shelf::Shelf;
use crate::store::StoreError;

/// Authorities' limits, which hold for other certificates too, last for a week; and who takes a site away may put it back.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(30 * 24);

impl Ledger {
    /// Forgets those that are not wanted, have expired, and for which nothing was done for a while. Only while it is held.
    pub async fn forget_all_but(
        &self,
        wanted: &BTreeSet<Label>,
        shelf: &Shelf,
    ) -> Result<(), StoreError> {
        let cluster = self.cluster.to_string();
        let before = (Timestamp::now() - REMEMBERED).as_millisecond();
        let select =
            "SELECT certificate FROM acme_order JOIN acme_entry ON order_id = acme_order.id
            WHERE cluster = ?1 GROUP BY certificate HAVING max(at) < ?2";
        let old = self.store.call(move |db| {
            let mut select = db.prepare_cached(select)?;
            let names = select.query_map(params![cluster, before], |row| row.get(0))?;
            names.collect::<rusqlite::Result<Vec<String>>>()
        });
        let old = old.await?;
        let old = old.iter().filter_map(|name| name.parse::<Label>().ok());
        for name in old.filter(|name| !wanted.contains(name)) {
            match shelf.remove_expired(&name) {
                Ok(true) => self.forget(name).await?,
                Ok(false) => {}
                Err(why) => {
                    tracing::warn!(certificate = %name, why, "nobody wants it, and it cannot be forgotten")
                }
            }
        }
        Ok(())
    }

    async fn forget(&self, name: Label) -> Result<(), StoreError> {
        tracing::info!(cluster = %self.cluster, certificate = %name, "nobody wants it any more, and it has expired: it is forgotten");
        let row = (self.cluster.to_string(), name.to_string());
        let forgotten = self.store.call(move |db| {
            let tx = db.transaction()?;
            for table in ["acme_order", "acme_certificate"] {
                let delete = format!("DELETE FROM {table} WHERE cluster = ?1 AND certificate = ?2");
                tx.execute(&delete, params![row.0, row.1])?;
            }
            tx.commit()
        });
        forgotten.await?;
        self.share(&Key::Certificate(name)).await
    }
}
