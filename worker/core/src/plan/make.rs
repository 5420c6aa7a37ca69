//! Makes the plan. Everything a roll will do follows from what is handed in here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::actions::{Actions, BadGlob, actions};
use super::again::{self, Tried};
use super::changes::changes;
use super::outline::{Inventory, Outline};
use super::waves::waves;
use super::{FileChange, Plan, Skipped, Timing, Turn, guards, limits};
use crate::codes::plan as codes;
use crate::fence::next_generation;
use crate::finding::{Finding, Findings};
use crate::gate::{Gate, GateScope};
use crate::ids::{Digest, NodeName, NodePath};
use crate::model::{Drift, Policy};
use crate::observed::{DriftKind, NodeState, Observed, Seen};
use crate::release::{Bundle, Release, ReleaseMeta};

/// All that a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub outline: &'a Outline,
    pub bundle: &'a Bundle,
    /// Rendered with stand-ins for missing secrets.
    pub incomplete: bool,
    /// The commit's subject line.
    pub subject: &'a str,
    pub observed: &'a Observed,
    /// What the commit that the nodes hold (`base_commit`) defines; `None` where it cannot be read.
    pub base: Option<&'a Inventory>,
    /// Digests of bundles that were rolled back.
    pub quarantined: &'a BTreeSet<Digest>,
    /// What became of this bundle before, where it was rolled back.
    pub tried: Option<Tried>,
    /// This very commit was rolled out before.
    pub settled: bool,
    /// A person says: try again what was rolled back.
    pub retry: bool,
    pub adopt: &'a Adopt,
    pub now: Timestamp,
}

/// Files changed by hand, or not ours yet, that a person allows to be replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopt {
    pub paths: BTreeSet<(NodeName, NodePath)>,
}

/// The commit that most nodes hold: what a plan is compared against.
pub fn base_commit(observed: &Observed) -> Option<&str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for seen in observed.nodes.values() {
        if let Seen::State(state) = seen
            && let Some(current) = &state.current
        {
            *counts.entry(&current.commit).or_default() += 1;
        }
    }
    counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(commit, _)| commit)
}

/// What became of one node.
enum Part {
    Turn(Box<Turn>),
    Unchanged(Vec<Gate>),
    Skipped(String),
}

pub fn make(input: &Input<'_>) -> Plan {
    let outline = input.outline;
    let mut findings = guards::cluster(input);
    findings.extend(limits::limits(input));
    let mut turns = BTreeMap::new();
    let mut unchanged = BTreeMap::new();
    let mut skipped = Vec::new();
    let mut quarantine: Vec<Finding> = guards::quarantined(input).into_iter().collect();
    for (node, release) in &input.bundle.releases {
        match part(input, node, release, &mut findings) {
            Part::Turn(turn) => {
                quarantine.extend(guards::quarantine(input, node));
                turns.insert(node.clone(), *turn);
            }
            Part::Unchanged(gates) => drop(unchanged.insert(node.clone(), gates)),
            Part::Skipped(why) => skipped.push(Skipped {
                node: node.clone(),
                why,
            }),
        }
    }
    findings.extend(again::held(input, &turns, quarantine));
    let in_order: Vec<NodeName> = in_order(&outline.order, turns.keys());
    Plan {
        cluster: outline.cluster.clone(),
        commit: input.bundle.commit.clone(),
        subject: input.subject.to_owned(),
        bundle: input.bundle.digest,
        reviewed: Some(input.bundle.reviewed()),
        waves: waves(&in_order, &outline.policy.serial),
        turns,
        unchanged,
        skipped,
        findings: findings.sorted(),
        timing: timing(&outline.policy),
        on_failure: outline.policy.on_failure,
        on_newer_commit: outline.policy.on_newer_commit,
        fence: next_generation(input.observed.highest_fence()),
    }
}

fn timing(policy: &Policy) -> Timing {
    Timing {
        min_healthy_time: policy.min_healthy_time.value.get(),
        healthy_deadline: policy.healthy_deadline.value.get(),
        progress_deadline: policy.progress_deadline.value.get(),
        reconnect_deadline: policy.reconnect_deadline.value.get(),
    }
}

/// In cluster order; a node that the order forgot comes last rather than never.
fn in_order<'a>(
    order: &'a [NodeName],
    nodes: impl Iterator<Item = &'a NodeName> + Clone,
) -> Vec<NodeName> {
    let wanted: BTreeSet<&NodeName> = nodes.clone().collect();
    let listed = order.iter().filter(|node| wanted.contains(node));
    let rest = nodes.filter(|node| !order.contains(node));
    listed.chain(rest).cloned().collect()
}

