//! Accounts and orders in the worker's database. Appending an entry is one transaction, on disk before the step that
//! follows from it; a private key enters with the entry that tells of it and leaves with the one that stores it.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use windlass_core::acme::order::Begun;
use windlass_core::acme::{Entry, Issued, Known, Order, Step, Wanted, Window};
use windlass_core::ids::ClusterName;
use windlass_core::materials::SecretText;
use windlass_core::model::names::Label;

pub use super::asked::Asked;
use super::joint::{self, Common};
use super::past::{entries, folded, is_limit, learn, limits};
use super::record::Key;
use crate::materials::AtRest;
use crate::store::{Store, StoreError};

/// How many orders of each certificate are kept.
const KEPT: i64 = 50;

/// What an authority suggested for a certificate, and when it wants to be asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    pub serial: String,
    /// `None`: the authority has no suggestions, or could not be asked.
    pub window: Option<Window>,
    pub again: Timestamp,
}

/// An order that is not over.
#[derive(Debug, Clone)]
pub struct OpenOrder {
    pub id: i64,
    pub order: Order,
    pub key: Option<SecretText>,
}

/// The accounts and orders of one cluster.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(in crate::acme) store: Store,
    pub(in crate::acme) cluster: ClusterName,
    /// How private keys lie in the database.
    pub(in crate::acme) at_rest: AtRest,
    /// Where other workers have the same.
    pub(in crate::acme) common: Option<Common>,
}

/// An order as it lies in the database: its id, its key, its entries.
type Stored = (i64, Option<String>, Vec<(i64, String)>);

impl Ledger {
    pub fn new(store: Store, cluster: ClusterName) -> Self {
        Self {
            store,
            cluster,
            at_rest: AtRest::default(),
            common: None,
        }
    }

    /// Keys are sealed before they are written.
    pub fn at_rest(self, at_rest: AtRest) -> Self {
        Self { at_rest, ..self }
    }

    /// Several workers have it together.
    pub fn common(self, common: Common) -> Self {
        Self {
            common: Some(common),
            ..self
        }
    }

    async fn opened(&self, text: Option<String>) -> Result<Option<SecretText>, StoreError> {
        let Some(text) = text else { return Ok(None) };
        let opened = joint::opened(&self.at_rest, text.into_bytes()).await;
        let why = |why| StoreError::Sealed(format!("a private key in the database: {why}"));
        let opened = opened.map_err(why)?;
        if opened.is_none() {
            tracing::warn!(cluster = %self.cluster, "a private key in the database is encrypted to another identity and counts as lost");
        }
        Ok(opened)
    }

    async fn sealed(&self, secret: &SecretText) -> Result<String, StoreError> {
        let sealed = joint::sealed(&self.at_rest, secret.clone()).await;
        sealed.map_err(|why| StoreError::Sealed(format!("a private key: {why}")))
    }

    pub async fn credentials(&self, directory: &str) -> Result<Option<SecretText>, StoreError> {
        let key = (self.cluster.to_string(), directory.to_owned());
        let found = self.store.call(move |db| {
            let select =
                "SELECT credentials FROM acme_account WHERE cluster = ?1 AND directory = ?2";
            db.query_row(select, key, |row| row.get::<_, String>(0))
                .optional()
        });
        self.opened(found.await?).await
    }

    pub async fn keep_credentials(
        &self,
        directory: &str,
        credentials: &SecretText,
    ) -> Result<(), StoreError> {
        let row = (
            self.cluster.to_string(),
            directory.to_owned(),
            self.sealed(credentials).await?,
        );
        let insert = "INSERT OR REPLACE INTO acme_account (cluster, directory, credentials) VALUES (?1, ?2, ?3)";
        self.store
            .call(move |db| db.execute(insert, row).map(drop))
            .await?;
        self.share(&Key::Account(directory.to_owned())).await
    }

    /// The authority knows the account no more.
    pub async fn forget_account(&self, directory: &str) -> Result<(), StoreError> {
        let key = (self.cluster.to_string(), directory.to_owned());
        let delete = "DELETE FROM acme_account WHERE cluster = ?1 AND directory = ?2";
        self.store
            .call(move |db| db.execute(delete, key).map(drop))
            .await?;
        self.share(&Key::Account(directory.to_owned())).await
    }

