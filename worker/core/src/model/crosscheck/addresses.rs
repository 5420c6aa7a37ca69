//! Networks and the nodes' addresses in them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{View, unknown};
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};

/// Every address lies in a network that exists; every network that is named exists.
pub(super) fn networks(view: &View<'_>, findings: &mut Findings) {
    let cluster = &view.model.cluster;
    let known = || cluster.networks.keys().map(|name| name.as_str());
    for node in view.model.nodes.values() {
        for (network, address) in &node.addresses {
            let Some(ranges) = cluster.networks.get(network) else {
                findings.push(
                    unknown(codes::UNKNOWN_NETWORK, "network", network.as_str(), known())
                        .at(node.place(address)),
                );
                continue;
            };
            if !ranges.iter().any(|range| range.contains(&address.value)) {
                findings.push(
                    Finding::error(
                        codes::OUTSIDE_NETWORK,
                        format!("{address} lies outside the network `{network}`"),
                    )
                    .at(node.place(address))
                    .related(cluster.place(ranges), "the network is defined here")
                    .hint("correct the address, or widen the network"),
                );
            }
        }
    }
    let edge = &cluster.edge;
    for network in [Some(&edge.network), edge.network6.as_ref()]
        .into_iter()
        .flatten()
    {
        if !cluster.networks.contains_key(&network.value) {
            findings.push(
                unknown(codes::UNKNOWN_NETWORK, "network", network.as_str(), known())
                    .at(cluster.place(network)),
            );
        }
    }
}

/// No two nodes have the same address.
pub(super) fn duplicates(view: &View<'_>, findings: &mut Findings) {
    let mut seen: BTreeMap<IpAddr, (Location, &str)> = BTreeMap::new();
    for (name, node) in &view.model.nodes {
        for address in node.addresses.values() {
            let place = node.place(address);
            match seen.get(&address.value) {
                Some((first, owner)) if *owner != name.as_str() => findings.push(
                    Finding::error(
                        codes::DUPLICATE_ADDRESS,
                        format!("{address} is already the address of `{owner}`"),
                    )
                    .at(place)
                    .related(first.clone(), "first used here")
                    .hint("give each node its own address"),
                ),
                Some(_) => {}
                None => {
                    seen.insert(address.value, (place, name.as_str()));
                }
            }
        }
    }
}
