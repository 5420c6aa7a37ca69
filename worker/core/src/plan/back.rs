//! Which turns a person takes back with `windlass rollback`. What it guards against: a node that does not answer. Nobody
//! knows then which roll is the latest, and taking back an older one on the others would leave the cluster at two commits.

use std::collections::BTreeSet;

use crate::codes::nodes::UNREACHABLE;
use crate::codes::plan::UNUSABLE;
use crate::fence::generation;
use crate::finding::{Finding, Findings};
use crate::ids::NodeName;
use crate::observed::{Attempt, AttemptPhase, Observed, Seen};

/// The turns of the wanted nodes; of nobody in particular: those of the latest roll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakingBack {
    /// Those that stand, in the order in which they go back.
    pub turns: Vec<(NodeName, Attempt)>,
    /// Nodes that hold what they held before already.
    pub back: Vec<NodeName>,
}

/// A roll that is half taken back is still the latest, so asking again goes on with the rest of it.
pub fn taken_back(
    observed: &Observed,
    order: &[NodeName],
    wanted: &BTreeSet<NodeName>,
) -> Result<TakingBack, Findings> {
    let asked = |node: &&NodeName| wanted.is_empty() || wanted.contains(*node);
    let nodes: Vec<&NodeName> = order.iter().filter(asked).collect();
    let mut attempts: Vec<(&NodeName, &Attempt)> = nodes
        .iter()
        .filter_map(|node| Some((*node, attempt(observed, node)?)))
        .collect();
    if wanted.is_empty() {
        let latest = attempts.iter().map(|(_, attempt)| roll(attempt)).max();
        attempts.retain(|(_, attempt)| Some(roll(attempt)) == latest);
    }
    let (standing, back): (Vec<_>, Vec<_>) = attempts
        .into_iter()
        .partition(|(_, attempt)| attempt.phase != AttemptPhase::RolledBack);
    let taking = TakingBack {
        turns: standing
            .into_iter()
            .map(|(node, attempt)| (node.clone(), attempt.clone()))
            .collect(),
        back: back.into_iter().map(|(node, _)| node.clone()).collect(),
    };
    let silent: Vec<Finding> = nodes
        .iter()
        .filter_map(|node| silent(observed, node, &taking.turns))
        .collect();
    if silent.is_empty() {
        Ok(taking)
    } else {
        Err(silent.into_iter().collect())
    }
}

/// The latest that changed something; one that was only staged did not.
fn attempt<'o>(observed: &'o Observed, node: &NodeName) -> Option<&'o Attempt> {
    let Seen::State(state) = observed.nodes.get(node)? else {
        return None;
    };
    let attempt = state.standing.as_ref().or(state.attempt.as_ref());
    attempt.filter(|attempt| attempt.phase != AttemptPhase::Staged)
}

/// All fences of a roll are of one generation; before there were generations a roll had one fence.
fn roll(attempt: &Attempt) -> (u64, u64) {
    match generation(attempt.fence) {
        0 => (0, attempt.fence),
        generation => (generation, 0),
    }
}