    /// Begins an order. There is one at a time for a certificate.
    pub async fn begin(&self, begun: Begun) -> Result<OpenOrder, StoreError> {
        let entry = serde_json::to_string(&Entry::Begun(begun.clone()))?;
        let (cluster, certificate) = (self.cluster.to_string(), begun.certificate.to_string());
        let now = Timestamp::now().as_millisecond();
        let id = self.store.call(move |db| {
            let tx = db.transaction()?;
            tx.execute(
                "INSERT INTO acme_order (cluster, certificate) VALUES (?1, ?2)",
                [&cluster, &certificate],
            )?;
            let id = tx.last_insert_rowid();
            tx.execute(
                "INSERT INTO acme_entry (order_id, at, entry) VALUES (?1, ?2, ?3)",
                params![id, now, entry],
            )?;
            tx.execute(
                "DELETE FROM acme_order WHERE cluster = ?1 AND certificate = ?2 AND over = 1 AND id NOT IN
                 (SELECT id FROM acme_order WHERE cluster = ?1 AND certificate = ?2 ORDER BY id DESC LIMIT ?3)",
                params![cluster, certificate, KEPT],
            )?;
            tx.commit()?;
            Ok::<_, rusqlite::Error>(id)
        });
        Ok(OpenOrder {
            id: id.await?,
            order: Order::new(begun),
            key: None,
        })
    }

