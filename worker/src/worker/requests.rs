//! Requests of a cluster's forge: has events about them worked on, and asks the forge for what no webhook told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use windlass_core::ids::ClusterName;
use windlass_core::preview::Limits;

use super::consumer::{Answer, Handler};
use super::desk;
use super::handler::Deployer;
use super::shared::Handlers;
use crate::check::{Checker, Sandbox};
use crate::config::{ClusterConfig, Config, ForgeConfig, ForgeKind, PreviewsFrom};
use crate::flow::deploy::Deploy;
use crate::flow::preview::{Previews, SshReaders, Stranger};
use crate::flow::request::{OfForge, Policy, Requests, Who, of_forge};
use crate::flow::review::Review;
use crate::flow::trouble::Trouble;
use crate::forge::{AnyForge, Kind, Place};
use crate::git::source::Source;
use crate::ports::forge::{ForgeReader as _, Listed};
use crate::queue::{Event, EventKind, EventQueue, RequestChanged};
use crate::store::Store;
use crate::store::requests::{KnownRequest, Stage};

/// How often it is looked whether a merge that waits for its roll has a report.
const LOOK_AT_REPORTS: Duration = Duration::from_secs(2);

/// By so much the forge's clock and ours may differ.
const CLOCKS: Duration = Duration::from_secs(60);

type Own = Requests<AnyForge, Previews<SshReaders>>;

/// Works on events about requests.
struct Reviewer(Arc<Own>);

impl Handler for Reviewer {
    async fn handle(&self, event: Event) -> Answer {
        match self.0.run(&event).await {
            Ok(()) => Answer::Done,
            Err(Trouble::Later(why)) => Answer::Later(why),
            Err(Trouble::Again(delay, why)) => Answer::Again(delay, why),
            Err(Trouble::Broken(error)) => Answer::Broken(format!("{error:#}")),
        }
    }
}

/// Has the cluster's events about requests worked on, and gives what looks for more; `None` where it has no forge.
pub(super) fn of<F, Q: EventQueue + Clone + 'static>(
    config: &Config,
    cluster: &ClusterConfig,
    (deployer, queue): (&Deployer<F>, &Q),
    handlers: &mut Handlers,
) -> anyhow::Result<Option<Poller<Q>>> {
    let Some(forge) = &cluster.forge else {
        return Ok(None);
    };
    let requests = Arc::new(own(config, (cluster, forge), &deployer.deploy, queue)?);
    let reviewer = Reviewer(Arc::clone(&requests));
    handlers.on(&cluster.name, EventKind::Request, reviewer);
    Ok(Some(Poller {
        queue: queue.clone(),
        requests,
        moved: Arc::clone(&deployer.moved),
        started: Timestamp::now(),
        every: Duration::from_secs(u64::from(forge.poll.get())),
    }))
}

fn own<F, Q: EventQueue + Clone + 'static>(
    config: &Config,
    (cluster, forge): (&ClusterConfig, &ForgeConfig),
    deploy: &Deploy<F>,
    queue: &Q,
) -> anyhow::Result<Own> {
    let sandbox = Sandbox::default();
    let checker = Checker::new(sandbox.clone());
    let readers = SshReaders::new(config.ssh.identity_file.clone());
    let previews = Previews::new(
        cluster.name.clone(),
        // What strangers send does not come into the mirror that is rolled from.
        desk::source(config, cluster, "-requests"),
        deploy.materials.clone(),
        (Stranger::of_this_program(sandbox), checker),
        readers,
    )
    .with_pages(deploy.store.clone(), address(config));
    Ok(Requests {
        cluster: cluster.name.clone(),
        branch: cluster.repository.branch.clone(),
        forge: client(forge)?,
        previews,
        source: deploy.source.clone(),
        store: deploy.store.clone(),
        queue: Arc::new(queue.clone()),
        limits: Limits::of(kind(forge.kind).flavour()),
        policy: policy(forge),
        stop: deploy.stop.clone(),
        state: Default::default(),
    })
}

/// Where people find the pages of previews.
fn address(config: &Config) -> Option<String> {
    let url = config.public_url.as_ref();
    url.map(|url| url.value.clone())
}

