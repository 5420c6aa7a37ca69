//! Orders one cluster's certificates: looks what the commit that was rolled out wants, carries out what is due, and
//! wakes the flow with what is new. What is rolled is not its business.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use windlass_core::acme::due::directory;
use windlass_core::acme::{Due, Failure, Issued, Known, Wanted, due, wanted};
use windlass_core::ids::ClusterName;
use windlass_core::materials::{Materials, SecretText};
use windlass_core::model::{self, challenge::KEY_SECRET};
use windlass_core::snapshot::Snapshot;

use crate::acme::{Access, Announce, Leaf, Orderer, Ran, Suggestion};
use crate::certificates::{issued, rolled as rolled_commit};
use crate::git::source::Source;
use crate::materials::sealed::{self, Opened};
use crate::materials::{self, Directories};
use crate::store::Store;

/// Nothing is looked at later than this.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// An authority that did not answer is asked for its suggestion again after this.
const SILENT: SignedDuration = SignedDuration::from_mins(1);
/// New certificates wait for so long for others, to be rolled together; not for an authority that is silent.
const TOGETHER: Duration = Duration::from_secs(30);
/// No further certificate is begun with after this: what is left comes with the next event.
const ENOUGH: Duration = Duration::from_secs(8 * 60);

pub(super) struct Renewer<A> {
    pub(super) cluster: ClusterName,
    pub(super) source: Source,
    pub(super) store: Store,
    pub(super) orderer: Orderer<A>,
    /// For keys of external account bindings.
    /// The worker's directory of secrets, and who it is for those of the repository.
    pub(super) given: Directories,
    pub(super) opened: Opened,
}

impl<A: Announce> Renewer<A> {
    /// Carries out what is due; when to look again.
    pub(super) async fn round(&self, rolled: Option<Timestamp>) -> anyhow::Result<Timestamp> {
        let mut next = Timestamp::now() + LONGEST;
        let Some(snapshot) = rolled_commit(&self.store, &self.source, &self.orderer.ledger).await?
        else {
            return Ok(next);
        };
        let reading = Arc::clone(&snapshot);
        let loaded = tokio::task::spawn_blocking(move || model::load(&reading)).await?;
        let Some(model) = loaded
            .model
            .filter(|model| model.cluster.name == self.cluster)
        else {
            return Ok(next);
        };
        let (mut materials, _) = materials::load(&self.given)?;
        let identities = &self.given.age_identities;
        // What cannot be decrypted is told where the commit is rendered.
        sealed::add(&snapshot, identities, &self.opened, &mut materials);
        let begun = Instant::now();
        let round = Round {
            snapshot: &snapshot,
            materials: &materials,
            rolled,
            silent: Mutex::default(),
        };
        let all = wanted(&model);
        let names = all.iter().map(|wanted| wanted.name.clone()).collect();
        // What orders is too large to be carried about.
        let looking = Box::pin(async {
            let mut failed = None;
            for wanted in all {
                if begun.elapsed() > ENOUGH {
                    return anyhow::Ok(Timestamp::now());
                }
                match self.look_after(&wanted, &round).await {
                    Ok(again) => next = next.min(again),
                    // The others need not wait for what is wrong with this one.
                    Err(error) => failed = failed.or(Some(error.context(wanted.name))),
                }
            }
            failed.map_or(Ok(next), Err)
        });
        let next = self.telling(looking).await;
        self.orderer.announce().await?;
        let Orderer { ledger, shelf, .. } = &self.orderer;
        ledger.forget_all_but(&names, shelf).await?;
        next
    }

