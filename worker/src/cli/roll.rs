//! The commands that plan and roll: `plan`, `roll` and `adopt`.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use windlass_core::codes::plan::CANCELLED;
use windlass_core::finding::Finding;
use windlass_core::ids::{NodeName, NodePath};
use windlass_core::model;
use windlass_core::observed::Observed;
use windlass_core::outcome::Outcome;
use windlass_core::plan::{Adopt, Plan};
use windlass_core::report;
use windlass_core::report::diff::Fingerprints;

use super::Exit;
use super::args::RollArgs;
use super::history::{self, Of};
use super::nodes::state_of;
use super::progress::Live;
use super::session::Session;
use crate::flow::plan::{self, Wishes};
use crate::flow::prepare::{Prepared, Rendered};
use crate::node::Nodes;
use crate::probe::NetProber;
use crate::roll::{Driver, Journal as _, RollPermit, StoreJournal, observe};
use crate::store::Store;

/// A command that rolls, from its beginning.
#[derive(Clone, Copy)]
struct Begun {
    command: &'static str,
    at: Timestamp,
    yes: bool,
}

/// A commit that renders; once its checks have passed, its plan can be made, again and again.
struct Candidate {
    prepared: Prepared,
    rendered: Rendered,
    nodes: Arc<Nodes>,
}

/// What became of a revision.
enum Looked {
    Sound(Candidate),
    /// It has errors; they were shown.
    Broken(Prepared),
}

fn candidate(session: &Session<'_>, rev: &str) -> anyhow::Result<Looked> {
    let prepared = session.render(Some(rev))?;
    let sound = prepared.rendered.clone();
    let Some(rendered) = sound.filter(|_| !prepared.findings.has_errors()) else {
        session.show(&prepared);
        return Ok(Looked::Broken(prepared));
    };
    let nodes = session.nodes(&rendered.model)?;
    Ok(Looked::Sound(Candidate {
        prepared,
        rendered,
        nodes,
    }))
}

impl Candidate {
    /// Asks the real programs and, in the meantime, the nodes: both are mostly waiting. `None` where a check has
    /// found errors; they were shown.
    async fn examine(&mut self, session: &Session<'_>) -> anyhow::Result<Option<Observed>> {
        let names: Vec<NodeName> = self.rendered.model.nodes.keys().cloned().collect();
        let nodes = Arc::clone(&self.nodes);
        let mut asked = JoinSet::new();
        asked.spawn(async move { observe::all(&nodes, names).await });
        session.examine(&mut self.prepared).await?;
        session.show(&self.prepared);
        if self.prepared.findings.has_errors() {
            return Ok(None);
        }
        let bar = session.output.progress("asks the nodes");
        let observed = asked.join_next().await;
        bar.finish_and_clear();
        observed.transpose().context("the nodes could not be asked")
    }

    fn plan(&self, session: &Session<'_>, observed: &Observed, wishes: &Wishes) -> Plan {
        let base = |commit: &str| session.inventory(commit);
        plan::make(observed, &self.prepared, &self.rendered, wishes, base)
    }
}

pub(super) async fn plan(
    session: &Session<'_>,
    what: &RollArgs,
    diff: bool,
) -> anyhow::Result<Exit> {
    let wishes = Wishes {
        retry: what.retry,
        ..Wishes::default()
    };
    let mut candidate = match candidate(session, &what.rev)? {
        Looked::Sound(candidate) => candidate,
        Looked::Broken(prepared) => return session.refuse(&prepared.findings),
    };
    let Some(observed) = candidate.examine(session).await? else {
        return session.refuse(&candidate.prepared.findings);
    };
    let plan = candidate.plan(session, &observed, &wishes);
    show(session, &candidate, &plan, diff).await?;
    let refused = plan.findings.has_errors();
    Ok(if refused { Exit::Findings } else { Exit::Done })
}