/// What is asked of the cluster's forge before anything is rolled; `None` where it has none.
pub(super) fn review(
    config: &Config,
    cluster: &ClusterConfig,
    source: &Source,
    store: &Store,
) -> anyhow::Result<Option<Review>> {
    let Some(forge) = &cluster.forge else {
        return Ok(None);
    };
    let merges = OfForge {
        cluster: cluster.name.clone(),
        branch: cluster.repository.branch.clone(),
        forge: client(forge)?,
        store: store.clone(),
        source: source.clone(),
    };
    Ok(Some(Review {
        merges: Arc::new(merges),
        address: address(config),
    }))
}

fn policy(forge: &ForgeConfig) -> Policy {
    Policy {
        from: match forge.previews.from {
            PreviewsFrom::Members => Who::Members,
            PreviewsFrom::Everyone => Who::Everyone,
            PreviewsFrom::Nobody => Who::Nobody,
        },
        authors: forge.previews.authors.clone(),
    }
}

/// The client of the configured forge.
pub(super) fn client(forge: &ForgeConfig) -> anyhow::Result<AnyForge> {
    let authorities = match &forge.ca_file {
        Some(file) => Some(std::fs::read(file).map_err(|error| {
            anyhow::anyhow!(
                "cannot read the forge's ca_file {}: {error}",
                file.display()
            )
        })?),
        None => None,
    };
    let place = Place {
        kind: kind(forge.kind),
        address: forge.address(),
        project: forge.project.value.clone(),
        token: forge.token_file.clone(),
        authorities,
    };
    AnyForge::new(&place).map_err(anyhow::Error::msg)
}

fn kind(kind: ForgeKind) -> Kind {
    match kind {
        ForgeKind::Gitea => Kind::Gitea,
        ForgeKind::Forgejo => Kind::Forgejo,
        ForgeKind::GitHub => Kind::GitHub,
        ForgeKind::GitLab => Kind::GitLab,
    }
}

/// Catches what a lost webhook missed, and tells of rolls that have ended.
pub(super) struct Poller<Q> {
    queue: Q,
    requests: Arc<Own>,
    /// Told when the watched branch may have moved: it is what open requests are previewed against.
    moved: Arc<Notify>,
    /// Where the forge was never asked before, what was typed earlier is left alone.
    started: Timestamp,
    every: Duration,
}

/// Head, base, and when the last roll had ended.
type Wanted = (String, String, Option<Timestamp>);

/// What was told last, so that the same is not told twice while it waits to be worked on.
#[derive(Default)]
struct Told {
    looks: BTreeMap<u64, Wanted>,
    /// As the list had it when the comments were read.
    read: BTreeMap<u64, String>,
    report: Option<i64>,
    trouble: Option<String>,
}