    /// What is issued meanwhile is told every now and then.
    async fn telling<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let done = CancellationToken::new();
        let working = async {
            let _done = done.clone().drop_guard();
            work.await
        };
        // Both to their ends: what is written down is not to be cut short.
        let telling = async {
            loop {
                tokio::select! {
                    () = done.cancelled() => return anyhow::Ok(()),
                    () = tokio::time::sleep(TOGETHER) => {}
                }
                self.orderer.announce().await?;
            }
        };
        let (worked, told) = tokio::join!(working, telling);
        told.and(worked)
    }

    async fn look_after(&self, wanted: &Wanted, round: &Round<'_>) -> anyhow::Result<Timestamp> {
        self.orderer.keep(wanted).await?;
        loop {
            let (known, again) = self.known(wanted, round).await?;
            let now = Timestamp::now();
            let Some(due) = due(wanted, &known, now) else {
                return Ok(now + LONGEST);
            };
            if due.at > now {
                return Ok(due.at.min(again));
            }
            let access = access(wanted, due.authority, round);
            let Some(ran) = self.orderer.run(wanted, &due, &access).await? else {
                return Ok(now + LONGEST);
            };
            self.tell(wanted, &due, &ran);
            // What was asked for counts as done when it is announced: look again after that.
            if matches!(ran, Ran::Issued(_)) {
                return Ok(now);
            }
        }
    }

    /// With it, when the authority is to be asked for its suggestion again.
    async fn known(
        &self,
        wanted: &Wanted,
        round: &Round<'_>,
    ) -> anyhow::Result<(Known, Timestamp)> {
        let mut again = Timestamp::now() + LONGEST;
        let mut known = self.orderer.ledger.known(wanted).await?;
        let there = self.orderer.shelf.leaf(&wanted.name);
        let leaf = match there {
            Ok(leaf) => leaf,
            Err(why) => {
                tracing::error!(cluster = %self.cluster, certificate = %wanted.name, why, "a certificate is ordered anew");
                None
            }
        };
        known.issued = leaf
            .as_ref()
            .map(|leaf| issued(wanted, leaf, known.issued.take()));
        if let (Some(leaf), Some(issued)) = (&leaf, &known.issued) {
            let suggestion = self.suggestion(wanted, leaf, issued, round).await?;
            again = again.min(suggestion.again);
            known.window = suggestion.window;
        }
        let mended = |at: Timestamp| round.rolled.is_some_and(|rolled| at < rolled);
        known
            .failures
            .retain(|failed| failed.failure != Failure::PathBroken || !mended(failed.at));
        Ok((known, again))
    }

    /// What the authority suggests, asked as often as it wants to be.
    async fn suggestion(
        &self,
        wanted: &Wanted,
        leaf: &Leaf,
        issued: &Issued,
        round: &Round<'_>,
    ) -> anyhow::Result<Suggestion> {
        let now = Timestamp::now();
        let stored = self.orderer.ledger.suggestion(&wanted.name).await?;
        let stored = stored.filter(|stored| stored.serial == leaf.serial);
        if let Some(stored) = stored.clone().filter(|stored| stored.again > now) {
            return Ok(stored);
        }
        let from = |index: &usize| directory(wanted, *index, false) == issued.directory;
        let authority = (0..wanted.authorities.len()).find(from);
        let mut asked = None;
        if let Some(index) = authority
            && !round.is_silent(&issued.directory)
        {
            let access = access(wanted, index, round);
            let authority = &wanted.authorities[index];
            let directory = &issued.directory;
            asked = self
                .orderer
                .suggested(authority, directory, leaf, &access)
                .await;
            if asked.is_none() {
                round.silent().insert(directory.clone());
            }
        }
        // An authority that does not answer has not taken back what it said: "now" still means now.
        let suggestion = asked.unwrap_or_else(|| Suggestion {
            serial: leaf.serial.clone(),
            window: stored.and_then(|stored| stored.window),
            again: now + if authority.is_some() { SILENT } else { LONGEST },
        });
        self.orderer
            .ledger
            .suggest(&wanted.name, &suggestion)
            .await?;
        Ok(suggestion)
    }

    fn tell(&self, wanted: &Wanted, due: &Due, ran: &Ran) {
        let (cluster, certificate) = (&self.cluster, &wanted.name);
        match ran {
            Ran::Issued(issued) => {
                let until = issued.lifetime.until;
                tracing::info!(%cluster, %certificate, why = ?due.why, serial = issued.serial, %until, "a certificate was issued");
            }
            Ran::Rehearsed => tracing::info!(%cluster, %certificate, "a rehearsal went well"),
            Ran::Failed { failure, why } => {
                tracing::warn!(%cluster, %certificate, ?failure, why, "a certificate could not be ordered; it is tried again");
            }
        }
    }
}

/// One look at all that is wanted.
struct Round<'a> {
    snapshot: &'a Snapshot,
    materials: &'a Materials,
    rolled: Option<Timestamp>,
    /// Directories that did not answer: each further certificate would wait for the same silence.
    silent: Mutex<BTreeSet<String>>,
}

impl Round<'_> {
    fn silent(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_silent(&self, directory: &str) -> bool {
        self.silent().contains(directory)
    }
}

fn access(wanted: &Wanted, authority: usize, round: &Round<'_>) -> Access {
    let materials = round.materials;
    let authority = wanted.authorities.get(authority);
    let root = authority.and_then(|authority| round.snapshot.file(authority.root.as_ref()?));
    let secret =
        authority.and_then(|authority| materials.secrets.get(&authority.eab.as_ref()?.secret));
    let key = wanted
        .dns
        .as_ref()
        .and_then(|_| materials.secrets.get(KEY_SECRET));
    Access {
        root: root.map(|pem| String::from_utf8_lossy(pem).into_owned()),
        eab: secret.map(|secret| SecretText::new(secret.reveal())),
        zone_key: key.map(|secret| SecretText::new(secret.reveal())),
        contact: wanted.contact.clone(),
    }
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod asked;
#[cfg(test)]
#[path = "by_itself_tests.rs"]
mod by_itself;
#[cfg(test)]
#[path = "renewer_tests.rs"]
mod tests;
