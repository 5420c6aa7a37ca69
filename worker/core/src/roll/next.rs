//! What is to be done next. All policy of a roll is here: the order of a turn, when a node may begin, what a failure
//! means for the others. For each node at most one step is returned; a step that is under way already is
//! returned again, so that after a crash it is simply done again.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::event::{Act, RollEvent};
use super::state::{NodeRoll, Place, RollState};
use super::step::{Hold, HoldPurpose, Step, Watched, extend_seconds, patience};
use crate::gate::Gate;
use crate::ids::NodeName;
use crate::plan::{CANCELLED, OnFailure, Plan, Turn};

/// How long a gate of a node that is done may be broken during the others' turns. A service of its own that
/// restarts now and then must not undo the roll; one that stays away must.
const TOLERANCE_SECONDS: u32 = 5;
/// Between two questions to a node that does not answer.
const ASK_EVERY: SignedDuration = SignedDuration::from_secs(2);

pub fn next(plan: &Plan, state: &RollState, now: Timestamp) -> Vec<Step> {
    if state.fenced.is_some() {
        return finish(plan, state);
    }
    if state.is_going_back() {
        return going_back(plan, state, now);
    }
    if state.gives_way(plan) {
        return giving_way(plan, state, now);
    }
    let staging: Vec<Step> = state
        .nodes
        .iter()
        .filter_map(|(name, node)| staging(state, name, node))
        .collect();
    if !staging.is_empty() {
        return staging;
    }
    let wave = state.wave(plan).and_then(|wave| plan.waves.get(wave));
    let Some(wave) = wave.filter(|_| state.refused.is_empty()) else {
        return finish(plan, state);
    };
    if seconds_left(plan, state, now) == 0 {
        return vec![Step::Record(RollEvent::Overdue)];
    }
    let steps = wave.iter().filter_map(|name| turn(plan, state, name, now));
    steps.collect()
}

/// What is in the middle of its turn ends it, so that the next roll finds every node at rest; nothing else is begun, not
/// even for a worker that has this turn once more after the end was told. So a node that is perhaps drained goes back.
fn giving_way(plan: &Plan, state: &RollState, now: Timestamp) -> Vec<Step> {
    let nodes = state.nodes.iter();
    let middle: Vec<Step> = nodes
        .filter(|(_, node)| node.is_under_way())
        .filter_map(|(name, node)| {
            if node.is_perhaps_drained() {
                let turn = plan.turns.get(name)?;
                return Some(step(plan, state, turn, Act::Rollback, now));
            }
            turn(plan, state, name, now)
        })
        .collect();
    if middle.is_empty() {
        return finish(plan, state);
    }
    if seconds_left(plan, state, now) == 0 {
        return vec![Step::Record(RollEvent::Overdue)];
    }
    middle
}

fn finish(plan: &Plan, state: &RollState) -> Vec<Step> {
    vec![Step::Finish(super::outcome::outcome(plan, state))]
}

fn seconds_left(plan: &Plan, state: &RollState, now: Timestamp) -> u32 {
    let spent = now.duration_since(state.progress_at).as_secs().max(0);
    let spent = u32::try_from(spent).unwrap_or(u32::MAX);
    plan.timing.progress_deadline.saturating_sub(spent)
}

/// Every node, also when another was refused: all findings are told at once.
fn staging(state: &RollState, name: &NodeName, node: &NodeRoll) -> Option<Step> {
    let refused = state.refused.iter().any(|f| f.node.as_ref() == Some(name));
    let name = name.clone();
    match node.place {
        _ if refused => None,
        Place::Fresh => Some(Step::Stage { node: name }),
        Place::Staged => Some(Step::Check { node: name }),
        _ => None,
    }
}

/// The next act of a turn that goes well.
pub(super) fn forward(turn: &Turn, node: &NodeRoll) -> Option<Act> {
    let act = match node.place {
        Place::Fresh => Act::Stage,
        Place::Staged => Act::Check,
        Place::Ready if turn.gates.iter().any(|gate| gate.before) => Act::Before,
        Place::Ready | Place::Admitted if !turn.drain.is_empty() => Act::Drain,
        Place::Ready | Place::Admitted | Place::Drained => Act::Activate,
        Place::Active => Act::Extend,
        Place::Reached => Act::Gates,
        Place::Healthy if !turn.undrain.is_empty() => Act::Undrain,
        Place::Healthy | Place::InRotation => Act::Soak,
        Place::Soaked => Act::Confirm,
        Place::Confirmed | Place::Back | Place::Stuck => return None,
    };
    Some(act)
}

fn turn(plan: &Plan, state: &RollState, name: &NodeName, now: Timestamp) -> Option<Step> {
    let (turn, node) = (plan.turns.get(name)?, state.nodes.get(name)?);
    if let Some(step) = in_doubt(plan, turn, name, node, now) {
        return Some(step);
    }
    let act = forward(turn, node)?;
    Some(step(plan, state, turn, act, now))
}

fn step(plan: &Plan, state: &RollState, turn: &Turn, act: Act, now: Timestamp) -> Step {
    let node = turn.node.clone();
    match act {
        Act::Stage => Step::Stage { node },
        Act::Check => Step::Check { node },
        Act::Drain => Step::Drain { node },
        Act::Activate => Step::Activate {
            node,
            seconds: plan.timing.reconnect_deadline,
        },
        Act::Extend => Step::Extend {
            node,
            seconds: extend_seconds(turn, &plan.timing),
        },
        Act::Undrain => Step::Undrain { node },
        Act::Confirm => Step::Confirm { node },
        Act::Rollback => Step::Rollback {
            node,
            reason: reason(state),
        },
        Act::Before | Act::Gates | Act::Soak => Step::Hold(hold(plan, state, turn, act, now)),
    }
}