async fn show(
    session: &Session<'_>,
    candidate: &Candidate,
    plan: &Plan,
    diff: bool,
) -> anyhow::Result<()> {
    let diffs = if diff {
        let old = plan::old_contents(&*candidate.nodes, plan, None).await;
        let key = uuid::Uuid::new_v4().into_bytes();
        Some(report::diff::of_plan(
            plan,
            &old,
            &candidate.rendered.bundle,
            &Fingerprints(&key),
        ))
    } else {
        None
    };
    session
        .output
        .result(&plan.clone().without_secret_digests(), || {
            let mut text = report::plan::text(plan);
            if let Some(diffs) = diffs {
                text.push('\n');
                text.push_str(&report::diff::text(&diffs, session.output.colours()));
            }
            text
        })
}

pub(super) async fn roll(
    session: &Session<'_>,
    what: &RollArgs,
    yes: bool,
) -> anyhow::Result<Exit> {
    let wishes = Wishes {
        retry: what.retry,
        ..Wishes::default()
    };
    let begun = Begun::now("roll", yes);
    match candidate(session, &what.rev)? {
        Looked::Sound(candidate) => carry_out(session, candidate, begun, |_, _| wishes).await,
        Looked::Broken(prepared) => broken(session, &prepared, begun).await,
    }
}

pub(super) async fn adopt(
    session: &Session<'_>,
    node: &str,
    paths: &[String],
    yes: bool,
) -> anyhow::Result<Exit> {
    let node: NodeName = node.parse()?;
    let mut wanted = BTreeSet::new();
    for path in paths {
        wanted.insert((node.clone(), path.parse::<NodePath>()?));
    }
    let begun = Begun::now("adopt", yes);
    let candidate = match candidate(session, "HEAD")? {
        Looked::Sound(candidate) => candidate,
        Looked::Broken(prepared) => return broken(session, &prepared, begun).await,
    };
    let wishes = |candidate: &Candidate, observed: &Observed| Wishes {
        adopt: if paths.is_empty() {
            in_the_way(session, candidate, observed, &node)
        } else {
            Adopt { paths: wanted }
        },
        retry: true,
        ..Wishes::default()
    };
    carry_out(session, candidate, begun, wishes).await
}

impl Begun {
    fn now(command: &'static str, yes: bool) -> Self {
        Self {
            command,
            at: Timestamp::now(),
            yes,
        }
    }
}

/// A commit with errors: `status` tells of it, as the worker's API does. Where not even the cluster's name can be
/// read, there is nobody to tell it of.
async fn broken(session: &Session<'_>, prepared: &Prepared, begun: Begun) -> anyhow::Result<Exit> {
    if let Some(cluster) = model::cluster_name(&prepared.snapshot) {
        let of = Of {
            cluster,
            commit: prepared.snapshot.commit.clone(),
            subject: prepared.snapshot.subject.clone(),
            bundle: None,
            reviewed: None,
            trigger: begun.command,
            started: begun.at,
        };
        let findings = prepared.findings.clone();
        let store = history::open(&session.state_dir()?)?;
        history::keep(session, &store, of, Outcome::Refused { findings }).await;
    }
    session.refuse(&prepared.findings)
}

/// Every file that a turn of the node would replace or create: what stands in the way is among them.
fn in_the_way(
    session: &Session<'_>,
    candidate: &Candidate,
    observed: &Observed,
    node: &NodeName,
) -> Adopt {
    let wishes = Wishes {
        retry: true,
        ..Wishes::default()
    };
    let plan = candidate.plan(session, observed, &wishes);
    let turn = plan.turns.get(node);
    let changes = turn.map(|turn| turn.changes.as_slice()).unwrap_or_default();
    let mut paths: BTreeSet<(NodeName, NodePath)> = changes
        .iter()
        .map(|change| (node.clone(), change.path.clone()))
        .collect();
    if let Some(state) = observed.nodes.get(node).and_then(state_of) {
        paths.extend(state.drift.keys().map(|path| (node.clone(), path.clone())));
    }
    Adopt { paths }
}

