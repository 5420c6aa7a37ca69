//! The order in which nodes take their turns.

use std::collections::BTreeMap;

use super::View;
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings};

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