impl<Q: EventQueue> Poller<Q> {
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut told = Told::default();
        let mut next_poll = Instant::now();
        loop {
            let next_look = Instant::now() + LOOK_AT_REPORTS;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(next_poll) => {
                    let pause = self.poll(&mut told).await;
                    next_poll = Instant::now() + pause;
                }
                () = self.moved.notified() => {
                    let pause = self.poll(&mut told).await;
                    next_poll = Instant::now() + pause;
                }
                () = tokio::time::sleep_until(next_look) => self.rolled(&mut told).await,
            }
        }
    }

    fn cluster(&self) -> &ClusterName {
        &self.requests.cluster
    }

    /// How long to wait before the next one.
    async fn poll(&self, told: &mut Told) -> Duration {
        let trouble = match self.changed(told).await {
            Ok(()) => {
                if told.trouble.take().is_some() {
                    tracing::info!(cluster = %self.cluster(), "the forge can be asked again");
                    // What was published before it went away waits for minutes by now.
                    told.looks.clear();
                }
                return self.every;
            }
            Err(trouble) => trouble,
        };
        let pause = match &trouble {
            Trouble::Again(pause, _) => self.every.max(*pause),
            Trouble::Later(_) | Trouble::Broken(_) => self.every,
        };
        let trouble = trouble.to_string();
        if told.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(cluster = %self.cluster(), trouble, "cannot look for requests");
            told.trouble = Some(trouble);
        }
        pause
    }

    /// Requests whose head or base is not the one that was looked at, and those that are not open any more.
    async fn changed(&self, told: &mut Told) -> Result<(), Trouble> {
        let requests = &self.requests;
        let open = requests.forge.open_requests(&requests.branch).await;
        let open = open.map_err(of_forge)?;
        let base = requests.source.look().await;
        let base = base.map_err(|error| Trouble::Later(error.to_string()))?;
        let settled = requests.store.settled(&requests.cluster).await?;
        let known = requests.store.requests(&requests.cluster).await?;
        self.listen(&open, &known, told).await?;
        for listed in &open {
            let looked = known.iter().find(|known| known.number == listed.number);
            if looked.is_none_or(|known| known.is_behind(&listed.head, &base, settled)) {
                let look = (listed.head.clone(), base.clone(), settled);
                if told.looks.get(&listed.number) != Some(&look)
                    && self.publish(listed.number, None).await
                {
                    told.looks.insert(listed.number, look);
                }
            }
        }
        let gone = known.iter().filter(|known| {
            known.stage == Stage::Open && !open.iter().any(|open| open.number == known.number)
        });
        for known in gone {
            // Where it could not be queued it is found once more.
            self.publish(known.number, None).await;
            told.looks.remove(&known.number);
        }
        Ok(())
    }

    /// Commands that no webhook told of, in requests whose comments may have changed.
    async fn listen(
        &self,
        open: &[Listed],
        known: &[KnownRequest],
        told: &mut Told,
    ) -> Result<(), Trouble> {
        let (requests, cluster) = (&self.requests, self.cluster());
        let now = Timestamp::now();
        let last = requests.store.listened(cluster).await?;
        let since = last.unwrap_or(self.started) - CLOCKS;
        for listed in open {
            let read = told.read.get(&listed.number);
            if listed.updated.is_none() || read != listed.updated.as_ref() {
                self.hear(listed.number, since).await?;
                let updated = listed.updated.clone();
                updated.map(|updated| told.read.insert(listed.number, updated));
            }
        }
        told.read
            .retain(|number, _| open.iter().any(|open| open.number == *number));
        // Those may wait for a word, and are in no list.
        for known in known.iter().filter(|known| known.stage == Stage::Merged) {
            self.hear(known.number, since).await?;
        }
        Ok(requests.store.listen(cluster, now).await?)
    }

    async fn hear(&self, number: u64, since: Timestamp) -> Result<(), Trouble> {
        let missed = self.requests.missed(number, since).await?;
        for comment in &missed.comments {
            if !self.publish(number, Some(*comment)).await {
                return Err(Trouble::Later("an event could not be queued".to_owned()));
            }
        }
        self.requests.heard(number, &missed).await
    }

    /// A roll has ended: whoever waits for it is looked at, and whatever was planned before.
    async fn rolled(&self, told: &mut Told) {
        let (store, cluster) = (&self.requests.store, self.cluster());
        let latest = store.report_stored_last(cluster).await;
        let latest = latest.ok().flatten();
        if latest.is_none() || latest == told.report {
            return;
        }
        let (Ok(known), Ok(settled)) =
            (store.requests(cluster).await, store.settled(cluster).await)
        else {
            return;
        };
        for known in &known {
            let (head, base) = (&known.head, &known.base);
            let look = (head.clone(), base.clone(), settled);
            let is_due = match known.stage {
                Stage::Merged => true,
                Stage::Open => {
                    known.is_behind(head, base, settled)
                        && told.looks.get(&known.number) != Some(&look)
                }
                Stage::Over => false,
            };
            if !is_due {
                continue;
            }
            if !self.publish(known.number, None).await {
                return;
            }
            if known.stage == Stage::Open {
                told.looks.insert(known.number, look);
            }
        }
        told.report = latest;
    }

    /// Whether it is durable: what is not must be found again.
    async fn publish(&self, number: u64, comment: Option<u64>) -> bool {
        let id = match comment {
            // However often it is found.
            Some(comment) => format!("{}-{number}-comment-{comment}", self.cluster()),
            None => Uuid::new_v4().to_string(),
        };
        let event = Event::new(EventKind::Request, "/poll", self.cluster(), id);
        let changed = RequestChanged {
            request: number,
            comment,
        };
        let event = event.with(json!(changed));
        let published = self.queue.publish(&event).await;
        if let Err(error) = &published {
            tracing::error!(cluster = %self.cluster(), %error, "an event could not be queued");
        }
        published.is_ok()
    }
}
