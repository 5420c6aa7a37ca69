//! The order in which nodes take their turns.

use std::collections::BTreeMap;

use super::View;
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings};
use crate::ids::NodeName;
use crate::model::names::DomainName;

/// The cluster's order names every node, once.
pub(super) fn names_every_node(view: &View<'_>, findings: &mut Findings) {
    let cluster = &view.model.cluster;
    let mut seen = BTreeMap::new();
    for node in &cluster.order {
        if let Some(first) = seen.insert(&node.value, node) {
            findings.push(
                Finding::error(codes::ORDER, format!("`{node}` stands in the order twice"))
                    .at(cluster.place(node))
                    .related(cluster.place(first), "first named here")
                    .hint("name every node once"),
            );
        }
    }
    for (name, node) in view
        .model
        .nodes
        .iter()
        .filter(|(name, _)| !seen.contains_key(name))
    {
        findings.push(
            Finding::error(
                codes::ORDER,
                format!("the order does not name the node `{name}`"),
            )
            .at(cluster
                .order
                .first()
                .map_or_else(|| cluster.whole(), |first| cluster.place(first)))
            .related(node.whole(), "the node is defined here")
            .hint(format!("add `{name}` to `order` in cluster.yaml")),
        );
    }
    if view.model.nodes.is_empty() {
        findings.push(
            Finding::error(codes::ORDER, "the cluster has no nodes")
                .at(cluster.whole())
                .hint("write `nodes/<name>.yaml` for each machine"),
        );
    }
}

/// A zone's primary has its turn before its secondaries. BIND does not ask a primary again for ten minutes that it could
/// not reach, so a secondary that starts first has no zone when its gate looks, and a new cluster never gets up.
pub(super) fn primaries_come_first(view: &View<'_>, findings: &mut Findings) {
    let cluster = &view.model.cluster;
    let turn = |name: &NodeName| cluster.order.iter().position(|node| node.value == *name);
    let mut late: BTreeMap<usize, (&NodeName, &DomainName)> = BTreeMap::new();
    for (zone, definition) in &view.model.zones {
        let secondaries = view.model.nodes_of(&definition.secondaries);
        let first = secondaries.into_iter().filter_map(turn).min();
        let primaries = view.model.nodes_of(&definition.primary);
        // That there is one is another's question.
        let [primary] = primaries[..] else { continue };
        if let (Some(own), Some(first)) = (turn(primary), first)
            && own > first
        {
            late.entry(own).or_insert((primary, zone));
        }
    }
    for (turn, (primary, zone)) in late {
        let place = cluster.order.get(turn);
        findings.push(
            Finding::warning(
                codes::LATE_PRIMARY,
                format!("`{primary}`, the primary of {zone}, has its turn after a secondary"),
            )
            .at(place.map_or_else(|| cluster.whole(), |node| cluster.place(node)))
            .hint("put it before the zone's secondaries in `order`"),
        );
    }
}
