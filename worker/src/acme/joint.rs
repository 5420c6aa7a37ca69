//! A ledger that several workers have together. What each writes down is put into the cluster's strongbox before the next
//! step is taken, and who opens the strongbox knows all that was written before. A worker's own database is a copy that
//! may be behind: it is brought up to date by `hold`, and written to only while the strongbox is open here.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use tokio::sync::Mutex;
use windlass_core::ids::Digest;
use windlass_core::materials::SecretText;
use windlass_core::model::names::Label;

use super::ledger::Ledger;
use super::record::{self, Key, Record, What};
use super::shelf::Shelf;
use crate::materials::AtRest;
use crate::materials::age::AgeError;
use crate::ports::{OpenBox, Strongbox};
use crate::store::StoreError;

type Held = Arc<Mutex<Option<Box<dyn OpenBox>>>>;

/// What makes a ledger a common one.
#[derive(Clone)]
pub struct Common {
    pub strongbox: Arc<dyn Strongbox>,
    /// Where this worker has its certificates: a copy as well.
    pub shelf: Shelf,
    held: Held,
}

impl std::fmt::Debug for Common {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Common({:?})", self.strongbox)
    }
}

impl Common {
    pub fn new(strongbox: Arc<dyn Strongbox>, shelf: Shelf) -> Self {
        Self {
            strongbox,
            shelf,
            held: Held::default(),
        }
    }
}

/// The cluster's orders are ours for as long as this lives.
#[derive(Default)]
pub struct Hold(Option<Held>);

impl Hold {
    /// Lets other workers have them at once.
    pub async fn release(mut self) {
        let Some(held) = self.0.take() else { return };
        let open = held.lock().await.take();
        if let Some(open) = open {
            open.close().await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Whoever was writing at this moment was dropped before, with the same task.
        let Some(held) = self.0.take() else { return };
        if let Ok(mut open) = held.try_lock() {
            open.take();
        };
    }
}

impl Ledger {
    /// Has the cluster's orders to ourselves, and knows them as they are. `None`: another worker has them now. Where
    /// there is one worker they always are.
    pub async fn hold(&self) -> Result<Option<Hold>, StoreError> {
        let Some(common) = &self.common else {
            return Ok(Some(Hold::default()));
        };
        let opened = common.strongbox.open().await.map_err(StoreError::Common)?;
        let Some(open) = opened else { return Ok(None) };
        let sealed: Vec<(String, Vec<u8>)> = open
            .records()
            .iter()
            .map(|(key, sealed)| (key.clone(), sealed.clone()))
            .collect();
        *common.held.lock().await = Some(open);
        let hold = Hold(Some(Arc::clone(&common.held)));
        let mut known = BTreeSet::new();
        for (key, sealed) in sealed {
            self.take_in(common, &key, sealed).await?;
            known.insert(key);
        }
        // A worker that ordered alone until now gives what it has.
        let cluster = self.cluster.clone();
        let keys = self
            .store
            .call(move |db| record::keys(db, &cluster))
            .await?;
        for key in keys
            .into_iter()
            .filter(|key| !known.contains(&key.to_string()))
        {
            self.share(&key).await?;
        }
        Ok(Some(hold))
    }

    /// Knows what other workers have written down, and has their certificates. `false`: another worker orders now.
    pub async fn catch_up(&self) -> Result<bool, StoreError> {
        let Some(hold) = self.hold().await? else {
            return Ok(false);
        };
        hold.release().await;
        Ok(true)
    }

