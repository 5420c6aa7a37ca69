//! What the policy has against a roll, whatever it changes: a freeze, a lock, too few healthy nodes, something that
//! was rolled back before. Each is a finding of the plan, so a preview shows it before anyone merges.

use jiff::Timestamp;

use super::make::Input;
use crate::codes::plan as codes;
use crate::fence::Claim;
use crate::finding::{Finding, Findings};
use crate::ids::NodeName;
use crate::model::Unreachable;
use crate::observed::{Attempt, AttemptPhase, NodeState, Seen};

/// A worker and a node that disagree by more are not both right; time services keep to milliseconds.
const CLOCK_TOLERANCE: i64 = 300;

/// A rollback for this reason says nothing against the release.
pub(crate) const CANCELLED: &str = "cancelled";

pub(super) fn cluster(input: &Input<'_>) -> Findings {
    let mut findings = Findings::default();
    for freeze in &input.outline.policy.freeze {
        if freeze.covers(input.now) {
            let message = format!("nothing is rolled at this time: {}", freeze.reason);
            findings.push(Finding::error(codes::FROZEN, message));
        }
    }
    if let Some(lock) = &input.outline.policy.lock {
        let message = format!("the cluster is locked: {}", lock.reason);
        let hint = "remove `policy.lock` from cluster.yaml";
        findings.push(Finding::error(codes::LOCKED, message).hint(hint));
    }
    if input.incomplete {
        let message =
            "the bundle holds stand-ins for secrets or certificates that are missing here";
        findings.push(Finding::error(codes::INCOMPLETE, message));
    }
    findings.extend(lost(input));
    findings.extend(quorum(input));
    findings.extend(reachable(input));
    findings.extend(usable(input));
    findings
}

/// A host that a node serves over TLS does not lose it because its certificate is yet to be ordered.
fn lost(input: &Input<'_>) -> Vec<Finding> {
    let mut lost = Vec::new();
    for (name, seen) in &input.observed.nodes {
        let Seen::State(state) = seen else { continue };
        let first = state
            .over_tls()
            .filter(|host| input.bundle.pending.contains(*host))
            .min();
        lost.extend(first.map(|host| {
            let message =
                format!("{host} is served over TLS, and its certificate is missing on the worker");
            let finding = Finding::error(codes::CERTIFICATE_LOST, message).on(name);
            finding.hint("give the worker the old one as a file; where the commit that was rolled out wants it too, it is being ordered anew")
        }));
    }
    lost
}

const RETRY: &str =
    "change the definitions, or run `windlass roll --retry` when the cause lay elsewhere";

fn quorum(input: &Input<'_>) -> Vec<Finding> {
    let healthy = |node: &&NodeName| match input.observed.nodes.get(*node) {
        Some(Seen::State(state)) => !state.attempt.as_ref().is_some_and(in_the_way),
        Some(Seen::Unreachable(_) | Seen::Refused(_)) | None => false,
    };
    let quorum = input.outline.policy.quorum.iter();
    quorum
        .filter_map(|(role, least)| {
            let of_role = |node: &&NodeName| {
                let roles = input.outline.roles.get(*node);
                roles.is_some_and(|roles| roles.contains(role.as_str()))
            };
            let nodes: Vec<&NodeName> = input.outline.order.iter().filter(of_role).collect();
            let well = nodes.iter().copied().filter(healthy).count();
            (well < least.value as usize).then(|| {
                let all = nodes.len();
                let message = format!(
                    "{well} of {all} nodes of role {role} are healthy; a roll begins with at least {}",
                    least.value
                );
                Finding::error(codes::QUORUM, message)
            })
        })
        .collect()
}

fn reachable(input: &Input<'_>) -> Vec<Finding> {
    let why = |node: &NodeName| match input.observed.nodes.get(node) {
        Some(Seen::State(_) | Seen::Refused(_)) => None,
        Some(Seen::Unreachable(why)) => Some(why.clone()),
        None => Some("it was not asked".to_owned()),
    };
    let nodes = input.bundle.releases.keys();
    let down: Vec<(&NodeName, String)> = nodes
        .filter_map(|node| why(node).map(|why| (node, why)))
        .collect();
    let all = !down.is_empty() && down.len() == input.bundle.releases.len();
    if !all && input.outline.policy.unreachable == Unreachable::Skip {
        return Vec::new();
    }
    let finding = |(node, why): (&NodeName, String)| {
        Finding::error(codes::NODE_DOWN, format!("{node} cannot be reached: {why}")).on(node)
    };
    down.into_iter().map(finding).collect()
}