fn silent(observed: &Observed, node: &NodeName, others: &[(NodeName, Attempt)]) -> Option<Finding> {
    let (code, why) = match observed.nodes.get(node) {
        Some(Seen::State(_)) => return None,
        Some(Seen::Unreachable(why)) => (UNREACHABLE, why.as_str()),
        Some(Seen::Refused(why)) => (UNUSABLE, why.as_str()),
        None => (UNREACHABLE, "it was not asked"),
    };
    let message = format!("whether {node} has a turn to take back is not known: {why}");
    let others: Vec<&str> = others.iter().map(|(node, _)| node.as_str()).collect();
    let hint = if others.is_empty() {
        "run it again when the node answers".to_owned()
    } else {
        format!(
            "run it again when the node answers, or take the others back without it: `windlass rollback {}`",
            others.join(" ")
        )
    };
    Some(Finding::error(code, message).on(node).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fence::next_generation;
    use crate::ids::Digest;
    use crate::plan::fixtures::{node, state};

    const FIRST: u64 = 1;

    fn at(roll: u64, phase: AttemptPhase) -> Seen {
        let mut fence = FIRST;
        for _ in 0..roll {
            fence = next_generation(fence);
        }
        let mut state = state(None);
        state.attempt = Some(Attempt {
            token: format!("token-{roll}"),
            fence: fence + u64::from(phase == AttemptPhase::Activated),
            base: None,
            target: Digest::of(b"x"),
            phase,
            reason: String::new(),
        });
        Seen::State(Box::new(state))
    }

    fn taken(nodes: &[(&str, Seen)], wanted: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let observed = Observed {
            nodes: nodes
                .iter()
                .map(|(name, seen)| (node(name), seen.clone()))
                .collect(),
        };
        let order: Vec<NodeName> = nodes.iter().map(|(name, _)| node(name)).collect();
        let wanted = wanted.iter().map(|name| node(name)).collect();
        match taken_back(&observed, &order, &wanted) {
            Ok(taking) => {
                let turns = taking.turns.iter().map(|(node, _)| node.to_string());
                let back = taking.back.iter().map(|node| format!("({node})"));
                Ok(turns.chain(back).collect())
            }
            Err(findings) => Err(findings
                .iter()
                .map(|one| format!("{}: {}", one.code, one.hint.clone().unwrap_or_default()))
                .collect()),
        }
    }

    fn down() -> Seen {
        Seen::Unreachable("timed out".to_owned())
    }

    #[test]
    fn the_latest_roll_goes_back_in_the_given_order_and_no_older_one() {
        use AttemptPhase::{Activated, Confirmed, RolledBack, Staged, Stuck};
        let nodes = [
            ("c", at(7, Confirmed)),
            ("b", at(6, Confirmed)),
            ("a", at(7, Activated)),
        ];
        assert_eq!(taken(&nodes, &[]).unwrap(), ["c", "a"]);
        assert_eq!(taken(&nodes, &["a", "b"]).unwrap(), ["b", "a"]);
        // Killed in the middle, and asked again.
        let half = [
            ("c", at(7, RolledBack)),
            ("b", at(6, Confirmed)),
            ("a", at(7, Stuck)),
        ];
        assert_eq!(taken(&half, &[]).unwrap(), ["a", "(c)"]);
        let whole = [("c", at(7, RolledBack)), ("b", at(6, Confirmed))];
        assert_eq!(taken(&whole, &[]).unwrap(), ["(c)"]);
        assert!(taken(&[], &[]).unwrap().is_empty());
        let staged = [("c", at(8, Staged)), ("b", at(7, Confirmed))];
        assert_eq!(taken(&staged, &[]).unwrap(), ["b"]);
        // A roll that was refused before it changed anything leaves the one before it standing.
        let mut refused = at(8, RolledBack);
        if let (Seen::State(state), Seen::State(before)) = (&mut refused, at(7, Confirmed)) {
            state.standing = before.attempt;
        }
        let nodes = [("c", refused), ("b", at(7, Confirmed))];
        assert_eq!(taken(&nodes, &[]).unwrap(), ["c", "b"]);
        // From before there were generations.
        let early = [("c", at(0, Confirmed)), ("b", at(1, Confirmed))];
        assert_eq!(taken(&early, &[]).unwrap(), ["b"]);
    }

    #[test]
    fn a_node_that_does_not_answer_is_told_and_nothing_is_taken_back() {
        let nodes = [
            ("c", at(7, AttemptPhase::Confirmed)),
            ("b", down()),
            ("a", Seen::Refused("another host key".to_owned())),
        ];
        let told = taken(&nodes, &[]).unwrap_err();
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("WL501"), "{told:?}");
        assert!(told[0].contains("`windlass rollback c`"), "{told:?}");
        assert!(told[1].starts_with("WL416"), "{told:?}");
        assert_eq!(taken(&nodes, &["c"]).unwrap(), ["c"]);
        let told = taken(&nodes, &["b", "c"]).unwrap_err();
        assert_eq!(told.len(), 1);
        let told = taken(&[("b", down())], &["b"]).unwrap_err();
        assert!(!told[0].contains("windlass rollback"), "{told:?}");
    }
}
