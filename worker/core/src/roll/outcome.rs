//! How a roll ended, read from its state.

use super::state::{NodeRoll, Place, RollState};
use crate::codes::{nodes, plan as codes};
use crate::finding::{Finding, Findings};
use crate::ids::NodeName;
use crate::outcome::{Outcome, StuckNode};
use crate::plan::Plan;

pub(super) fn outcome(plan: &Plan, state: &RollState) -> Outcome {
    if let Some(message) = &state.fenced {
        return fenced(state, message);
    }
    if state.is_untouched() && (!state.refused.is_empty() || state.failure.is_some()) {
        return Outcome::Refused {
            findings: refusal(state),
        };
    }
    let stuck = stuck(state);
    if !stuck.is_empty() {
        return Outcome::Stuck {
            nodes: stuck,
            failure: state.failure.clone(),
        };
    }
    let left = waiting(state);
    match (&state.failure, &state.newer) {
        (Some(failure), _) => Outcome::RolledBack {
            failure: failure.clone(),
            nodes: touched(state, |node| node.place == Place::Back),
            kept: touched(state, |node| node.place == Place::Confirmed),
        },
        (None, Some(newer)) if !left.is_empty() => Outcome::Overtaken {
            by: newer.clone(),
            nodes: state.confirmed.clone(),
            left,
        },
        _ => Outcome::RolledOut {
            nodes: state.confirmed.clone(),
            skipped: plan.skipped.clone(),
        },
    }
}

/// Nodes whose turn has not come.
fn waiting(state: &RollState) -> Vec<NodeName> {
    let nodes = state.nodes.iter();
    nodes
        .filter(|(_, node)| node.place != Place::Confirmed)
        .map(|(name, _)| name.clone())
        .collect()
}

fn touched(state: &RollState, which: impl Fn(&NodeRoll) -> bool) -> Vec<NodeName> {
    let nodes = state.nodes.iter();
    nodes
        .filter(|(_, node)| node.touched && which(node))
        .map(|(name, _)| name.clone())
        .collect()
}

fn refusal(state: &RollState) -> Findings {
    let mut findings = state.refused.clone();
    if state.cancelled {
        let message = "the roll was cancelled before any node was touched";
        findings.push(Finding::error(codes::CANCELLED, message));
    } else if let Some(failure) = &state.failure {
        let message = format!("{}: {}", failure.what, failure.message);
        findings.push(Finding::error(nodes::NOT_ADMITTED, message).on(&failure.node));
    }
    findings.sorted()
}

fn stuck(state: &RollState) -> Vec<StuckNode> {
    let nodes = state.nodes.iter();
    nodes
        .filter_map(|(name, node)| {
            let why = node.stuck.clone()?;
            let mend = format!(
                "look at {name}; unless it was confirmed it goes back by itself. When it can be reached and its services are well: `windlass rollback {name}`, then `windlass status`"
            );
            Some(StuckNode {
                node: name.clone(),
                why,
                mend,
            })
        })
        .collect()
}

fn fenced(state: &RollState, message: &str) -> Outcome {
    let left: Vec<StuckNode> = state
        .nodes
        .iter()
        .filter(|(_, node)| node.touched && node.place != Place::Back)
        .map(|(name, _)| StuckNode {
            node: name.clone(),
            why: format!("a newer roll took over ({message})"),
            mend: "let the newer roll end, then look at `windlass status`".to_owned(),
        })
        .collect();
    if left.is_empty() {
        let message = format!("a newer roll took over ({message}); this one touched nothing more");
        return Outcome::Refused {
            findings: [Finding::error(nodes::FENCED, message)]
                .into_iter()
                .collect(),
        };
    }
    Outcome::Stuck {
        nodes: left,
        failure: state.failure.clone(),
    }
}