/// Where a node answers and cannot be used, somebody must look, so no policy goes on without it.
fn usable(input: &Input<'_>) -> Vec<Finding> {
    let nodes = input.bundle.releases.keys();
    nodes
        .filter_map(|node| match input.observed.nodes.get(node)? {
            Seen::Refused(why) => Some(Finding::error(codes::UNUSABLE, why.clone()).on(node)),
            Seen::State(_) | Seen::Unreachable(_) => None,
        })
        .collect()
}

fn in_the_way(attempt: &Attempt) -> bool {
    match attempt.phase {
        AttemptPhase::Activating
        | AttemptPhase::Activated
        | AttemptPhase::RollingBack
        | AttemptPhase::Stuck => true,
        AttemptPhase::Staged | AttemptPhase::Confirmed | AttemptPhase::RolledBack => false,
    }
}

/// What speaks against touching this node, wherever it was reached.
pub(super) fn node(input: &Input<'_>, node: &NodeName, state: &NodeState) -> Findings {
    let mut findings = Findings::default();
    if let Some(cluster) = &state.cluster
        && *cluster != input.outline.cluster
    {
        let message = format!("{node} belongs to the cluster {cluster}");
        findings.push(Finding::error(codes::FOREIGN, message).on(node));
    }
    if let Some(current) = &state.current
        && current.node != *node
    {
        let message = format!("the machine at the address of {node} is {}", current.node);
        findings.push(Finding::error(codes::FOREIGN, message).on(node));
    }
    if let Some(attempt) = &state.attempt {
        findings.extend(unfinished(node, state, attempt));
    }
    findings.extend(clock(node, state, input.now));
    findings
}

fn unfinished(node: &NodeName, state: &NodeState, attempt: &Attempt) -> Option<Finding> {
    if attempt.phase == AttemptPhase::Stuck {
        let message = format!("{node} is stuck half way: {}", attempt.reason);
        let hint = format!("mend the cause on the node, then run `windlass rollback {node}`");
        return Some(Finding::error(codes::STUCK, message).on(node).hint(hint));
    }
    in_the_way(attempt).then(|| {
        let holder = Claim::parse(&state.holder).map(|claim| claim.worker);
        let holder = holder.as_ref().unwrap_or(&state.holder);
        let message = format!(
            "{node} is in the middle of roll {} of {holder}",
            attempt.fence
        );
        Finding::error(codes::UNFINISHED, message)
            .on(node)
            .hint("wait until it is over; unless it is confirmed the node goes back by itself")
    })
}

fn clock(node: &NodeName, state: &NodeState, now: Timestamp) -> Option<Finding> {
    let apart = state.clock.saturating_sub(now.as_second());
    (apart.abs() > CLOCK_TOLERANCE).then(|| {
        let word = if apart > 0 { "ahead of" } else { "behind" };
        let apart = apart.unsigned_abs();
        let message = format!("the clock of {node} is {apart} s {word} the worker's");
        Finding::warning(codes::CLOCK, message).on(node)
    })
}

/// The bundle as a whole was rolled back.
pub(super) fn quarantined(input: &Input<'_>) -> Option<Finding> {
    let held = input.quarantined.contains(&input.bundle.digest) && !input.retry;
    held.then(|| {
        let digest = input.bundle.digest.short();
        let message = format!("bundle {digest} was rolled back before");
        Finding::error(codes::QUARANTINED, message).hint(RETRY)
    })
}

/// A node remembers what was rolled back on it, so that a worker without memory does not try it again.
pub(super) fn quarantine(input: &Input<'_>, node: &NodeName) -> Option<Finding> {
    let Some(Seen::State(state)) = input.observed.nodes.get(node) else {
        return None;
    };
    let target = input.bundle.releases.get(node)?.meta.digest;
    let innocent = state
        .attempt
        .as_ref()
        .is_some_and(|last| last.target == target && last.reason.starts_with(CANCELLED));
    if input.retry || innocent || !state.rolled_back.contains(&target) {
        return None;
    }
    let message = format!(
        "release {} was rolled back on {node} before",
        target.short()
    );
    Some(
        Finding::error(codes::QUARANTINED, message)
            .on(node)
            .hint(RETRY),
    )
}
