//! Nodes and roles that are named somewhere exist.

use std::collections::BTreeSet;

use super::{View, unknown};
use crate::codes::definitions as codes;
use crate::finding::{Findings, Location};
use crate::model::{Placement, Wave};

/// All placements of the definitions, each with its file's way to places.
fn placements<'a>(view: &View<'a>) -> Vec<(&'a str, &'a Placement)> {
    let model = view.model;
    let sites = model.sites.values().map(|site| (&*site.file, &site.on));
    let forwards = model
        .forwards
        .values()
        .map(|forward| (&*forward.file, &forward.on));
    let zones = model.zones.values().flat_map(|zone| {
        [
            (&*zone.file, &zone.primary),
            (&*zone.file, &zone.secondaries),
        ]
    });
    sites.chain(forwards).chain(zones).collect()
}

/// Every node that is named has a file.
pub(super) fn nodes_exist(view: &View<'_>, findings: &mut Findings) {
    let model = view.model;
    let cluster = &model.cluster;
    let mut named: Vec<(&str, Location)> = Vec::new();
    for (file, placement) in placements(view) {
        if let Placement::Nodes(nodes) = placement {
            named.extend(
                nodes
                    .iter()
                    .map(|node| (node.as_str(), node.location(file))),
            );
        }
    }
    for node in &cluster.order {
        named.push((node.as_str(), cluster.place(node)));
    }
    for wave in &cluster.policy.serial {
        if let Wave::Nodes(nodes) = &wave.value {
            named.extend(
                nodes
                    .iter()
                    .map(|node| (node.as_str(), cluster.place(node))),
            );
        }
    }
    for forward in model.forwards.values() {
        named.extend(
            forward
                .to
                .node
                .iter()
                .map(|node| (node.as_str(), forward.place(node))),
        );
    }
    for (name, place) in named {
        if !model.nodes.contains_key(name) {
            let known = model.nodes.keys().map(|node| node.as_str());
            findings.push(unknown(codes::UNKNOWN_NODE, "node", name, known).at(place));
        }
    }
}

/// Every role that is named is the role of some node.
pub(super) fn roles_exist(view: &View<'_>, findings: &mut Findings) {
    let model = view.model;
    let cluster = &model.cluster;
    let known: BTreeSet<&str> = model
        .nodes
        .values()
        .flat_map(|node| node.roles.iter().map(|role| role.as_str()))
        .collect();
    let mut named = vec![(
        cluster.edge.role.as_str(),
        cluster.place(&cluster.edge.role),
    )];
    for (file, placement) in placements(view) {
        if let Placement::Role(role) = placement {
            named.push((role.as_str(), role.location(file)));
        }
    }
    for (role, count) in &cluster.policy.quorum {
        named.push((role.as_str(), cluster.place(count)));
    }
    for (role, place) in named {
        if !known.contains(role) {
            findings.push(
                unknown(
                    codes::UNKNOWN_ROLE,
                    "node with the role",
                    role,
                    known.iter().copied(),
                )
                .at(place),
            );
        }
    }
}