fn reason(state: &RollState) -> String {
    match &state.failure {
        Some(failure) => format!("{}: {}: {}", failure.what, failure.node, failure.message),
        None => format!("{CANCELLED}: a newer commit is rolled instead"),
    }
}

fn in_doubt(
    plan: &Plan,
    turn: &Turn,
    name: &NodeName,
    node: &NodeRoll,
    now: Timestamp,
) -> Option<Step> {
    let doubt = node.doubt.as_ref().filter(|doubt| doubt.open)?;
    let reached = node.place >= Place::Reached;
    let patience = patience(turn, &plan.timing, reached);
    if now.duration_since(doubt.since).as_secs() >= i64::from(patience) {
        let node = name.clone();
        return Some(Step::Record(RollEvent::GivenUp { node }));
    }
    let not_before = match doubt.asked {
        Some(asked) => asked.saturating_add(ASK_EVERY).unwrap_or(asked),
        None => doubt.since,
    };
    Some(Step::Ask {
        node: name.clone(),
        not_before,
    })
}

/// Whether this node has to be put back where it was.
pub(super) fn must_go_back(plan: &Plan, state: &RollState, name: &NodeName) -> bool {
    let Some(node) = state.nodes.get(name) else {
        return false;
    };
    let affected = node.touched && !node.is_over();
    let keeps = node.place == Place::Confirmed
        && plan.on_failure == OnFailure::Stop
        && !state.condemned.contains(name);
    affected && !keeps
}

/// First whatever is in the middle of its turn, then the nodes that were done, the last one first and one at a
/// time, so that no two are out of rotation that were not already.
fn going_back(plan: &Plan, state: &RollState, now: Timestamp) -> Vec<Step> {
    let middle: Vec<Step> = state
        .nodes
        .iter()
        .filter(|(_, node)| node.place != Place::Confirmed)
        .filter_map(|(name, _)| back(plan, state, name, now))
        .collect();
    if !middle.is_empty() {
        return middle;
    }
    let done = state.confirmed.iter().rev();
    match done.filter_map(|name| back(plan, state, name, now)).next() {
        Some(step) => vec![step],
        None => finish(plan, state),
    }
}

fn back(plan: &Plan, state: &RollState, name: &NodeName, now: Timestamp) -> Option<Step> {
    let (turn, node) = (plan.turns.get(name)?, state.nodes.get(name)?);
    if node.is_over() {
        return None;
    }
    if let Some(step) = in_doubt(plan, turn, name, node, now) {
        return Some(step);
    }
    // What was begun on the node must end before it can be undone.
    let begun = node
        .begun
        .filter(|act| !act.only_looks() && !act.is_staging());
    if let Some(act) = begun {
        return Some(step(plan, state, turn, act, now));
    }
    if !must_go_back(plan, state, name) {
        return None;
    }
    Some(step(plan, state, turn, Act::Rollback, now))
}

/// The gates that count in this step: the node's own; those of nodes that are done; those of unchanged nodes that
/// watch the whole cluster. A gate that needs other nodes counts once those have been changed.
fn hold(plan: &Plan, state: &RollState, turn: &Turn, act: Act, now: Timestamp) -> Hold {
    let timing = &plan.timing;
    let left = seconds_left(plan, state, now);
    let reached =
        |name: &NodeName| (Place::Reached..=Place::Confirmed).contains(&state.place(name));
    let ready: BTreeSet<&NodeName> = state
        .nodes
        .keys()
        .filter(|name| reached(name))
        .chain(plan.unchanged.keys())
        .collect();
    let counts = |gate: &Gate| gate.needs.iter().all(|node| ready.contains(node));
    let must = |gate: &Gate| {
        let (hold, deadline) = match act {
            Act::Soak => (timing.min_healthy_time, timing.healthy_deadline),
            _ => (gate.hold, gate.deadline.unwrap_or(timing.healthy_deadline)),
        };
        HoldPurpose::Must {
            hold,
            deadline: deadline.min(left),
        }
    };
    let own = turn
        .gates
        .iter()
        .filter(|gate| act != Act::Before || gate.before);
    let own = own.map(|gate| (&turn.node, gate, must(gate)));
    let done = state
        .confirmed
        .iter()
        .filter_map(|name| plan.turns.get(name));
    let done = done.flat_map(|turn| turn.gates.iter().map(move |gate| (&turn.node, gate)));
    let unchanged = plan.unchanged.iter();
    let unchanged = unchanged.flat_map(|(name, gates)| gates.iter().map(move |gate| (name, gate)));
    let others = done.chain(unchanged).map(|(name, gate)| {
        // It could not hold before this very turn.
        let purpose = if gate.needs.contains(&turn.node) {
            must(gate)
        } else {
            HoldPurpose::Keep {
                tolerance: TOLERANCE_SECONDS,
            }
        };
        (name, gate, purpose)
    });
    let gates = own.chain(others).filter(|(_, gate, _)| counts(gate));
    Hold {
        node: turn.node.clone(),
        act,
        gates: gates
            .map(|(node, gate, purpose)| Watched {
                node: node.clone(),
                gate: gate.clone(),
                purpose,
            })
            .collect(),
        at_least: if act == Act::Soak {
            timing.min_healthy_time
        } else {
            0
        },
    }
}
