//! Sites: their hosts, health and maintenance pages, and whether anyone can find them.

use std::collections::BTreeMap;

use super::View;
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};
use crate::model::{Maintenance, derive};

/// Every site has hosts, and no host belongs to two.
pub(super) fn hosts(view: &View<'_>, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, Location> = BTreeMap::new();
    for (name, site) in &view.model.sites {
        if site.hosts.is_empty() {
            findings.push(
                Finding::error(codes::EMPTY_LIST, format!("the site `{name}` has no hosts"))
                    .at(site.whole())
                    .hint("list the names that it answers to"),
            );
        }
        for host in &site.hosts {
            let place = site.place(host);
            if let Some(first) = seen.get(host.as_str()) {
                findings.push(
                    Finding::error(
                        codes::DUPLICATE_HOST,
                        format!("{host} belongs to two sites"),
                    )
                    .at(place)
                    .related(first.clone(), "first defined here")
                    .hint("the edge sends a host's requests to one site; remove one of them"),
                );
                continue;
            }
            seen.insert(host.as_str(), place);
        }
    }
}

/// Health checks ask for a status that exists; maintenance pages are in the repository.
pub(super) fn health_and_maintenance(view: &View<'_>, findings: &mut Findings) {
    for site in view.model.sites.values() {
        if site.health.status.is_empty() {
            findings.push(
                Finding::error(codes::EMPTY_LIST, "no status counts as healthy")
                    .at(site.whole())
                    .hint("leave `status` out for `[200]`"),
            );
        }
        for status in site
            .health
            .status
            .iter()
            .filter(|status| !(100..=599).contains(&status.value))
        {
            findings.push(
                Finding::error(codes::HEALTH, format!("{status} is no HTTP status"))
                    .at(site.place(status))
                    .hint("write one from 100 to 599"),
            );
        }
        match &site.maintenance {
            Some(Maintenance::Page(page))
                if view.snapshot.file(page).is_none() || !page.starts_with("errors/") =>
            {
                findings.push(
                    Finding::error(
                        codes::MAINTENANCE,
                        format!("there is no page `{page}` below errors/"),
                    )
                    .at(site.place(page))
                    .hint("pages stand in the repository: `page: errors/<name>.html`"),
                );
            }
            Some(Maintenance::Text(text)) if text.chars().any(char::is_control) => {
                findings.push(
                    Finding::error(
                        codes::MAINTENANCE,
                        "the maintenance text has control characters or line breaks",
                    )
                    .at(site.place(text))
                    .hint("write one sentence, or a `page`"),
                );
            }
            _ => {}
        }
    }
}

/// The names of sites lie in zones of this repository.
pub(super) fn zones_exist(view: &View<'_>, findings: &mut Findings) {
    for site in view.model.sites.values().filter(|site| site.dns.manage) {
        for host in site
            .hosts
            .iter()
            .filter(|host| derive::zone_of(view.model, host).is_none())
        {
            findings.push(
                Finding::warning(
                    codes::HOST_WITHOUT_ZONE,
                    format!("no zone of this repository holds {host}"),
                )
                .at(site.place(host))
                .hint("add the zone, or write `dns: { manage: false }` where its DNS is elsewhere"),
            );
        }
    }
}

/// Every edge node has an address on the network where sites are published.
pub(super) fn edge_is_published(view: &View<'_>, findings: &mut Findings) {
    let edge = &view.model.cluster.edge;
    if !view
        .model
        .cluster
        .networks
        .contains_key(&edge.network.value)
    {
        return;
    }
    for (name, node) in view
        .model
        .in_order()
        .filter(|(_, node)| node.has_role(edge.role.as_str()))
    {
        if !node.addresses.contains_key(&edge.network.value) {
            findings.push(
                Finding::error(
                    codes::EDGE_ADDRESS,
                    format!(
                        "the edge node `{name}` has no address in the network `{}`",
                        edge.network
                    ),
                )
                .at(node.whole())
                .related(
                    view.model.cluster.place(&edge.network),
                    "sites are published in this network",
                )
                .hint("give it an address there, or another role"),
            );
        }
    }
}
