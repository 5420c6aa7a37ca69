//! One cluster's orders as events: whoever has a reason says that something may be due, and the one worker to whom the
//! queue gives it looks and orders. With a broker that may be any worker; then the orders are held for as long as it
//! is at them, and everything that it knows goes to the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use windlass_core::ids::ClusterName;
use windlass_core::materials::SecretText;
use windlass_core::model::names::Label;

use super::consumer::{Answer, Handler};
use super::desk;
use super::handler::Deployer;
use super::renewer::Renewer;
use super::shared::Handlers;
use crate::acme::{Announce, Asked, Orderer, Paths, Records, Resolver, Shelf};
use crate::challenges::Challenges;
use crate::config::{ClusterConfig, Config};
use crate::flow::fleet::SshFleet;
use crate::materials::sealed::Opened;
use crate::materials::{self, AtRest, Directories};
use crate::queue::{
    AnyQueue, CertificateDue, CertificatesIssued, Event, EventKind, EventQueue, Rolled,
};
use crate::store::Store;

/// Clocks jump and files are changed by hand: nothing is slept on for longer.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// The same where the worker that knows when something is due may have died.
const LONGEST_SHARED: SignedDuration = SignedDuration::from_mins(5);
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);
/// For so long at most a worker that starts waits for the flow to have come to an end once.
const FIRST: Duration = Duration::from_secs(60);

/// Wakes the cluster's flow for new certificates.
#[derive(Debug, Clone)]
pub(super) struct Waking<Q> {
    pub(super) cluster: ClusterName,
    pub(super) queue: Q,
    /// What chains and keys are sealed with for whichever worker rolls; `None`: that is this one.
    pub(super) others: Option<AtRest>,
}

impl<Q: EventQueue> Announce for Waking<Q> {
    async fn announce(&self, id: &str, issued: &[(Label, SecretText)]) -> Result<(), String> {
        let event = Event::new(EventKind::Certificate, "/acme", &self.cluster, id);
        let event = match &self.others {
            Some(at_rest) => event.with(sealed(at_rest, issued).await?),
            None => event,
        };
        let published = self.queue.publish(&event).await;
        published.map(drop).map_err(|error| error.to_string())
    }
}

/// The event's data that brings these certificates to whoever takes it.
pub(super) async fn sealed(
    at_rest: &AtRest,
    issued: &[(Label, SecretText)],
) -> Result<serde_json::Value, String> {
    let all: BTreeMap<&Label, &str> = issued
        .iter()
        .map(|(name, pem)| (name, pem.reveal()))
        .collect();
    let text = serde_json::to_string(&all).map_err(|error| error.to_string())?;
    let (text, at_rest) = (SecretText::new(&text), at_rest.clone());
    let sealing = tokio::task::spawn_blocking(move || at_rest.seal(&text));
    let sealed = sealing.await.map_err(|error| error.to_string())?;
    let data = CertificatesIssued {
        certificates: issued.iter().map(|(name, _)| name.clone()).collect(),
        sealed: sealed.map_err(|error| format!("they cannot be encrypted: {error}"))?,
    };
    Ok(json!(data))
}

/// Puts what came with an event where rolls of this worker take it from. One that was issued later stays.
pub(super) async fn accept(directories: &Directories, event: &Event) -> anyhow::Result<()> {
    let data = event
        .data
        .clone()
        .filter(|_| event.kind == EventKind::Certificate);
    let issued = data.and_then(|data| serde_json::from_value::<CertificatesIssued>(data).ok());
    let (Some(issued), Some(folder)) = (issued, &directories.ordered) else {
        return Ok(());
    };
    let at_rest = directories.at_rest.clone();
    let shelf = Shelf::at(folder).at_rest(at_rest.clone());
    if at_rest.seals() && !AtRest::is_sealed(&issued.sealed) {
        tracing::error!(cluster = %event.subject, event = event.id, "certificates that came with an event are not encrypted to this worker's identity and are passed over");
        return Ok(());
    }
    let accepting = tokio::task::spawn_blocking(move || {
        let text = at_rest.open(&issued.sealed);
        let text = text.context("the certificates that came with an event cannot be decrypted")?;
        let all: BTreeMap<Label, String> = serde_json::from_str(text.reveal())
            .map_err(|_| anyhow::anyhow!("what came with an event is no list of certificates"))?;
        for (name, pem) in all {
            if materials::usable(&pem).is_ok() {
                shelf
                    .put_newer(&name, &SecretText::new(&pem))
                    .map_err(anyhow::Error::msg)?;
            }
        }
        anyhow::Ok(())
    });
    accepting.await?
}

/// Says that something may be due: when a roll has ended, and when it is time. That several workers say it does no harm.
pub(super) struct Caller<Q> {
    pub(super) cluster: ClusterName,
    pub(super) queue: Q,
    pub(super) store: Store,
    /// Told when a roll has ended: a way that was missing may be there now.
    pub(super) rolled: Arc<Notify>,
    /// When something is due next, as the last look of this worker's has shown.
    pub(super) next: watch::Receiver<Timestamp>,
    pub(super) shared: bool,
}

