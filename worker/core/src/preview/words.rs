//! A plan in words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::verdict::counted;
use super::{Radius, Roll, TurnWords};
use crate::plan::{ChangeKind, Inventory, Plan, Turn};
use crate::release::Command;

impl Roll {
    /// `base` and `target`: what the commit that the nodes hold defines, and what the request would.
    pub fn of(plan: &Plan, base: Option<&Inventory>, target: &Inventory) -> Self {
        let mut turns = Vec::new();
        for (index, wave) in plan.waves.iter().enumerate() {
            let of_wave = wave.iter().filter_map(|node| plan.turns.get(node));
            turns.extend(of_wave.map(|turn| TurnWords::of(turn, index + 1)));
        }
        Self {
            turns,
            unchanged: plan.unchanged.keys().cloned().collect(),
            skipped: plan.skipped.clone(),
            radius: Radius::of(plan, base, target),
        }
    }
}

impl TurnWords {
    fn of(turn: &Turn, wave: usize) -> Self {
        let because: BTreeSet<String> = turn
            .changes
            .iter()
            .flat_map(|change| &change.because)
            .map(|(file, what)| format!("{file} {what}"))
            .collect();
        Self {
            node: turn.node.clone(),
            wave,
            files: turn.changes.len(),
            drain: labels(&turn.drain),
            actions: labels(&turn.forward),
            gates: turn.gates.iter().map(|gate| gate.label.clone()).collect(),
            undrain: labels(&turn.undrain),
            replaced: turn.adopt.clone(),
            because: because.into_iter().collect(),
        }
    }
}

fn labels(commands: &[Command]) -> Vec<String> {
    commands
        .iter()
        .map(|command| command.label.clone())
        .collect()
}

impl Radius {
    /// "Blast radius: 2 of 3 nodes; 1 file new, 2 changed, 0 removed."
    pub fn words(&self) -> String {
        let mut text = format!(
            "Blast radius: {} of {}; {} new, {} changed, {} removed",
            self.nodes,
            counted(self.of_nodes, "node"),
            counted(self.files_created, "file"),
            self.files_changed,
            self.files_removed
        );
        let shares = [
            ("DNS records", self.dns_records),
            ("backends", self.backends),
        ];
        for (what, share) in shares {
            if let Some((gone, of)) = share {
                _ = write!(text, "; {gone} of {of} {what} removed");
            }
        }
        text.push('.');
        text
    }

    fn of(plan: &Plan, base: Option<&Inventory>, target: &Inventory) -> Self {
        let changes = || plan.turns.values().flat_map(|turn| &turn.changes);
        let count = |kinds: &[ChangeKind]| changes().filter(|c| kinds.contains(&c.kind)).count();
        let gone = |old: &BTreeSet<String>, new: &BTreeSet<String>| {
            (old.difference(new).count(), old.len())
        };
        Self {
            nodes: plan.turns.len(),
            of_nodes: plan.turns.len() + plan.unchanged.len() + plan.skipped.len(),
            files_created: count(&[ChangeKind::Create]),
            files_changed: count(&[ChangeKind::Replace, ChangeKind::Attributes]),
            files_removed: count(&[ChangeKind::Remove]),
            dns_records: base.map(|base| gone(&base.dns_records, &target.dns_records)),
            backends: base.map(|base| gone(&base.backends, &target.backends)),
        }
    }
}
