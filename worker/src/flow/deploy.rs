//! From an event to an outcome. `through` reads like the picture in ARCHITECTURE.md: snapshot, model, releases,
//! checks, plan, roll; each stage is called in turn, and what one gives the next one takes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use windlass_core::codes::{git as codes, plan as plan_codes};
use windlass_core::finding::{Finding, Findings, Location};
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::model;
use windlass_core::observed::Observed;
use windlass_core::outcome::Outcome;
use windlass_core::plan::{self, Adopt, Inventory, Outline, Plan};
use windlass_core::release::Bundle;

use super::fleet::Fleet;
use super::heard::Heard;
use super::looked::{Ended, Flowed, Looked, Planned};
use super::newer::{Newer, Signals};
use super::prepare::{self, Memory, Prepared, Rendered};
use super::review::{Asked, Review};
use super::trial::Trial;
use super::trouble::{Trouble, of_git};
use super::turn::{Handover, UnderWay};
use crate::acme::Ledger;
use crate::check::Checker;
use crate::git::mirror::Step;
use crate::git::source::Source;
use crate::live::Live;
use crate::materials::Directories;
use crate::queue::{Event, EventKind};
use crate::roll::observe;
use crate::roll::{Driver, Observer, RollPermit, StoreJournal};
use crate::store::Store;
use crate::store::reports::Report;

/// Everything that one cluster's deployments need.
pub struct Deploy<F> {
    pub cluster: ClusterName,
    pub source: Source,
    pub materials: Directories,
    /// Knows which certificates were ordered.
    pub ledger: Ledger,
    pub checker: Checker,
    pub memory: Arc<Memory>,
    /// Renders what was pushed within limits first; absent only in tests.
    pub trial: Option<Trial>,
    pub fleet: F,
    pub store: Store,
    pub state: PathBuf,
    /// Names this worker to the nodes.
    pub holder: String,
    pub handover: Handover,
    pub under_way: UnderWay,
    /// In bytes: what a broker takes as a roll's first message.
    pub largest_message: usize,
    pub newer: Arc<Newer>,
    /// What was said of the requests that are rolled; absent where no forge is configured.
    pub review: Option<Review>,
    pub live: Live,
    /// The worker is to stop: a roll goes back, or is left to another worker.
    pub stop: CancellationToken,
}

/// What became of an event.
#[derive(Debug, Default)]
pub struct Answered {
    /// `None`: there was nothing to tell.
    pub report: Option<Report>,
    /// What is to be published before the event is forgotten.
    pub then: Option<Event>,
}

impl<F: Fleet> Deploy<F> {
    pub async fn run(&self, event: &Event) -> Result<Answered, Trouble> {
        let Some(permit) = RollPermit::take(&self.state, &self.cluster)? else {
            return Err(Trouble::Later(
                "another process rolls this cluster".to_owned(),
            ));
        };
        self.resume(&permit).await?;
        if event.kind == EventKind::Turn {
            return self.turn(&permit, event).await;
        }
        let started = Timestamp::now();
        let flowed = self.through(&permit, event).await?;
        self.answer(flowed, event, event.kind.word(), started).await
    }

    async fn through(&self, permit: &RollPermit, event: &Event) -> Result<Flowed, Trouble> {
        let planned = match self.look(event.kind).await? {
            Looked::Nothing => return Ok(Flowed::Nothing),
            Looked::Ended(ended) => return Ok(Flowed::Ended(*ended)),
            Looked::Planned(planned) => planned,
        };
        let (nodes, plan) = (Arc::clone(&planned.nodes), planned.plan.clone());
        if self.handover == Handover::EachTurn {
            if let Some(forsaken) = &planned.forsaken {
                self.overtake(forsaken, &planned, event).await?;
            }
            return self.open(permit, nodes, plan, &planned.bundle, event).await;
        }
        let bundle = Arc::clone(&planned.bundle);
        let outcome = self.roll(permit, nodes, plan, bundle).await?;
        Ok(Flowed::Ended(planned.ended(outcome)))
    }

