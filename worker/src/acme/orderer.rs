//! Carries orders out, one step after the other, until one is over or stumbles.

use std::fs::File;
use std::future::Future;
use std::time::Duration;

use windlass_core::acme::due::{Due, directory};
use windlass_core::acme::order::Begun;
use windlass_core::acme::{Entry, Failure, Issued, Proof, Step, Wanted};
use windlass_core::ids::Digest;
use windlass_core::materials::SecretText;
use windlass_core::model::Challenge;
use windlass_core::model::names::{CertName, Label};

pub use super::account::Access;
use super::account::Session;
use super::dns::Records;
use super::key;
use super::ledger::{Asked, Ledger, OpenOrder};
use super::paths::Paths;
use super::shelf::Shelf;
use super::trouble::Trouble;
use crate::challenges::Challenges;
use crate::store::StoreError;

/// So many certificates go in one event at most: brokers have limits.
const TOGETHER: usize = 50;
const SHORTLY: Duration = Duration::from_millis(200);

/// Tells whoever rolls that there are new certificates, and gives them chain and key. The same id twice is told once.
pub trait Announce: Send + Sync {
    fn announce(
        &self,
        id: &str,
        issued: &[(Label, SecretText)],
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// How an order stands when it is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// There is a new certificate, which is yet to be announced.
    Issued(Issued),
    /// A rehearsal went well; the order for real comes next.
    Rehearsed,
    /// It did not go on.
    Failed { failure: Failure, why: String },
}

/// New certificates were not announced; they are the next time.
#[derive(Debug, thiserror::Error)]
pub enum Unannounced {
    #[error("new certificates could not be announced: {0}")]
    Queue(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Orders for one cluster.
#[derive(Debug, Clone)]
pub struct Orderer<A> {
    pub ledger: Ledger,
    pub shelf: Shelf,
    pub challenges: Challenges,
    pub paths: Paths,
    pub records: Records,
    pub announce: A,
}

impl<A: Announce> Orderer<A> {
    /// Takes up the certificate's order that is under way, or begins the one that is due, and carries it out.
    pub async fn run(
        &self,
        wanted: &Wanted,
        due: &Due,
        access: &Access,
    ) -> Result<Option<Ran>, StoreError> {
        let _ours = self.claim().await;
        self.ledger.try_now(&wanted.name).await?;
        let at = directory(wanted, due.authority, due.rehearsal);
        let fitting = |open: &OpenOrder| {
            let begun = &open.order.begun;
            let same = begun.terms == wanted.terms()
                && begun.directory == at
                && begun.challenge == wanted.challenge();
            same || open.order.next() == Step::Announce
        };
        let mut open = match self.ledger.open(&wanted.name).await? {
            Some(open) if fitting(&open) => open,
            outdated => {
                if let Some(mut outdated) = outdated {
                    self.give_up(&mut outdated, wanted, access).await?;
                }
                let Some(begun) = begun(wanted, due) else {
                    return Ok(None);
                };
                self.ledger.begin(begun).await?
            }
        };
        let mut session = None;
        loop {
            if let (Step::Announce, Some(issued)) = (open.order.next(), &open.order.issued) {
                return Ok(Some(Ran::Issued(issued.clone())));
            }
            if let Some(ran) = self
                .advance(&mut open, &mut session, wanted, access)
                .await?
            {
                return Ok(Some(ran));
            }
        }
    }

    /// What an order has brought is kept, whatever is due: a worker may have died after it put the file there and before
    /// it said so. The file alone makes nothing due, and nobody would be told of it.
    pub async fn keep(&self, wanted: &Wanted) -> Result<(), StoreError> {
        let Some(mut open) = self.ledger.open(&wanted.name).await? else {
            return Ok(());
        };
        if open.order.next() != Step::Store || open.order.begun.terms != wanted.terms() {
            return Ok(());
        }
        let _ours = self.claim().await;
        if let Ok(entry) = self.store(&open) {
            self.ledger.append(&mut open, &entry, None).await?;
        }
        Ok(())
    }

    /// A person beside the worker may be about to replace a key: that takes seconds. A disk that takes no lock does not
    /// keep an order from going on as far as it can.
    async fn claim(&self) -> Option<File> {
        loop {
            match self.shelf.claim() {
                Ok(Some(ours)) => return Some(ours),
                Ok(None) => tokio::time::sleep(SHORTLY).await,
                Err(why) => {
                    tracing::warn!(why, "orders cannot be held against commands");
                    return None;
                }
            }
        }
    }

    /// Tells of all certificates that are stored and not announced, at once: they are rolled together.
    pub async fn announce(&self) -> Result<(), Unannounced> {
        let mut orders = self.ledger.unannounced().await?;
        for orders in orders.chunks_mut(TOGETHER) {
            let issued = orders.iter().filter_map(|open| {
                let name = &open.order.begun.certificate;
                Some((name.clone(), self.shelf.get(name).ok().flatten()?))
            });
            let issued: Vec<(Label, SecretText)> = issued.collect();
            self.announce
                .announce(&self.news(orders), &issued)
                .await
                .map_err(Unannounced::Queue)?;
            for open in orders {
                self.ledger
                    .ask(&open.order.begun.certificate, Asked::No)
                    .await?;
                self.ledger.append(open, &Entry::Announced, None).await?;
            }
        }
        Ok(())
    }

    /// Names what is told: the same at every worker.
    fn news(&self, orders: &[OpenOrder]) -> String {
        let issued = orders.iter().filter_map(|open| open.order.issued.as_ref());
        let serials = issued.map(|issued| issued.serial.as_bytes());
        let digest = Digest::of_parts(serials).to_string();
        format!("certificates-{}-{digest}", self.ledger.cluster())
    }

    /// Something else is wanted by now, or from someone else.
    async fn give_up(
        &self,
        open: &mut OpenOrder,
        wanted: &Wanted,
        access: &Access,
    ) -> Result<(), StoreError> {
        self.withdraw(open, wanted, access).await;
        let entry = Entry::Failed {
            failure: Failure::OrderLost,
            why: "something else is wanted by now, or from another authority".to_owned(),
        };
        self.ledger.append(open, &entry, None).await
    }

    /// One step, and its entry. `None`: another step follows.
    pub(super) async fn advance(
        &self,
        open: &mut OpenOrder,
        session: &mut Option<Session>,
        wanted: &Wanted,
        access: &Access,
    ) -> Result<Option<Ran>, StoreError> {
        let step = open.order.next();
        let over_http = open.order.begun.challenge == Challenge::Http;
        let given = |_: &&Proof| open.order.answers() && over_http;
        let proofs = open.order.proofs.iter().filter(given);
        let _given = self
            .challenges
            .give(proofs.map(|proof| (proof.token.clone(), proof.answer.clone())));
        let mut tried = self.carry_out(open, session, wanted, access).await;
        if matches!(tried, Err(Trouble::NoAccount)) {
            self.ledger
                .forget_account(&open.order.begun.directory)
                .await?;
            *session = None;
            // Nothing is lost yet: with a new account it goes on.
            if step == Step::Place {
                tried = self.carry_out(open, session, wanted, access).await;
            }
        }
        let (failure, why) = match tried {
            Ok((entry, key)) => {
                tracing::debug!(certificate = %wanted.name, ?step, "done");
                self.ledger.append(open, &entry, key).await?;
                return Ok(ended(&entry));
            }
            Err(Trouble::Failed { failure, why }) => (failure, why),
            Err(Trouble::NoAccount) => {
                let why = "the authority knows our account no more; the order goes with it";
                (Failure::OrderLost, why.to_owned())
            }
            Err(Trouble::Store(error)) => return Err(error),
        };
        let entry = Entry::Failed {
            failure: failure.clone(),
            why: why.clone(),
        };
        self.ledger.append(open, &entry, None).await?;
        Ok(Some(Ran::Failed { failure, why }))
    }

    async fn carry_out(
        &self,
        open: &OpenOrder,
        session: &mut Option<Session>,
        wanted: &Wanted,
        access: &Access,
    ) -> Result<(Entry, Option<SecretText>), Trouble> {
        let begun = &open.order.begun;
        let entry = match open.order.next() {
            Step::MakeKey => {
                let key = key::make(begun.key).await.map_err(Trouble::local)?;
                return Ok((Entry::Keyed, Some(key)));
            }
            // An order alone counts against the authority's limits: it is not placed where it could not end well.
            Step::Place => {
                match begun.challenge {
                    Challenge::Http => self.probe(wanted, begun.names.iter()).await?,
                    Challenge::Dns => self.clear_records(open, wanted, access).await?,
                }
                let session = self.session(session, begun, wanted, access).await?;
                self.ask_authority(Step::Place, open, wanted, session)
                    .await?
            }
            Step::Probe if begun.challenge == Challenge::Dns => {
                self.write_records(open, wanted, access).await?;
                Entry::Probed
            }
            Step::Probe => {
                let names = open.order.proofs.iter().map(|proof| &proof.name);
                self.probe(wanted, names).await?;
                Entry::Probed
            }
            Step::Store => self.store(open)?,
            // Told together with others, or told already: `run` does not come here.
            Step::Announce | Step::Over => Entry::Announced,
            Step::EndRehearsal => Entry::Rehearsed,
            Step::Prove => {
                // They may be gone since, where a worker died or another order was under way.
                self.write_records(open, wanted, access).await?;
                let session = self.session(session, begun, wanted, access).await?;
                let url = open.order.url.as_deref().unwrap_or_default();
                let proven = session.prove(begun, url).await;
                if !matches!(&proven, Err(trouble) if trouble.passes()) {
                    self.withdraw(open, wanted, access).await;
                }
                proven?
            }
            step => {
                let session = self.session(session, begun, wanted, access).await?;
                self.ask_authority(step, open, wanted, session).await?
            }
        };
        Ok((entry, None))
    }

    async fn probe(
        &self,
        wanted: &Wanted,
        names: impl Iterator<Item = &CertName>,
    ) -> Result<(), Trouble> {
        let probed = self.paths.probe(wanted, names, &self.challenges).await;
        probed.map_err(|why| Trouble::new(Failure::PathBroken, why))
    }

    fn store(&self, open: &OpenOrder) -> Result<Entry, Trouble> {
        let begun = &open.order.begun;
        let Some(chain) = &open.order.chain else {
            return Err(Trouble::new(Failure::OrderLost, "the chain is lost"));
        };
        let leaf = self
            .shelf
            .put(&begun.certificate, chain, key_of(open)?)
            .map_err(Trouble::local)?;
        Ok(Entry::Stored {
            issued: Issued {
                serial: leaf.serial,
                lifetime: leaf.lifetime,
                terms: begun.terms,
                directory: begun.directory.clone(),
            },
        })
    }
}

fn begun(wanted: &Wanted, due: &Due) -> Option<Begun> {
    let authority = wanted.authorities.get(due.authority)?;
    Some(Begun {
        certificate: wanted.name.clone(),
        authority: authority.name.clone(),
        directory: directory(wanted, due.authority, due.rehearsal).to_owned(),
        names: wanted.names.clone(),
        key: wanted.key,
        profile: wanted.profile.clone(),
        terms: wanted.terms(),
        rehearsal: due.rehearsal,
        challenge: wanted.challenge(),
    })
}

pub(super) fn key_of(open: &OpenOrder) -> Result<&SecretText, Trouble> {
    let lost = || Trouble::new(Failure::OrderLost, "the private key of the order is lost");
    open.key.as_ref().ok_or_else(lost)
}

fn ended(entry: &Entry) -> Option<Ran> {
    matches!(entry, Entry::Rehearsed).then_some(Ran::Rehearsed)
}
