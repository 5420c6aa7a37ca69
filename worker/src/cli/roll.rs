//! The commands that plan and roll: `plan`, `roll`, `adopt` and `rollback`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use windlass_core::ids::{NodeName, NodePath};
use windlass_core::observed::Observed;
use windlass_core::outcome::Outcome;
use windlass_core::plan::{Adopt, Plan};
use windlass_core::report;

use super::Exit;
use super::args::RollArgs;
use super::nodes::state_of;
use super::progress::Live;
use super::session::Session;
use crate::flow::plan::{self, Wishes};
use crate::flow::prepare::{Prepared, Rendered};
use crate::node::Nodes;
use crate::probe::NetProber;
use crate::roll::{Driver, RollPermit, StoreJournal, observe};
use crate::store::Store;

/// A commit that renders; once its checks have passed, its plan can be made, again and again.
struct Candidate {
    prepared: Prepared,
    rendered: Rendered,
    nodes: Arc<Nodes>,
}

/// `None` where the commit has errors; they were shown.
fn candidate(session: &Session<'_>, rev: &str) -> anyhow::Result<Option<Candidate>> {
    let prepared = session.render(Some(rev))?;
    let sound = prepared.rendered.clone();
    let Some(rendered) = sound.filter(|_| !prepared.findings.has_errors()) else {
        session.show(&prepared);
        return Ok(None);
    };
    let nodes = session.nodes(&rendered.model)?;
    Ok(Some(Candidate {
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
    let Some(mut candidate) = candidate(session, &what.rev)? else {
        return Ok(Exit::Findings);
    };
    let Some(observed) = candidate.examine(session).await? else {
        return Ok(Exit::Findings);
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
        let old = plan::old_contents(&*candidate.nodes, plan).await;
        Some(report::diff::of_plan(
            plan,
            &old,
            &candidate.rendered.bundle,
        ))
    } else {
        None
    };
    session.output.result(plan, || {
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
    let Some(candidate) = candidate(session, &what.rev)? else {
        return Ok(Exit::Findings);
    };
    carry_out(session, candidate, yes, |_, _| wishes).await
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
    let Some(candidate) = candidate(session, "HEAD")? else {
        return Ok(Exit::Findings);
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
    carry_out(session, candidate, yes, wishes).await
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
    yes: bool,
    wishes: impl FnOnce(&Candidate, &Observed) -> Wishes,
) -> anyhow::Result<Exit> {
    let state = session.state_dir()?;
    let cluster = candidate.rendered.model.cluster.name.clone();
    let Some(permit) = RollPermit::take(&state, &cluster)? else {
        bail!("another windlass rolls {cluster} right now; wait for it, or stop it");
    };
    let driver = driver(session, &candidate.nodes, &state)?;
    if let Some(outcome) = driver.resume(&permit, &cluster).await? {
        session.output.note(&format!(
            "an unfinished roll was finished first: {}",
            outcome.word()
        ));
    }
    let Some(observed) = candidate.examine(session).await? else {
        return Ok(Exit::Findings);
    };
    let wishes = wishes(&candidate, &observed);
    let plan = candidate.plan(session, &observed, &wishes);
    if plan.findings.has_errors() {
        return finish(
            session,
            &plan,
            &Outcome::Refused {
                findings: plan.findings.clone(),
            },
        );
    }
    if !plan.turns.is_empty() && !yes {
        session.output.error(report::plan::text(&plan).trim_end());
        if !session.output.confirm("Roll this out?") {
            session.output.error("nothing was changed");
            return Ok(Exit::Findings);
        }
    }
    let bundle = Arc::clone(&candidate.rendered.bundle);
    let outcome = driver
        .drive(&permit, plan.clone(), bundle, &holder())
        .await?;
    finish(session, &plan, &outcome)
}

type CliDriver = Driver<Nodes, NetProber, StoreJournal>;

fn driver(session: &Session<'_>, nodes: &Arc<Nodes>, state: &Path) -> anyhow::Result<CliDriver> {
    let store = Store::open(&state.join("rolls.db")).context("cannot open the journal of rolls")?;
    stop_on_signals(session.cancel.clone());
    Ok(Driver {
        nodes: Arc::clone(nodes),
        prober: Arc::new(session.prober()?),
        journal: StoreJournal::new(store),
        observer: Arc::new(Live::new(session.output)),
        cancel: session.cancel.clone(),
        newer: Arc::default(),
        pause: CancellationToken::new(),
    })
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

fn finish(session: &Session<'_>, plan: &Plan, outcome: &Outcome) -> anyhow::Result<Exit> {
    session
        .output
        .result(outcome, || report::roll::text(outcome, Some(plan)))?;
    Ok(match outcome.exit_code() {
        0 => Exit::Done,
        1 => Exit::Findings,
        _ => Exit::Stuck,
    })
}
