//! Where requests for a name arrive, as far as the repository's own zones tell: what must answer a challenge over
//! HTTP, and what is asked first whether it would.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Model;
use super::derive::{self, RecordSet, zone_of};
use super::names::{DomainName, HostName};
use super::zone::RecordType;
use crate::ids::NodeName;

/// One address that a name resolves to, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub node: Option<NodeName>,
    pub address: IpAddr,
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// To these addresses.
    Ways(Vec<Way>),
    /// Other name servers answer for it, or for the name that it is an alias of.
    Elsewhere,
    /// Our zones hold no address for it.
    Nowhere,
}

/// As many aliases as resolvers follow.
const MAX_ALIASES: usize = 8;

pub type Zones<'a> = BTreeMap<&'a DomainName, Vec<RecordSet>>;

/// Follows a name through the zones' records (`derive::zones`).
pub fn reach(model: &Model, zones: &Zones<'_>, host: &HostName) -> Reach {
    reach_through(model, zones, host).0
}

/// With it, the zones of the repository that it went through.
pub fn reach_through(
    model: &Model,
    zones: &Zones<'_>,
    host: &HostName,
) -> (Reach, BTreeSet<DomainName>) {
    let mut through = BTreeSet::new();
    let reached = follow(model, zones, host, &mut through);
    (reached, through)
}

fn follow(
    model: &Model,
    zones: &Zones<'_>,
    host: &HostName,
    through: &mut BTreeSet<DomainName>,
) -> Reach {
    let mut name = host.clone();
    for _ in 0..MAX_ALIASES {
        let Some((zone, _)) = zone_of(model, &name) else {
            return Reach::Elsewhere;
        };
        through.insert(zone.clone());
        let sets = zones.get(zone).map_or(&[][..], Vec::as_slice);
        let owner = derive::relative(name.as_str(), zone);
        let is_delegation = |name: &str| {
            sets.iter()
                .any(|set| set.kind == RecordType::Ns && set.name == name)
        };
        if derive::is_delegated(&owner, is_delegation) {
            return Reach::Elsewhere;
        }
        let Some(owner) = closest(sets, &owner) else {
            return Reach::Nowhere;
        };
        let of = |kind| {
            sets.iter()
                .find(|set| set.name == owner && set.kind == kind)
        };
        if let Some(alias) = of(RecordType::Cname) {
            let target = alias
                .values
                .first()
                .map(|value| value.trim_end_matches('.'));
            match target.and_then(|target| target.parse().ok()) {
                Some(target) => name = target,
                None => return Reach::Nowhere,
            }
            continue;
        }
        let ways = [RecordType::A, RecordType::Aaaa].into_iter().filter_map(of);
        let ways = ways
            .flat_map(|set| &set.values)
            .filter_map(|value| way(model, value));
        let ways: Vec<Way> = ways.collect();
        return if ways.is_empty() {
            Reach::Nowhere
        } else {
            Reach::Ways(ways)
        };
    }
    Reach::Nowhere
}

fn way(model: &Model, address: &str) -> Option<Way> {
    let address = address.parse().ok()?;
    let mut nodes = model.nodes.iter();
    let node = nodes.find(|(_, node)| node.addresses.values().any(|own| own.value == address));
    Some(Way {
        node: node.map(|(name, _)| name.clone()),
        address,
    })
}

/// The owner itself, or the wildcard that stands in for it (RFC 4592).
pub(super) fn closest(sets: &[RecordSet], owner: &str) -> Option<String> {
    let exists = |name: &str| sets.iter().any(|set| set.name == name);
    let below = |name: &str| {
        let suffix = format!(".{name}");
        sets.iter().any(|set| set.name.ends_with(&suffix))
    };
    if exists(owner) {
        return Some(owner.to_owned());
    }
    let mut rest = owner;
    loop {
        let (_, parent) = rest.split_once('.').unwrap_or((rest, ""));
        let wildcard = if parent.is_empty() {
            "*".to_owned()
        } else {
            format!("*.{parent}")
        };
        if exists(&wildcard) {
            return Some(wildcard);
        }
        // What exists, if only on the way to another name, hides wildcards above it.
        if parent.is_empty() || exists(parent) || below(parent) {
            return None;
        }
        rest = parent;
    }
}