    /// Everything up to the plan: nothing on a node changes.
    pub(super) async fn look(&self, kind: EventKind) -> Result<Looked<F::Nodes>, Trouble> {
        let commit = match self.source.fetch().await {
            Ok(commit) => commit,
            Err(error) => return self.unreadable(of_git(error)?).await,
        };
        let settled = self.is_settled(&commit).await?;
        if kind == EventKind::Moved && settled {
            return Ok(Looked::Nothing);
        }
        if let Err(error) = self.source.verify(&commit).await {
            return self.unreadable(of_git(error)?).await;
        }
        let mut prepared = self.prepare(&commit).await?;
        let Some(mut rendered) = sound(&prepared) else {
            let findings = prepared.findings.clone();
            return Ok(Looked::Ended(Box::new(refused(&prepared, None, findings))));
        };
        let nodes = Arc::new(
            self.fleet
                .nodes(&rendered.model)
                .context("ssh cannot be set up")?,
        );
        let observed = observe::all(&nodes, rendered.model.nodes.keys().cloned()).await;
        let forsaken = self.beside(&observed)?;
        if self
            .takes_certificates(nodes.as_ref(), &observed, rendered)
            .await?
        {
            prepared = self.prepare(&commit).await?;
            let Some(whole) = sound(&prepared) else {
                let findings = prepared.findings.clone();
                return Ok(Looked::Ended(Box::new(refused(&prepared, None, findings))));
            };
            rendered = whole;
        }
        let mut plan = self.plan(&prepared, rendered, &observed, kind).await?;
        plan.findings
            .extend(self.rewound(&commit, &observed).await?);
        let asked = Asked {
            plan: &plan,
            prepared: &prepared,
            rendered,
            observed: &observed,
        };
        let said = self.reviewed(&asked, nodes.as_ref()).await?;
        plan.findings.extend(said);
        if plan.findings.has_errors() {
            let findings = plan.findings.clone().sorted();
            let ended = refused(&prepared, Some(&plan), findings);
            return Ok(Looked::Ended(Box::new(ended)));
        }
        Ok(Looked::Planned(Box::new(Planned {
            bundle: Arc::clone(&rendered.bundle),
            plan,
            nodes,
            forsaken,
        })))
    }

    /// The nodes hold this commit, as far as we know, and nobody asked to look again.
    async fn is_settled(&self, commit: &str) -> Result<bool, Trouble> {
        let record = self.store.cluster(&self.cluster).await?;
        self.store.saw(&self.cluster, commit).await?;
        Ok(record.rolled.as_deref() == Some(commit))
    }

    async fn prepare(&self, commit: &str) -> Result<Prepared, Trouble> {
        let snapshot = Arc::new(self.source.snapshot(commit).await?);
        let (directories, memory) = (self.materials.clone(), Arc::clone(&self.memory));
        let trial = self.trial.clone();
        let rendering = tokio::task::spawn_blocking(move || {
            prepare::render_tried(snapshot, &directories, &memory, trial.as_ref())
        });
        let mut prepared = rendering.await??;
        if let Some(rendered) = &prepared.rendered
            && rendered.model.cluster.name != self.cluster
        {
            prepared
                .findings
                .extend([self.another(&rendered.model.cluster.name)]);
        }
        if sound(&prepared).is_some() {
            let quiet = |_| {};
            prepare::check(
                &mut prepared,
                &self.checker,
                &self.memory,
                &quiet,
                &self.stop,
            )
            .await?;
        }
        Ok(prepared)
    }

    async fn plan(
        &self,
        prepared: &Prepared,
        rendered: &Rendered,
        observed: &Observed,
        kind: EventKind,
    ) -> Result<Plan, Trouble> {
        let base = match plan::base_commit(observed) {
            Some(commit) => self.inventory(commit).await,
            None => None,
        };
        let record = self.store.cluster(&self.cluster).await?;
        let digest = rendered.bundle.digest;
        let tried = self.store.tried(&self.cluster, digest).await?;
        let plan = plan::make(&plan::Input {
            outline: &Outline::of(&rendered.model),
            bundle: &rendered.bundle,
            incomplete: !rendered.bundle.incomplete.is_empty(),
            subject: &prepared.snapshot.subject,
            observed,
            base: base.as_ref(),
            quarantined: &self.quarantined().await?,
            tried,
            settled: record.rolled.as_deref() == Some(&prepared.snapshot.commit),
            retry: kind == EventKind::Asked,
            adopt: &Adopt::default(),
            now: Timestamp::now(),
        });
        let is_held = |finding: &Finding| finding.code == plan_codes::QUARANTINED;
        if tried.is_none() && plan.findings.iter().any(is_held) {
            // The nodes know, and not since when: it counts from now on.
            let reason = "rolled back before, as the nodes tell";
            self.store.quarantine(&self.cluster, digest, reason).await?;
        }
        Ok(plan)
    }

    /// What another commit defined; `None` where it cannot be read any more.
    pub(super) async fn inventory(&self, commit: &str) -> Option<Inventory> {
        let snapshot = self.source.snapshot(commit).await.ok()?;
        let loading = tokio::task::spawn_blocking(move || model::load(&snapshot));
        let model = loading.await.ok()?.model?;
        Some(Inventory::of(&model))
    }

