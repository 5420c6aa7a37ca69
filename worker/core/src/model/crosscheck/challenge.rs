//! What is to be proven through DNS can be: there is a zone to write to, and every name leads there.

use super::{View, unknown};
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};
use crate::model::challenge::{self, Alias};
use crate::model::derive::{self, RecordSet};
use crate::model::names::{CertName, DomainName, Label, is_under};
use crate::model::reach::closest;
use crate::model::{Certificate, Defined, RecordType, Zone, address_of};
use crate::yaml::At;

/// The worker has a zone of its own to write to, and can reach who serves it.
pub(super) fn zone(view: &View<'_>, findings: &mut Findings) {
    let (model, cluster) = (view.model, &view.model.cluster);
    let Some(dynamic) = cluster.acme.as_ref().and_then(|acme| acme.dns.as_ref()) else {
        return;
    };
    let place = || match &dynamic.zone {
        Some(zone) => cluster.place(zone),
        None => cluster.whole(),
    };
    let wrong =
        |message: String, at: Location| Finding::error(codes::CHALLENGE_ZONE, message).at(at);
    let name = model.dynamic_zone();
    let found = name
        .as_ref()
        .and_then(|name| Some((name, model.zones.get(name)?)));
    let Some((name, zone)) = found else {
        let shown = name.map_or_else(String::new, |name| format!(" {name}"));
        let message = format!("the zone{shown} for challenges lies in no zone of this repository");
        findings.push(
            wrong(message, place()).hint(
                "name one below a zone of `zones/` in `acme.dns.zone`, or write a file for it",
            ),
        );
        return;
    };
    if let Some(record) = zone.records.first() {
        let message = format!("{name} is the zone for challenges and has records of its own");
        let finding = wrong(message, zone.place(&record.name));
        findings
            .push(finding.hint("move them to another zone: the worker alone writes to this one"));
    }
    let hosts = model
        .sites
        .values()
        .flat_map(|site| site.hosts.iter().map(move |host| (site, host)));
    for (site, host) in hosts.filter(|(_, host)| host.is_in(name)) {
        let message = format!("{host} lies in {name}, the zone for challenges");
        let finding = wrong(message, site.place(host));
        findings.push(
            finding.hint("give the site another name, or choose another zone in `acme.dns.zone`"),
        );
    }
    if let Some(network) = &dynamic.network {
        asked_in(view, name, zone, network, findings);
    }
}

/// All servers of the zone have an address in the network in which the worker asks them.
fn asked_in(
    view: &View<'_>,
    name: &DomainName,
    zone: &Defined<Zone>,
    network: &At<Label>,
    findings: &mut Findings,
) {
    let (model, cluster) = (view.model, &view.model.cluster);
    if !cluster.networks.contains_key(&network.value) {
        let known = cluster.networks.keys().map(|name| name.as_str());
        let finding = unknown(codes::UNKNOWN_NETWORK, "network", network.as_str(), known);
        findings.push(finding.at(cluster.place(network)));
        return;
    }
    let servers = [
        model.nodes_of(&zone.primary),
        model.nodes_of(&zone.secondaries),
    ];
    for server in servers.into_iter().flatten() {
        let node = model.nodes.get(server);
        if node.is_some_and(|node| address_of(node, &network.value).is_none()) {
            let message = format!(
                "the worker cannot ask {server} about {name}: it has no address in `{network}`"
            );
            let finding = Finding::error(codes::CHALLENGE_ZONE, message).at(cluster.place(network));
            findings.push(
                finding.hint("choose a network in which all servers of the zone have addresses"),
            );
        }
    }
}

/// Every name to be proven through DNS leads to the zone for challenges, as far as the repository's zones tell.
pub(super) fn names(view: &View<'_>, findings: &mut Findings) {
    let model = view.model;
    let Some(zone) = model.dynamic_zone() else {
        return;
    };
    if !model.zones.contains_key(&zone) {
        return;
    }
    let zones = derive::zones(model);
    for certificate in model.certificates.values().filter(|own| model.by_dns(own)) {
        for name in &certificate.names {
            let base = name.base();
            let place = || named_at(view, certificate, name);
            let unprovable = |why: String| {
                let message = format!("no authority can be shown that {name} is ours: {why}");
                Finding::error(codes::UNPROVABLE, message).at(place())
            };
            let Some(alias) = model.challenge_alias(name) else {
                let why = "with what is put before and behind it, it has more than 253 characters";
                findings.push(
                    unprovable(why.to_owned()).hint("choose a shorter zone in `acme.dns.zone`"),
                );
                continue;
            };
            if is_under(base.as_str(), zone.as_str()) {
                let why = format!("it lies in {zone}, the zone for challenges");
                findings.push(unprovable(why).hint("name it otherwise"));
                continue;
            }
            let Some((own, _)) = derive::zone_of(model, &base) else {
                continue;
            };
            let sets = zones.get(own).map_or(&[][..], Vec::as_slice);
            let owner = derive::relative(alias.owner.as_str(), own);
            if let Some(other) = elsewhere(sets, &owner, &alias) {
                let why = format!("{} is a {} record", alias.owner, other.kind);
                let finding = unprovable(why).related(other.from.clone(), "the record stands here");
                findings.push(finding.hint(format!(
                    "remove it: the CNAME to {}. is made where nothing else stands",
                    alias.target
                )));
            }
            if let Some(hidden) = hides(sets, &derive::relative(base.as_str(), own)) {
                let why = format!(
                    "its addresses come from `{hidden}`, which the record for its challenge would hide"
                );
                findings.push(
                    unprovable(why).hint(format!("give {base} a record of its own in {own}")),
                );
            }
        }
    }
}

/// What stands where the alias should, and does not lead where it would.
fn elsewhere<'a>(sets: &'a [RecordSet], owner: &str, alias: &Alias) -> Option<&'a RecordSet> {
    let target = format!("{}.", alias.target);
    let leads = |set: &RecordSet| match set.kind {
        RecordType::Cname => set.values.contains(&target),
        // Other servers answer.
        RecordType::Ns => true,
        _ => false,
    };
    sets.iter().find(|set| set.name == owner && !leads(set))
}

/// The wildcard that answers for a name as long as nothing stands below the name (RFC 4592).
fn hides(sets: &[RecordSet], owner: &str) -> Option<String> {
    let others: Vec<RecordSet> = sets
        .iter()
        .filter(|set| !challenge::is_alias(set))
        .cloned()
        .collect();
    let found = closest(&others, owner)?;
    (found != owner && found.starts_with('*')).then_some(found)
}

fn named_at(view: &View<'_>, certificate: &Defined<Certificate>, name: &At<CertName>) -> Location {
    let host = name.host();
    let at = view.model.sites.values().find_map(|site| {
        let own = site
            .hosts
            .iter()
            .find(|own| Some(&own.value) == host.as_ref())?;
        Some(site.place(own))
    });
    at.unwrap_or_else(|| certificate.place(name))
}
