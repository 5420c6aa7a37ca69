//! `windlass rollback`: puts the release before the latest turn back, node by node in reverse order.

use anyhow::bail;
use windlass_core::fence::next_generation;
use windlass_core::ids::NodeName;
use windlass_core::model::Model;
use windlass_core::observed::{Attempt, AttemptPhase, Observed};
use windlass_core::outcome::{Outcome, StuckNode};
use windlass_core::report;

use super::Exit;
use super::nodes::state_of;
use super::session::Session;
use crate::node::Nodes;
use crate::ports::{Fence, NodeWriter as _};
use crate::roll::{RollPermit, observe};

pub(super) async fn run(
    session: &Session<'_>,
    wanted: &[String],
    yes: bool,
) -> anyhow::Result<Exit> {
    let Some(model) = session.model()? else {
        return Ok(Exit::Findings);
    };
    let order = reversed(&model, wanted)?;
    let cluster = model.cluster.name.clone();
    let Some(_permit) = RollPermit::take(&session.state_dir()?, &cluster)? else {
        bail!("another windlass rolls {cluster} right now; wait for it, or stop it");
    };
    let nodes = session.nodes(&model)?;
    let observed = observe::all(&nodes, order.clone()).await;
    let turns = turns(&observed, &order, wanted);
    if turns.is_empty() {
        session
            .output
            .text("no node has a turn that could be taken back\n");
        return Ok(Exit::Done);
    }
    for (node, attempt) in &turns {
        session.output.note(&format!(
            "{node}: {} goes back to what it held before",
            attempt.target.short()
        ));
    }
    if !yes && !session.output.confirm("Take these turns back?") {
        session.output.error("nothing was changed");
        return Ok(Exit::Findings);
    }
    let fence = Fence {
        cluster,
        number: next_generation(observed.highest_fence()),
        holder: super::roll::holder(),
    };
    let stuck = take_back(session, &nodes, &fence, &turns).await;
    if stuck.is_empty() {
        return Ok(Exit::Done);
    }
    let outcome = Outcome::Stuck {
        nodes: stuck,
        failure: None,
    };
    session.output.error(&report::roll::text(&outcome, None));
    Ok(Exit::Stuck)
}

/// All nodes, the last one first; an error where a wanted one is not among them.
fn reversed(model: &Model, wanted: &[String]) -> anyhow::Result<Vec<NodeName>> {
    let mut order: Vec<NodeName> = model.in_order().map(|(name, _)| name.clone()).collect();
    for name in wanted {
        if !order.iter().any(|node| node.as_str() == name) {
            bail!("no node is named {name:?}");
        }
    }
    order.reverse();
    Ok(order)
}

/// One node after the other; those that could not go back.
async fn take_back(
    session: &Session<'_>,
    nodes: &Nodes,
    fence: &Fence,
    turns: &[(NodeName, &Attempt)],
) -> Vec<StuckNode> {
    let mut stuck = Vec::new();
    for (node, attempt) in turns {
        let reason = "a person asked for it";
        match nodes.rollback(fence, &attempt.token, node, reason).await {
            Ok(()) => {
                let said = format!("{node}: holds its old release again");
                session.output.note(&said);
            }
            Err(error) => stuck.push(StuckNode {
                node: node.clone(),
                why: error.to_string(),
                mend: format!("look at {node} and run `windlass rollback {node}` again"),
            }),
        }
    }
    stuck
}

/// The confirmed turns of the wanted nodes; of nobody in particular: those of the latest roll.
fn turns<'o>(
    observed: &'o Observed,
    order: &[NodeName],
    wanted: &[String],
) -> Vec<(NodeName, &'o Attempt)> {
    let confirmed = |node: &NodeName| {
        let state = observed.nodes.get(node).and_then(state_of)?;
        state
            .attempt
            .as_ref()
            .filter(|attempt| attempt.phase == AttemptPhase::Confirmed)
    };
    let latest = order
        .iter()
        .filter_map(confirmed)
        .map(|attempt| attempt.fence)
        .max();
    order
        .iter()
        .filter_map(|node| Some((node.clone(), confirmed(node)?)))
        .filter(|(node, attempt)| {
            if wanted.is_empty() {
                Some(attempt.fence) == latest
            } else {
                wanted.iter().any(|name| name == node.as_str())
            }
        })
        .collect()
}
