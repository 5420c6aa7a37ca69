//! Keys that were written down before the worker had an identity to seal them to, or that came from a worker without one: a copy
//! of the state directory is to hold none that can be read.

use windlass_core::materials::SecretText;

use super::joint;
use super::ledger::Ledger;
use crate::materials::AtRest;
use crate::store::StoreError;

impl Ledger {
    /// Seals what lies here from a time before there was anything to seal it to, or came from a worker where it lay so.
    pub async fn seal(&self) -> Result<(), StoreError> {
        if !self.at_rest.seals() {
            return Ok(());
        }
        for (table, column) in [("acme_account", "credentials"), ("acme_order", "key")] {
            let cluster = self.cluster.to_string();
            let select = format!(
                "SELECT rowid, {column} FROM {table} WHERE cluster = ?1 AND {column} IS NOT NULL"
            );
            let rows = self.store.call(move |db| {
                let mut select = db.prepare(&select)?;
                let rows = select.query_map([cluster], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect::<rusqlite::Result<Vec<(i64, String)>>>()
            });
            let clear = rows.await?.into_iter();
            for (id, text) in clear.filter(|(_, text)| !AtRest::is_sealed(text)) {
                let sealed = joint::sealed(&self.at_rest, SecretText::new(&text)).await;
                let sealed = sealed.map_err(StoreError::Sealed)?;
                let update =
                    format!("UPDATE {table} SET {column} = ?3 WHERE rowid = ?1 AND {column} = ?2");
                let row = (id, text, sealed);
                self.store
                    .call(move |db| db.execute(&update, row).map(drop))
                    .await?;
            }
        }
        Ok(())
    }
}