/// The permit comes before the nodes are asked: no roll of this state directory can end in between and leave the
/// plan stale.
async fn carry_out(
    session: &Session<'_>,
    mut candidate: Candidate,
    begun: Begun,
    wishes: impl FnOnce(&Candidate, &Observed) -> Wishes,
) -> anyhow::Result<Exit> {
    let state = session.state_dir()?;
    let cluster = candidate.rendered.model.cluster.name.clone();
    let Some(permit) = RollPermit::take(&state, &cluster)? else {
        bail!("another windlass rolls {cluster} right now; wait for it, or stop it");
    };
    let store = history::open(&state)?;
    let driver = driver(session, &candidate.nodes, &store)?;
    finish_unfinished(session, &driver, &store, &permit).await?;
    let Some(observed) = candidate.examine(session).await? else {
        return broken(session, &candidate.prepared, begun).await;
    };
    let wishes = wishes(&candidate, &observed);
    let plan = candidate.plan(session, &observed, &wishes);
    let refused = plan.findings.has_errors();
    if !refused && !plan.turns.is_empty() && !begun.yes {
        session.output.error(report::plan::text(&plan).trim_end());
        if !session.output.confirm("Roll this out?") {
            return not_wanted(session);
        }
    }
    let of = Of::plan(&plan, begun.command, begun.at);
    let bundle = Arc::clone(&candidate.rendered.bundle);
    let outcome = driver.drive(&permit, plan, bundle, &holder()).await?;
    finish(session, &store, of, outcome).await
}

/// A person said no, or could not be asked.
pub(super) fn not_wanted(session: &Session<'_>) -> anyhow::Result<Exit> {
    session.output.error("nothing was changed");
    let finding = Finding::error(CANCELLED, "nobody said yes").hint("give --yes to go on unasked");
    session.refuse(&[finding].into_iter().collect())
}

pub(super) type CliDriver = Driver<Nodes, NetProber, StoreJournal>;

pub(super) fn driver(
    session: &Session<'_>,
    nodes: &Arc<Nodes>,
    store: &Store,
) -> anyhow::Result<CliDriver> {
    stop_on_signals(session.cancel.clone());
    Ok(Driver {
        nodes: Arc::clone(nodes),
        prober: Arc::new(session.prober()?),
        journal: StoreJournal::new(store.clone()),
        observer: Arc::new(Live::new(session.output)),
        cancel: session.cancel.clone(),
        newer: Arc::default(),
        pause: CancellationToken::new(),
    })
}

/// What one who died left is finished, or taken back, before anything else is done.
pub(super) async fn finish_unfinished(
    session: &Session<'_>,
    driver: &CliDriver,
    store: &Store,
    permit: &RollPermit,
) -> anyhow::Result<()> {
    let Some(open) = driver.journal.unfinished(permit.cluster()).await? else {
        return Ok(());
    };
    let of = Of::plan(&open.plan, "resumed", Timestamp::now());
    if let Some(outcome) = driver.resume(permit, permit.cluster()).await? {
        let word = outcome.word();
        let said = format!("an unfinished roll was finished first: {word}");
        session.output.note(&said);
        history::keep(session, store, of, outcome).await;
    }
    Ok(())
}

/// Names this run; the nodes remember it beside the fence.
pub(super) fn holder() -> String {
    format!("cli-{}", uuid::Uuid::new_v4())
}

/// Ctrl-C and SIGTERM ask the roll to end cleanly; asking again changes nothing.
fn stop_on_signals(cancel: CancellationToken) {
    tokio::spawn(async move {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        let Ok(mut terminate) = terminate else { return };
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            cancel.cancel();
        }
    });
}

/// The outcome is kept before it is told: who heard of it finds it in `status`. That no node was ever rolled is none.
pub(super) async fn finish(
    session: &Session<'_>,
    store: &Store,
    of: Of,
    outcome: Outcome,
) -> anyhow::Result<Exit> {
    let (commit, subject) = (of.commit.clone(), of.subject.clone());
    if !matches!(&outcome, Outcome::TakenBack { nodes } if nodes.is_empty()) {
        history::keep(session, store, of, outcome.clone()).await;
    }
    let of = Some((commit.as_str(), subject.as_str())).filter(|(commit, _)| !commit.is_empty());
    session
        .output
        .result(&outcome, || report::roll::text(&outcome, of))?;
    Ok(match outcome.exit_code() {
        0 => Exit::Done,
        1 => Exit::Findings,
        _ => Exit::Stuck,
    })
}
