//! The policy of rolls can be carried out.

use std::collections::BTreeMap;

use super::View;
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings};
use crate::model::Wave;

/// Waves are not empty, and no node is in two of them.
pub(super) fn waves_are_sane(view: &View<'_>, findings: &mut Findings) {
    let cluster = &view.model.cluster;
    let serial = &cluster.policy.serial;
    if serial.is_empty() {
        findings.push(
            Finding::error(codes::WAVES, "`serial` has no waves")
                .at(cluster.whole())
                .hint("write `serial: [1]` for one node after the other"),
        );
    }
    let mut seen = BTreeMap::new();
    for wave in serial {
        let empty = match &wave.value {
            Wave::Count(_) => false,
            Wave::Share(share) => share.get() == 0,
            Wave::Nodes(nodes) => nodes.is_empty(),
        };
        if empty {
            findings.push(
                Finding::error(codes::WAVES, "a wave without nodes never ends")
                    .at(cluster.place(wave))
                    .hint("give it at least one node, or more than `0%`"),
            );
        }
        let Wave::Nodes(nodes) = &wave.value else {
            continue;
        };
        for node in nodes {
            if let Some(first) = seen.insert(&node.value, node) {
                findings.push(
                    Finding::error(codes::WAVES, format!("`{node}` is in two waves"))
                        .at(cluster.place(node))
                        .related(cluster.place(first), "first named here")
                        .hint("name it in one wave"),
                );
            }
        }
    }
}

/// A node can become healthy before its time is over.
pub(super) fn deadlines_fit(view: &View<'_>, findings: &mut Findings) {
    let cluster = &view.model.cluster;
    let policy = &cluster.policy;
    let steps = [
        (
            "min_healthy_time",
            policy.min_healthy_time,
            "healthy_deadline",
            policy.healthy_deadline,
        ),
        (
            "healthy_deadline",
            policy.healthy_deadline,
            "progress_deadline",
            policy.progress_deadline,
        ),
    ];
    for (short_name, short, long_name, long) in steps {
        if long.value > short.value {
            continue;
        }
        // The one that was written, not the default, is the one to point at.
        let at = if long.line > 0 { long } else { short };
        findings.push(
            Finding::error(
                codes::DEADLINES,
                format!("`{long_name}` ({long}) must be longer than `{short_name}` ({short})"),
            )
            .at(cluster.place(&at))
            .hint("no node could ever become healthy in time"),
        );
    }
    if policy.reconnect_deadline.get() == 0 {
        findings.push(
            Finding::error(
                codes::DEADLINES,
                "`reconnect_deadline` must be longer than nothing",
            )
            .at(cluster.place(&policy.reconnect_deadline))
            .hint("every node would go back at once; `30s` is usual"),
        );
    }
}

/// A freeze ends after it begins.
pub(super) fn freezes_cover_something(view: &View<'_>, findings: &mut Findings) {
    let cluster = &view.model.cluster;
    for freeze in cluster
        .policy
        .freeze
        .iter()
        .filter(|freeze| freeze.is_empty())
    {
        findings.push(
            Finding::error(codes::EMPTY_FREEZE, "the freeze ends before it begins")
                .at(cluster.place(freeze))
                .hint("put the later time last"),
        );
    }
}

/// A quorum is not larger than the role.
pub(super) fn quorum_is_possible(view: &View<'_>, findings: &mut Findings) {
    let cluster = &view.model.cluster;
    for (role, quorum) in &cluster.policy.quorum {
        let members = view
            .model
            .nodes
            .values()
            .filter(|node| node.has_role(role.as_str()))
            .count();
        let asked = usize::try_from(quorum.value).unwrap_or(usize::MAX);
        if members > 0 && asked > members {
            findings.push(
                Finding::error(
                    codes::QUORUM,
                    format!(
                        "the quorum of `{role}` is {quorum}, but only {members} nodes have the role"
                    ),
                )
                .at(cluster.place(quorum))
                .hint("no roll could ever begin; lower it"),
            );
        }
    }
}