fn part(input: &Input<'_>, node: &NodeName, release: &Release, findings: &mut Findings) -> Part {
    let state = match input.observed.nodes.get(node) {
        Some(Seen::State(state)) => state,
        Some(Seen::Unreachable(why)) => {
            return Part::Skipped(format!("it cannot be reached: {why}"));
        }
        Some(Seen::Refused(why)) => return Part::Skipped(why.clone()),
        None => return Part::Skipped("it was not asked".to_owned()),
    };
    findings.extend(guards::node(input, node, state));
    let target = &release.meta;
    let base = state.current.as_ref();
    let replaced = drift(input, node, state, findings);
    if base.is_some_and(|base| base.digest == target.digest) && replaced.is_empty() {
        return Part::Unchanged(lasting_gates(target));
    }
    match turn(input, node, base, target, &replaced) {
        Ok(turn) => Part::Turn(Box::new(turn)),
        Err(error) => {
            let finding = Finding::error(codes::BAD_GLOB, error.to_string());
            findings.push(finding.on(node).of(&error.component));
            Part::Skipped("its actions could not be decided".to_owned())
        }
    }
}

fn lasting_gates(target: &ReleaseMeta) -> Vec<Gate> {
    let lasting = |gate: &&Gate| gate.scope == GateScope::Cluster;
    target.gates.iter().filter(lasting).cloned().collect()
}

/// The drifted files that this roll may replace; every other one is a finding.
fn drift(
    input: &Input<'_>,
    node: &NodeName,
    state: &NodeState,
    findings: &mut Findings,
) -> BTreeMap<NodePath, DriftKind> {
    let overwrite = input.outline.policy.drift == Drift::Overwrite;
    let adopts = |path: &NodePath| {
        let named = (node.clone(), path.clone());
        overwrite || input.adopt.paths.contains(&named)
    };
    let mut replaced = BTreeMap::new();
    for (path, kind) in &state.drift {
        if adopts(path) {
            replaced.insert(path.clone(), *kind);
            continue;
        }
        let what = match kind {
            DriftKind::Modified => "was changed by hand",
            DriftKind::Missing => "was removed by hand",
            DriftKind::Attributes => "has another mode or owner",
        };
        let hint = format!(
            "bring the change into the repository, or give it up with `windlass adopt {node} {path}`"
        );
        let finding = Finding::error(codes::DRIFT, format!("{path} on {node} {what}"));
        let owner = state.current.as_ref().and_then(|base| base.files.get(path));
        findings.push(match owner {
            Some(file) => finding.on(node).of(&file.component).hint(hint),
            None => finding.on(node).hint(hint),
        });
    }
    replaced
}

fn turn(
    input: &Input<'_>,
    node: &NodeName,
    base: Option<&ReleaseMeta>,
    target: &ReleaseMeta,
    replaced: &BTreeMap<NodePath, DriftKind>,
) -> Result<Turn, BadGlob> {
    let changes = changes(base, target, replaced);
    let Actions {
        forward,
        backward,
        drain,
        undrain,
    } = actions(base, target, &changes)?;
    let mut packages: Vec<String> = Vec::new();
    for package in target.components.iter().flat_map(|c| &c.packages) {
        if !packages.contains(package) {
            packages.push(package.clone());
        }
    }
    let units = target.components.iter();
    Ok(Turn {
        node: node.clone(),
        base: base.map(|base| base.digest),
        target: target.digest,
        packages,
        drain,
        undrain,
        forward,
        backward,
        gates: gates(base, target),
        units: units.map(|c| (c.name.clone(), c.units.clone())).collect(),
        adopt: adopted(input, node, &changes, replaced),
        changes,
    })
}

/// A component that is not there yet cannot hold a condition before its first turn.
fn gates(base: Option<&ReleaseMeta>, target: &ReleaseMeta) -> Vec<Gate> {
    let known = |gate: &Gate| {
        base.is_some_and(|base| base.components.iter().any(|c| c.name == gate.component))
    };
    let gates = target.gates.iter().cloned();
    gates
        .map(|gate| Gate {
            before: gate.before && known(&gate),
            ..gate
        })
        .collect()
}

fn adopted(
    input: &Input<'_>,
    node: &NodeName,
    changes: &[FileChange],
    replaced: &BTreeMap<NodePath, DriftKind>,
) -> Vec<NodePath> {
    let named = |path: &NodePath| input.adopt.paths.contains(&(node.clone(), path.clone()));
    let changed = changes.iter().map(|change| &change.path);
    changed
        .filter(|path| replaced.contains_key(*path) || named(path))
        .cloned()
        .collect()
}
