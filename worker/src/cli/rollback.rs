//! `windlass rollback`: puts the release before the latest turn back, node by node in reverse order. It keeps no journal
//! of its own, because the nodes do: which turns stand, they tell, so that asking again after a crash goes on with the rest.

use std::collections::BTreeSet;

use anyhow::bail;
use jiff::Timestamp;
use windlass_core::fence::next_generation;
use windlass_core::ids::{ClusterName, NodeName};
use windlass_core::model::Model;
use windlass_core::observed::Attempt;
use windlass_core::outcome::{Outcome, StuckNode};
use windlass_core::plan::{TakingBack, taken_back};

use super::Exit;
use super::history::{self, Of};
use super::nodes::state_of;
use super::roll;
use super::session::Session;
use crate::node::Nodes;
use crate::ports::{Fence, NodeWriter as _};
use crate::roll::{RollPermit, observe};
use crate::store::Store;

/// One node's turn that is to be taken back.
type Turn = (NodeName, Attempt);

pub(super) async fn run(
    session: &Session<'_>,
    wanted: &[String],
    yes: bool,
) -> anyhow::Result<Exit> {
    let started = Timestamp::now();
    let Some(model) = session.model()? else {
        return Ok(Exit::Findings);
    };
    let (order, wanted) = reversed(&model, wanted)?;
    let cluster = model.cluster.name.clone();
    let state = session.state_dir()?;
    let Some(permit) = RollPermit::take(&state, &cluster)? else {
        bail!("another windlass rolls {cluster} right now; wait for it, or stop it");
    };
    let nodes = session.nodes(&model)?;
    let store = history::open(&state)?;
    let driver = roll::driver(session, &nodes, &store)?;
    roll::finish_unfinished(session, &driver, &store, &permit).await?;
    let observed = observe::all(&nodes, order.clone()).await;
    let (outcome, first) = match taken_back(&observed, &order, &wanted) {
        Err(findings) => (Outcome::Refused { findings }, None),
        Ok(taking) => {
            if !taking.turns.is_empty() && !agreed(session, &taking.turns, yes) {
                return roll::not_wanted(session);
            }
            let fence = Fence {
                cluster: cluster.clone(),
                number: next_generation(observed.highest_fence()),
                holder: roll::holder(),
            };
            let first = taking.turns.first().map(|(node, _)| node.clone());
            (take_back(session, &nodes, &fence, taking).await, first)
        }
    };
    let held = first.and_then(|node| observed.nodes.get(&node).and_then(state_of));
    let commit = held.and_then(|state| Some(state.current.as_ref()?.commit.clone()));
    let (commit, subject) = match commit {
        Some(commit) => with_subject(session, commit),
        None => latest(&store, &cluster).await?,
    };
    let of = Of {
        cluster,
        commit,
        subject,
        bundle: None,
        reviewed: None,
        trigger: "rollback",
        started,
    };
    roll::finish(session, &store, of, outcome).await
}

/// What the nodes held until now.
fn with_subject(session: &Session<'_>, commit: String) -> (String, String) {
    let snapshot = session.snapshot(Some(&commit));
    let subject = snapshot.map(|snapshot| snapshot.subject.clone());
    (commit, subject.unwrap_or_default())
}

/// Where nothing is taken back now: what was rolled, or taken back, last.
async fn latest(store: &Store, cluster: &ClusterName) -> anyhow::Result<(String, String)> {
    let report = store.reports(Some(cluster), 1).await?.pop();
    Ok(report
        .map(|report| (report.commit, report.subject))
        .unwrap_or_default())
}

fn agreed(session: &Session<'_>, turns: &[Turn], yes: bool) -> bool {
    for (node, attempt) in turns {
        session.output.note(&format!(
            "{node}: {} goes back to what it held before",
            attempt.target.short()
        ));
    }
    yes || session.output.confirm("Take these turns back?")
}

/// All nodes, the last one first, and the wanted ones; an error where one of these is not among them.
fn reversed(
    model: &Model,
    wanted: &[String],
) -> anyhow::Result<(Vec<NodeName>, BTreeSet<NodeName>)> {
    let mut order: Vec<NodeName> = model.in_order().map(|(name, _)| name.clone()).collect();
    order.reverse();
    let mut known = BTreeSet::new();
    for name in wanted {
        let Some(node) = order.iter().find(|node| node.as_str() == name) else {
            bail!("no node is named {name:?}");
        };
        known.insert(node.clone());
    }
    Ok((order, known))
}

/// One node after the other. A node that cannot go back does not keep the others from it.
async fn take_back(
    session: &Session<'_>,
    nodes: &Nodes,
    fence: &Fence,
    taking: TakingBack,
) -> Outcome {
    let (mut done, mut stuck) = (taking.back, Vec::new());
    for (node, attempt) in &taking.turns {
        let why = if session.cancel.is_cancelled() {
            "it was stopped before this turn was taken back".to_owned()
        } else {
            let reason = "a person asked for it";
            match nodes.rollback(fence, &attempt.token, node, reason).await {
                Ok(()) => {
                    let said = format!("{node}: holds its old release again");
                    session.output.note(&said);
                    done.push(node.clone());
                    continue;
                }
                Err(error) => error.to_string(),
            }
        };
        stuck.push(StuckNode {
            node: node.clone(),
            why,
            mend: format!("look at {node} and run `windlass rollback {node}` again"),
        });
    }
    if stuck.is_empty() {
        return Outcome::TakenBack { nodes: done };
    }
    Outcome::Stuck {
        nodes: stuck,
        failure: None,
    }
}