    /// Only a commit that contains the one rolled out last is rolled, unless a person said yes to this one.
    async fn rewound(&self, commit: &str, observed: &Observed) -> Result<Findings, Trouble> {
        let record = self.store.cluster(&self.cluster).await?;
        if record.accepted.as_deref() == Some(commit) {
            return Ok(Findings::default());
        }
        let mut rewound = None;
        for base in self.bases(record.rolled, observed) {
            if self.source.step(&base, commit).await? == Step::Rewound {
                rewound = Some(base);
            }
        }
        let Some(base) = rewound else {
            return Ok(Findings::default());
        };
        let (new, old) = (short(commit), short(&base));
        let message = format!(
            "the watched branch points at {new}, which does not contain {old}, the commit rolled out last"
        );
        let hint = format!(
            "push the branch forward again, or run `windlass accept-rewind {} {commit}`",
            self.cluster
        );
        Ok(Findings::from_iter([Finding::error(
            codes::REWOUND,
            message,
        )
        .hint(hint)]))
    }

    /// The commits that must be contained. Where other workers roll too, our database may be behind, and the nodes
    /// tell; with a database that is new they tell as well.
    fn bases(&self, rolled: Option<String>, observed: &Observed) -> BTreeSet<String> {
        let held = observed.states().filter_map(|state| state.current.as_ref());
        let held = held.map(|current| current.commit.clone());
        let of_nodes: BTreeSet<String> = held.filter(|commit| is_commit(commit)).collect();
        match rolled.filter(|commit| is_commit(commit)) {
            Some(rolled) if self.handover == Handover::Never || of_nodes.is_empty() => {
                BTreeSet::from([rolled])
            }
            _ => of_nodes,
        }
    }

    /// The nodes remember what was rolled back on them. Our own list may be behind where others roll too.
    async fn quarantined(&self) -> Result<BTreeSet<Digest>, Trouble> {
        match self.handover {
            Handover::Never => Ok(self.store.quarantined_bundles(&self.cluster).await?),
            Handover::EachTurn => Ok(BTreeSet::new()),
        }
    }

    async fn roll(
        &self,
        permit: &RollPermit,
        nodes: Arc<F::Nodes>,
        plan: Plan,
        bundle: Arc<Bundle>,
    ) -> Result<Outcome, Trouble> {
        let signals = self.signals();
        let driver = self.driver(nodes, &signals);
        let rolling = driver.drive(permit, plan.clone(), bundle, &self.holder);
        Ok(self.looking(&plan, &signals, rolling).await?)
    }

    /// A roll that nobody else can go on with ends when the worker is to stop.
    pub(super) fn signals(&self) -> Signals {
        Signals {
            call_off: self.stop.child_token(),
            ..Signals::default()
        }
    }

    pub(super) fn driver(
        &self,
        nodes: Arc<F::Nodes>,
        signals: &Signals,
    ) -> Driver<F::Nodes, F::Prober, StoreJournal> {
        Driver {
            nodes,
            prober: self.fleet.prober(),
            journal: StoreJournal::new(self.store.clone()),
            observer: self.observer(),
            cancel: signals.call_off.clone(),
            newer: Arc::clone(&signals.newer),
            pause: CancellationToken::new(),
        }
    }

    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Heard {
            newer: Arc::clone(&self.newer),
            live: self.live.clone(),
        })
    }

    /// The remote says no: told with the commit that was seen last.
    async fn unreadable(&self, findings: Findings) -> Result<Looked<F::Nodes>, Trouble> {
        let record = self.store.cluster(&self.cluster).await?;
        Ok(Looked::Ended(Box::new(Ended {
            roll: None,
            commit: record.seen.unwrap_or_default(),
            subject: String::new(),
            bundle: None,
            reviewed: None,
            outcome: Outcome::Refused { findings },
        })))
    }

    fn another(&self, found: &ClusterName) -> Finding {
        let message = format!(
            "this repository defines the cluster {found}, and the worker expects {}",
            self.cluster
        );
        Finding::error(codes::ANOTHER_CLUSTER, message)
            .at(Location::file("cluster.yaml"))
            .hint("mend `clusters[].name` or `repository.url` in the worker's configuration")
    }
}

fn sound(prepared: &Prepared) -> Option<&Rendered> {
    let rendered = prepared.rendered.as_ref();
    rendered.filter(|_| !prepared.findings.has_errors())
}

fn refused(prepared: &Prepared, plan: Option<&Plan>, findings: Findings) -> Ended {
    Ended {
        roll: None,
        commit: prepared.snapshot.commit.clone(),
        subject: prepared.snapshot.subject.clone(),
        bundle: plan.map(|plan| plan.bundle),
        reviewed: plan.and_then(|plan| plan.reviewed),
        outcome: Outcome::Refused { findings },
    }
}

/// Not `worktree`, which a roll by hand may have left on the nodes.
pub(super) fn is_commit(id: &str) -> bool {
    matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