    /// One record, unless it is known here; one that was written here and not there is put there.
    async fn take_in(&self, common: &Common, key: &str, sealed: Vec<u8>) -> Result<(), StoreError> {
        let digest = Digest::of(&sealed).to_string();
        let row = (self.cluster.to_string(), key.to_owned());
        let select = "SELECT version, digest FROM acme_shared WHERE cluster = ?1 AND key = ?2";
        let known: Option<(i64, Option<String>)> = self
            .store
            .call(move |db| {
                db.query_row(select, row, |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })
            .await?;
        if known.as_ref().and_then(|(_, digest)| digest.as_ref()) == Some(&digest) {
            return Ok(());
        }
        // What anybody who reaches the broker can write is nothing that a worker wrote.
        let foreign =
            self.at_rest.seals() && !std::str::from_utf8(&sealed).is_ok_and(AtRest::is_sealed);
        let text = if foreign {
            Ok(None)
        } else {
            opened(&self.at_rest, sealed).await
        };
        let text = text.map_err(|why| StoreError::Common(format!("the record `{key}`: {why}")))?;
        let Some(text) = text else {
            tracing::error!(cluster = %self.cluster, key, "a record at the broker is not encrypted to this worker's identity and is passed over");
            return Ok(());
        };
        let record: Record = serde_json::from_str(text.reveal())?;
        if known.is_some_and(|(version, _)| version > record.version) {
            return self.share(&record.key()).await;
        }
        if let What::Certificate(own) = &record.what {
            if let Some(pem) = &own.pem {
                let put = common.shelf.put_newer(&own.name, &SecretText::new(pem));
                put.map_err(StoreError::Common)?;
            } else if own.is_forgotten()
                && let Err(why) = common.shelf.remove_expired(&own.name)
            {
                tracing::warn!(certificate = %own.name, why, "nobody wants it, and it stays here");
            }
        }
        let (cluster, key) = (self.cluster.clone(), key.to_owned());
        let written = self.store.call(move |db| {
            let tx = db.transaction()?;
            record::write(&tx, &cluster, &record.what)?;
            tx.execute(
                "INSERT OR REPLACE INTO acme_shared (cluster, key, version, digest) VALUES (?1, ?2, ?3, ?4)",
                params![cluster.as_str(), key, record.version, digest],
            )?;
            tx.commit()
        });
        written.await
    }

    /// Puts what was written down here into the strongbox. Nothing to do where there is one worker.
    pub(super) async fn share(&self, key: &Key) -> Result<(), StoreError> {
        let Some(common) = &self.common else {
            return Ok(());
        };
        let mut held = common.held.lock().await;
        let Some(open) = held.as_mut() else {
            let why = "they are not held by this worker";
            return Err(StoreError::Common(why.to_owned()));
        };
        let Some(record) = self.record(common, key).await? else {
            return Ok(());
        };
        let text = SecretText::new(&serde_json::to_string(&record)?);
        let sealed = sealed(&self.at_rest, text)
            .await
            .map_err(StoreError::Common)?;
        let digest = Digest::of(sealed.as_bytes()).to_string();
        let name = key.to_string();
        if let Err(why) = open.put(&name, sealed.into_bytes()).await {
            // Another worker may have it by now.
            *held = None;
            return Err(StoreError::Common(why));
        }
        let row = (self.cluster.to_string(), name, digest);
        let update = "UPDATE acme_shared SET digest = ?3 WHERE cluster = ?1 AND key = ?2";
        self.store
            .call(move |db| db.execute(update, row).map(drop))
            .await
    }

    /// As this worker knows it, under the next version.
    async fn record(&self, common: &Common, key: &Key) -> Result<Option<Record>, StoreError> {
        let (cluster, key) = (self.cluster.clone(), key.clone());
        let found = self.store.call(move |db| {
            let tx = db.transaction()?;
            let Some(what) = record::read(&tx, &cluster, &key)? else {
                return Ok(None);
            };
            let version = tx.query_row(
                "INSERT INTO acme_shared (cluster, key, version) VALUES (?1, ?2, 1)
                 ON CONFLICT DO UPDATE SET version = version + 1, digest = NULL RETURNING version",
                [cluster.as_str(), &key.to_string()],
                |row| row.get(0),
            )?;
            tx.commit()?;
            Ok::<_, rusqlite::Error>(Some(Record { version, what }))
        });
        let mut found = found.await?;
        if let Some(Record {
            what: What::Certificate(own),
            ..
        }) = &mut found
        {
            own.pem = match common.shelf.get(&own.name) {
                Ok(pem) => pem.map(|pem| pem.reveal().to_owned()),
                Err(why) => {
                    tracing::error!(certificate = %own.name, why, "other workers cannot be given it");
                    None
                }
            };
        }
        Ok(found)
    }

    /// A roll of this or another worker's has ended with this commit.
    pub async fn roll_ended(&self, commit: &str, at: Timestamp) -> Result<(), StoreError> {
        if self.rolled().await?.is_some_and(|(_, known)| known >= at) {
            return Ok(());
        }
        let row = (
            self.cluster.to_string(),
            commit.to_owned(),
            at.as_millisecond(),
        );
        let insert = "INSERT OR REPLACE INTO acme_rolled (cluster, rolled, at) VALUES (?1, ?2, ?3)";
        self.store
            .call(move |db| db.execute(insert, row).map(drop))
            .await?;
        self.share(&Key::Rolled).await
    }

    pub async fn rolled(&self) -> Result<Option<(String, Timestamp)>, StoreError> {
        let cluster = self.cluster.to_string();
        self.store
            .call(move |db| record::rolled(db, &cluster))
            .await
    }

    pub fn is_common(&self) -> bool {
        self.common.is_some()
    }

    /// What a command changed of a certificate's file, for the others; only while it is held.
    pub async fn tell(&self, certificate: &Label) -> Result<(), StoreError> {
        self.share(&Key::Certificate(certificate.clone())).await
    }
}

/// Each is a process of its own: not on the threads that others wait on.
pub(super) async fn sealed(at_rest: &AtRest, text: SecretText) -> Result<String, String> {
    if !at_rest.seals() {
        return Ok(text.reveal().to_owned());
    }
    let at_rest = at_rest.clone();
    let sealing = tokio::task::spawn_blocking(move || at_rest.seal(&text));
    let sealed = sealing.await.map_err(|error| error.to_string())?;
    sealed.map_err(|error| format!("it cannot be encrypted: {error}"))
}

/// `None`: it is encrypted to somebody else, such as the identity before this one.
pub(super) async fn opened(at_rest: &AtRest, text: Vec<u8>) -> Result<Option<SecretText>, String> {
    let at_rest = at_rest.clone();
    let opening = tokio::task::spawn_blocking(move || {
        let text = String::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
        match at_rest.open(&text) {
            Ok(secret) => Ok(Some(secret)),
            Err(AgeError::NotForUs) => Ok(None),
            Err(error) => Err(format!("it cannot be decrypted: {error}")),
        }
    });
    opening.await.map_err(|error| error.to_string())?
}
