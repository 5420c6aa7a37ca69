//! The commands that plan and roll: `plan`, `roll`, `adopt` and `rollback`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;
use windlass_core::ids::{NodeName, NodePath};
use windlass_core::outcome::Outcome;
use windlass_core::plan::{Adopt, Plan};
use windlass_core::report;

use super::Exit;
use super::args::RollArgs;
use super::nodes::state_of;
use super::progress::Live;
use super::session::Session;
use crate::flow::plan::{self, Planned, Wishes};
use crate::flow::prepare::Rendered;
use crate::node::Nodes;
use crate::probe::NetProber;
use crate::roll::{Driver, RollPermit, StoreJournal};
use crate::store::Store;

/// A checked commit with its plan, ready to be shown or rolled.
struct Ready {
    planned: Planned,
    rendered: Rendered,
    nodes: Arc<Nodes>,
}

async fn ready(session: &Session<'_>, rev: &str, wishes: &Wishes) -> anyhow::Result<Option<Ready>> {
    let prepared = session.check(Some(rev)).await?;
    let Some(rendered) = session.accept(&prepared).cloned() else {
        return Ok(None);
    };
    let nodes = session.nodes(&rendered.model)?;
    let bar = session.output.progress("asks the nodes");
    let base = async |commit: &str| session.inventory(commit);
    let planned = plan::make(&nodes, &prepared, &rendered, wishes, base).await;
    bar.finish_and_clear();
    Ok(Some(Ready {
        planned,
        rendered,
        nodes,
    }))
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
    let Some(ready) = ready(session, &what.rev, &wishes).await? else {
        return Ok(Exit::Findings);
    };
    show(session, &ready, diff).await?;
    let refused = ready.planned.plan.findings.has_errors();
    Ok(if refused { Exit::Findings } else { Exit::Done })
}

async fn show(session: &Session<'_>, ready: &Ready, diff: bool) -> anyhow::Result<()> {
    let plan = &ready.planned.plan;
    let diffs = if diff {
        let old = plan::old_contents(&*ready.nodes, plan).await;
        Some(report::diff::of_plan(plan, &old, &ready.rendered.bundle))
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
    carry_out(session, &what.rev, &wishes, yes).await
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
    let adopt = if paths.is_empty() {
        in_the_way(session, &node).await?
    } else {
        Adopt { paths: wanted }
    };
    let wishes = Wishes {
        adopt,
        retry: true,
        ..Wishes::default()
    };
    carry_out(session, "HEAD", &wishes, yes).await
}

/// Every file that a turn of the node would replace or create: what stands in the way is among them.
async fn in_the_way(session: &Session<'_>, node: &NodeName) -> anyhow::Result<Adopt> {
    let Some(ready) = ready(
        session,
        "HEAD",
        &Wishes {
            retry: true,
            ..Wishes::default()
        },
    )
    .await?
    else {
        return Ok(Adopt::default());
    };
    let changes = ready
        .planned
        .plan
        .turns
        .get(node)
        .map(|turn| turn.changes.as_slice())
        .unwrap_or_default();
    let mut paths: BTreeSet<(NodeName, NodePath)> = changes
        .iter()
        .map(|change| (node.clone(), change.path.clone()))
        .collect();
    if let Some(state) = ready.planned.observed.nodes.get(node).and_then(state_of) {
        paths.extend(state.drift.keys().map(|path| (node.clone(), path.clone())));
    }
    Ok(Adopt { paths })
}

async fn carry_out(
    session: &Session<'_>,
    rev: &str,
    wishes: &Wishes,
    yes: bool,
) -> anyhow::Result<Exit> {
    let state = session.state_dir()?;
    let Some(ready) = ready(session, rev, wishes).await? else {
        return Ok(Exit::Findings);
    };
    let plan = &ready.planned.plan;
    let cluster = plan.cluster.clone();
    let Some(permit) = RollPermit::take(&state, &cluster)? else {
        bail!("another windlass rolls {cluster} right now; wait for it, or stop it");
    };
    let driver = driver(session, &ready.nodes, &state)?;
    if let Some(outcome) = driver.resume(&permit, &cluster).await? {
        session.output.note(&format!(
            "an unfinished roll was finished first: {}",
            outcome.word()
        ));
        drop(permit);
        return Box::pin(carry_out(session, rev, wishes, yes)).await;
    }
    if plan.findings.has_errors() {
        return finish(
            session,
            plan,
            &Outcome::Refused {
                findings: plan.findings.clone(),
            },
        );
    }
    if !plan.turns.is_empty() && !yes {
        session.output.error(report::plan::text(plan).trim_end());
        if !session.output.confirm("Roll this out?") {
            session.output.error("nothing was changed");
            return Ok(Exit::Findings);
        }
    }
    let outcome = driver
        .drive(
            &permit,
            plan.clone(),
            Arc::clone(&ready.rendered.bundle),
            &holder(),
        )
        .await?;
    finish(session, plan, &outcome)
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