impl<Q: EventQueue> Caller<Q> {
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let ended = Arc::clone(&self.rolled);
        let mut rolled = false;
        // The flow comes first: it takes back what the nodes hold, which need not be ordered then.
        tokio::select! {
            () = stop.cancelled() => return,
            () = ended.notified() => rolled = true,
            () = tokio::time::sleep(FIRST) => {}
        }
        loop {
            self.next.mark_unchanged();
            if let Err(error) = self.call(rolled).await {
                tracing::error!(cluster = %self.cluster, error = format!("{error:#}"), "certificates could not be looked after");
            }
            rolled = tokio::select! {
                () = stop.cancelled() => return,
                () = ended.notified() => true,
                () = self.time() => false,
            };
        }
    }

    async fn call(&self, rolled: bool) -> anyhow::Result<()> {
        let mut due = CertificateDue::default();
        if rolled {
            let record = self.store.cluster(&self.cluster).await?;
            due.rolled = Some(Rolled {
                commit: record.rolled.or(record.seen),
                at: Timestamp::now(),
            });
        }
        let id = Uuid::new_v4().to_string();
        let event = Event::new(EventKind::Order, "/timer", &self.cluster, id).with(json!(due));
        self.queue.publish(&event).await?;
        Ok(())
    }

    /// Until it is time to look again.
    async fn time(&mut self) {
        let longest = if self.shared { LONGEST_SHARED } else { LONGEST };
        let mut at = Timestamp::now() + longest;
        loop {
            let wait = at.duration_since(Timestamp::now());
            let wait = Duration::try_from(wait.max(SignedDuration::ZERO)).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(wait) => return,
                Ok(()) = self.next.changed() => {
                    let now = Timestamp::now();
                    let next = self.next.borrow_and_update().duration_since(now);
                    at = now + next.clamp(SHORTEST, longest);
                }
            }
        }
    }
}

/// Has orders of this cluster carried out here, and somebody who says when.
pub(super) fn of(
    (config, cluster): (&Config, &ClusterConfig),
    queue: &AnyQueue,
    challenges: &Challenges,
    deployer: &Deployer<SshFleet>,
    handlers: &mut Handlers,
) -> anyhow::Result<Caller<AnyQueue>> {
    let deploy = &deployer.deploy;
    let desk = desk::of(config, cluster, &deploy.store)?;
    if let Err(why) = desk.shelf.seal() {
        tracing::error!(cluster = %cluster.name, why, "certificates lie in the clear as before");
    }
    let at_rest = desk.directories.at_rest.clone();
    let resolvers = config.acme.iter().flat_map(|acme| &acme.value.resolvers);
    let resolver = Resolver::asking(resolvers.map(|own| own.value.0).collect());
    let renewer = Renewer {
        cluster: cluster.name.clone(),
        source: deploy.source.clone(),
        store: deploy.store.clone(),
        orderer: Orderer {
            ledger: desk.ledger,
            shelf: desk.shelf,
            challenges: challenges.clone(),
            paths: Paths::new(resolver.clone()),
            records: Records::new(resolver),
            announce: Waking {
                cluster: cluster.name.clone(),
                queue: queue.clone(),
                others: queue.is_shared().then_some(at_rest),
            },
        },
        given: Directories {
            secrets: config.secrets.clone(),
            age_identities: config.age_identities.clone(),
            ..Directories::default()
        },
        opened: Opened::default(),
    };
    let (tell, next) = watch::channel(Timestamp::now());
    let ordering = Ordering {
        renewer,
        next: tell,
        rolled: Mutex::default(),
    };
    handlers.on(&cluster.name, EventKind::Order, ordering);
    Ok(Caller {
        cluster: cluster.name.clone(),
        queue: queue.clone(),
        store: deploy.store.clone(),
        rolled: Arc::clone(&deployer.rolled),
        next,
        shared: queue.is_shared(),
    })
}

/// Looks and orders.
pub(super) struct Ordering<A> {
    pub(super) renewer: Renewer<A>,
    pub(super) next: watch::Sender<Timestamp>,
    /// When a roll has ended last.
    pub(super) rolled: Mutex<Option<Timestamp>>,
}

impl<A: Announce + 'static> Handler for Ordering<A> {
    async fn handle(&self, event: Event) -> Answer {
        match self.serve(&event).await {
            Ok(Some(next)) => {
                self.next.send_replace(next);
                Answer::Done
            }
            Ok(None) => Answer::Later("another worker orders".to_owned()),
            Err(error) => {
                let why = format!("{error:#}");
                tracing::warn!(cluster = %event.subject, error = why, "certificates could not be looked after");
                Answer::Later(why)
            }
        }
    }
}

impl<A: Announce> Ordering<A> {
    /// When to look again; `None`: another worker is at it.
    async fn serve(&self, event: &Event) -> anyhow::Result<Option<Timestamp>> {
        let Some(hold) = self.renewer.orderer.ledger.hold().await? else {
            return Ok(None);
        };
        let served = self.held(event).await;
        hold.release().await;
        served.map(Some)
    }

    async fn held(&self, event: &Event) -> anyhow::Result<Timestamp> {
        let data = event.data.clone().unwrap_or_default();
        let due: CertificateDue = serde_json::from_value(data).unwrap_or_default();
        let ledger = &self.renewer.orderer.ledger;
        ledger.seal().await?;
        if let Some(name) = &due.certificate {
            let asked = if due.force { Asked::AtOnce } else { Asked::Yes };
            ledger.ask_by(name, asked, &event.id).await?;
        }
        if let Some(rolled) = &due.rolled {
            let mut last = self.rolled.lock().unwrap_or_else(PoisonError::into_inner);
            *last = (*last).max(Some(rolled.at));
        }
        if let Some(Rolled {
            commit: Some(commit),
            at,
        }) = &due.rolled
            && ledger.is_common()
        {
            ledger.roll_ended(commit, *at).await?;
        }
        let rolled = *self.rolled.lock().unwrap_or_else(PoisonError::into_inner);
        self.renewer.round(rolled).await
    }
}
