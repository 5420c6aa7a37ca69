//! The full record set of every zone: its own records and those that follow from sites and name servers, each
//! with the place that it comes from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::definitions::Site;
use super::names::{DomainName, HostName};
use super::rdata;
use super::scalars::Seconds;
use super::zone::{RecordType, Zone};
use super::{Defined, Model, address_of, challenge};
use crate::finding::Location;

/// All records of one owner and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Relative to the zone; `@` is the zone itself.
    pub name: String,
    pub kind: RecordType,
    pub ttl: Seconds,
    /// As zone files write them, names absolute, texts quoted.
    pub values: Vec<String>,
    /// Where it is defined first.
    pub from: Location,
}

pub(super) type Sets = BTreeMap<(String, RecordType), RecordSet>;

/// Every zone with its record sets, by owner and type; the apex comes first.
pub fn zones(model: &Model) -> BTreeMap<&DomainName, Vec<RecordSet>> {
    let mut zones: BTreeMap<&DomainName, Sets> = model
        .zones
        .iter()
        .map(|(name, zone)| (name, own_records(model, name, zone)))
        .collect();
    for site in model.sites.values().filter(|site| site.dns.manage) {
        publish(model, site, &mut zones);
    }
    challenge::publish(model, &mut zones);
    let in_order = |(name, sets): (_, Sets)| (name, sets.into_values().collect());
    zones.into_iter().map(in_order).collect()
}

/// The zone that holds a name: the longest that it ends in.
pub fn zone_of<'a>(
    model: &'a Model,
    host: &HostName,
) -> Option<(&'a DomainName, &'a Defined<Zone>)> {
    zone_above(model, host.as_str())
}

/// The same for any name.
pub(super) fn zone_above<'a>(
    model: &'a Model,
    name: &str,
) -> Option<(&'a DomainName, &'a Defined<Zone>)> {
    let mut rest = name;
    loop {
        if let Some(found) = model.zones.get_key_value(rest) {
            return Some(found);
        }
        rest = rest.split_once('.')?.1;
    }
}

/// A name relative to its zone, `@` for the zone itself.
pub(crate) fn relative(name: &str, zone: &DomainName) -> String {
    match name.strip_suffix(zone.as_str()) {
        Some("") => "@".to_owned(),
        Some(rest) => rest.trim_end_matches('.').to_owned(),
        None => format!("{name}."),
    }
}

fn own_records(model: &Model, name: &DomainName, zone: &Defined<Zone>) -> Sets {
    let mut sets = Sets::new();
    for nameserver in &zone.nameservers {
        let value = format!("{}.", nameserver.value);
        add(
            &mut sets,
            "@",
            RecordType::Ns,
            zone.ttl.value,
            value,
            &zone.place(nameserver),
        );
    }
    for record in &zone.records {
        let kind = record.kind.value;
        let Ok(owner) = rdata::owner(&record.name, kind, name) else {
            continue;
        };
        let owner = relative(&owner, name);
        let ttl = record.ttl.unwrap_or(zone.ttl).value;
        for value in record.values() {
            if let Ok(rdata) = rdata::rdata(kind, value, name) {
                add(
                    &mut sets,
                    &owner,
                    kind,
                    ttl,
                    rdata.text,
                    &zone.place(&record.name),
                );
            }
        }
    }
    for nameserver in zone.nameservers.iter().filter(|host| host.is_in(name)) {
        let owner = relative(nameserver.as_str(), name);
        if is_addressed(&sets, &owner) {
            continue;
        }
        if let Some(node) = model.nodes.get(owner.as_str()) {
            let place = zone.place(nameserver);
            for address in published(model, node) {
                add_address(&mut sets, &owner, zone.ttl.value, address, &place);
            }
        }
    }
    sets
}

fn publish(model: &Model, site: &Defined<Site>, zones: &mut BTreeMap<&DomainName, Sets>) {
    for host in &site.hosts {
        let Some((name, zone)) = zone_of(model, host) else {
            continue;
        };
        let Some(sets) = zones.get_mut(name) else {
            continue;
        };
        let owner = relative(host.as_str(), name);
        let is_delegation = |name: &str| sets.contains_key(&(name.to_owned(), RecordType::Ns));
        if is_addressed(sets, &owner) || is_delegated(&owner, is_delegation) {
            continue;
        }
        let ttl = site.dns.ttl.unwrap_or(zone.ttl).value;
        for (_, node) in model
            .in_order()
            .filter(|(_, node)| node.has_role(model.cluster.edge.role.as_str()))
        {
            for address in published(model, node) {
                add_address(sets, &owner, ttl, address, &site.place(host));
            }
        }
    }
}

/// A node's addresses on the networks where the cluster publishes its sites.
fn published<'a>(
    model: &'a Model,
    node: &'a Defined<super::Node>,
) -> impl Iterator<Item = IpAddr> + 'a {
    let edge = &model.cluster.edge;
    [Some(&edge.network), edge.network6.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|network| address_of(node, network))
}

fn is_addressed(sets: &Sets, owner: &str) -> bool {
    [RecordType::A, RecordType::Aaaa, RecordType::Cname]
        .into_iter()
        .any(|kind| sets.contains_key(&(owner.to_owned(), kind)))
}

/// Whether another zone's servers answer for the name.
pub(super) fn is_delegated(owner: &str, is_delegation: impl Fn(&str) -> bool) -> bool {
    let mut rest = Some(owner);
    while let Some(name) = rest {
        if name != "@" && is_delegation(name) {
            return true;
        }
        rest = name.split_once('.').map(|(_, parent)| parent);
    }
    false
}

fn add_address(sets: &mut Sets, owner: &str, ttl: Seconds, address: IpAddr, from: &Location) {
    let kind = match address {
        IpAddr::V4(_) => RecordType::A,
        IpAddr::V6(_) => RecordType::Aaaa,
    };
    add(sets, owner, kind, ttl, address.to_string(), from);
}

pub(super) fn add(
    sets: &mut Sets,
    owner: &str,
    kind: RecordType,
    ttl: Seconds,
    value: String,
    from: &Location,
) {
    let set = sets
        .entry((owner.to_owned(), kind))
        .or_insert_with(|| RecordSet {
            name: owner.to_owned(),
            kind,
            ttl,
            values: Vec::new(),
            from: from.clone(),
        });
    if !set.values.contains(&value) {
        set.values.push(value);
    }
}