    /// The certificate's order that is under way. One whose entries do not fit, or whose key is lost, is given up.
    pub async fn open(&self, certificate: &Label) -> Result<Option<OpenOrder>, StoreError> {
        let key = (self.cluster.to_string(), certificate.to_string());
        let found = self.store.call(move |db| -> rusqlite::Result<Option<Stored>> {
            let select = "SELECT id, key FROM acme_order WHERE cluster = ?1 AND certificate = ?2 AND over = 0";
            let order = db.query_row(select, key, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let Some((id, key)) = order else { return Ok(None) };
            Ok(Some((id, key, entries(db, id)?)))
        });
        let Some((id, key, entries)) = found.await? else {
            return Ok(None);
        };
        let has_key = key.is_some();
        let key = self.opened(key).await?;
        match folded(&entries) {
            Some(Ok(order)) if key.is_some() == has_key => Ok(Some(OpenOrder { id, order, key })),
            broken => {
                let why = match broken {
                    Some(Ok(_)) => "its key is encrypted to another identity".to_owned(),
                    Some(Err(misfit)) => misfit.to_string(),
                    None => String::new(),
                };
                tracing::error!(%certificate, why, "an order cannot be read and is given up");
                self.end(id).await?;
                Ok(None)
            }
        }
    }

    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The orders whose certificates are stored and not announced.
    pub async fn unannounced(&self) -> Result<Vec<OpenOrder>, StoreError> {
        let cluster = self.cluster.to_string();
        let select =
            "SELECT certificate FROM acme_order WHERE cluster = ?1 AND over = 0 ORDER BY id";
        let names = self.store.call(move |db| {
            let mut select = db.prepare_cached(select)?;
            let names = select.query_map([cluster], |row| row.get(0))?;
            names.collect::<rusqlite::Result<Vec<String>>>()
        });
        let mut orders = Vec::new();
        for name in names.await?.iter().filter_map(|name| name.parse().ok()) {
            let open = self.open(&name).await?;
            orders.extend(open.filter(|open| open.order.next() == Step::Announce));
        }
        Ok(orders)
    }

    /// Stores what came of a step, with the private key where it made one.
    pub async fn append(
        &self,
        open: &mut OpenOrder,
        entry: &Entry,
        key: Option<SecretText>,
    ) -> Result<(), StoreError> {
        let mut order = open.order.clone();
        if let Err(misfit) = order.apply(entry) {
            return Err(StoreError::Schema(misfit.to_string()));
        }
        let over = order.next() == Step::Over;
        // The key now lies beside its chain, or is of no use any more.
        let forget = over || matches!(entry, Entry::Stored { .. });
        let text = serde_json::to_string(entry)?;
        let made = match &key {
            Some(key) => Some(self.sealed(key).await?),
            None => None,
        };
        let id = open.id;
        let now = Timestamp::now().as_millisecond();
        self.store
            .call(move |db| {
                let tx = db.transaction()?;
                tx.execute(
                    "INSERT INTO acme_entry (order_id, at, entry) VALUES (?1, ?2, ?3)",
                    params![id, now, text],
                )?;
                tx.execute(
                    "UPDATE acme_order SET over = ?2, key = CASE WHEN ?3 THEN NULL ELSE coalesce(?4, key) END WHERE id = ?1",
                    params![id, over, forget, made],
                )?;
                tx.commit()
            })
            .await?;
        open.order = order;
        open.key = if forget {
            None
        } else {
            key.or_else(|| open.key.take())
        };
        let certificate = open.order.begun.certificate.clone();
        self.share(&Key::Certificate(certificate)).await
    }

    async fn end(&self, id: i64) -> Result<(), StoreError> {
        let update = "UPDATE acme_order SET over = 1, key = NULL WHERE id = ?1";
        self.store
            .call(move |db| db.execute(update, [id]).map(drop))
            .await
    }

    /// What the past of a wanted certificate means for its future. `issued` is what was stored last: whether it still
    /// lies there is for others to see.
    pub async fn known(&self, wanted: &Wanted) -> Result<Known, StoreError> {
        let (cluster, certificate) = (self.cluster.to_string(), wanted.name.to_string());
        let (own, others, asked) = self
            .store
            .call(move |db| {
                let mut own = Vec::new();
                let ids = "SELECT id FROM acme_order WHERE cluster = ?1 AND certificate = ?2 ORDER BY id";
                let ids: Vec<i64> = db
                    .prepare_cached(ids)?
                    .query_map([&cluster, &certificate], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                for id in ids {
                    own.push(entries(db, id)?);
                }
                let mut others = Vec::new();
                let ids = "SELECT id FROM acme_order WHERE cluster = ?1 AND certificate <> ?2 ORDER BY certificate, id";
                let ids: Vec<i64> = db
                    .prepare_cached(ids)?
                    .query_map([&cluster, &certificate], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                for id in ids {
                    others.push(entries(db, id)?);
                }
                let asked = "SELECT asked FROM acme_certificate WHERE cluster = ?1 AND certificate = ?2";
                let asked: Option<i64> = db.query_row(asked, [&cluster, &certificate], |row| row.get(0)).optional()?;
                Ok::<_, rusqlite::Error>((own, others, asked.unwrap_or(0)))
            })
            .await?;
        let mut known = Known {
            asked: asked != Asked::No as i64,
            ..Known::default()
        };
        for order in &own {
            learn(&mut known, order, wanted);
        }
        if asked == Asked::AtOnce as i64 {
            known.failures.retain(is_limit);
        }
        for order in &others {
            known.limits.extend(limits(order));
        }
        Ok(known)
    }

    /// Those that came of its orders, as far as they are known.
    pub async fn issued(&self, certificate: &Label) -> Result<Vec<Issued>, StoreError> {
        let key = (self.cluster.to_string(), certificate.to_string());
        let select = "SELECT json_extract(entry, '$.issued')
            FROM acme_entry JOIN acme_order ON acme_order.id = order_id
            WHERE cluster = ?1 AND certificate = ?2 AND json_extract(entry, '$.entry') = 'stored'";
        let issued = self.store.call(move |db| {
            let mut select = db.prepare_cached(select)?;
            let issued = select.query_map(key, |row| row.get(0))?;
            issued.collect::<rusqlite::Result<Vec<String>>>()
        });
        let issued = issued.await?;
        let issued = issued.iter().map(|text| serde_json::from_str(text));
        Ok(issued.collect::<Result<_, _>>()?)
    }

    pub async fn suggestion(&self, certificate: &Label) -> Result<Option<Suggestion>, StoreError> {
        let key = (self.cluster.to_string(), certificate.to_string());
        let select =
            "SELECT suggestion FROM acme_certificate WHERE cluster = ?1 AND certificate = ?2";
        let found = self.store.call(move |db| {
            db.query_row(select, key, |row| row.get::<_, Option<String>>(0))
                .optional()
        });
        let found = found.await?.flatten();
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub async fn suggest(
        &self,
        certificate: &Label,
        suggestion: &Suggestion,
    ) -> Result<(), StoreError> {
        let row = (
            self.cluster.to_string(),
            certificate.to_string(),
            serde_json::to_string(suggestion)?,
        );
        let upsert =
            "INSERT INTO acme_certificate (cluster, certificate, suggestion) VALUES (?1, ?2, ?3)
            ON CONFLICT DO UPDATE SET suggestion = excluded.suggestion";
        self.store
            .call(move |db| db.execute(upsert, row).map(drop))
            .await?;
        self.share(&Key::Certificate(certificate.clone())).await
    }
}
