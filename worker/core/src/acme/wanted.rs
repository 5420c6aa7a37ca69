//! The certificates that are to be ordered, as they follow from the sites and the policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

use crate::ids::{Digest, NodeName};
use crate::model::acme::{Authority, KeyType, Ordered};
use crate::model::names::{CertName, DomainName, HostName, Label};
use crate::model::reach::{Reach, Way, reach_through};
use crate::model::zone::Zone;
use crate::model::{
    Certificate, Challenge, Model, Placement, address_of, derive, published_address,
};

const DNS_PORT: u16 = 53;

/// One certificate that the cluster wants ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub name: Label,
    pub names: Vec<CertName>,
    pub key: KeyType,
    pub profile: Option<Label>,
    /// In the order in which they are asked; never empty.
    pub authorities: Vec<Authority>,
    pub contact: Vec<String>,
    /// The addresses at which an authority will ask, by name. A name that is missing here must be looked up.
    pub ways: BTreeMap<HostName, Vec<Way>>,
    /// Of these names, the cluster's zones that lead there: the name's own, and those that its aliases stand in.
    pub through: BTreeMap<HostName, BTreeSet<DomainName>>,
    /// All zones of the cluster, each with the names of those who answer for it.
    pub zones: BTreeMap<DomainName, Vec<HostName>>,
    /// Where it is proven through DNS instead.
    pub dns: Option<Dns>,
}

/// Whom the worker asks, and tells, to prove names through DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Where records for challenges stand.
    pub zone: DomainName,
    pub primary: Server,
    /// Everybody who answers for the zone: each must have a record before an authority asks.
    pub secondaries: Vec<Server>,
    /// By name without `*.`.
    pub names: BTreeMap<HostName, Asked>,
}

/// Where an authority asks for one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `_acme-challenge.<name>`, which must be an alias of `target`.
    pub owner: DomainName,
    pub target: DomainName,
    /// The zone that it lies in, where that is one of the cluster's.
    pub zone: Option<DomainName>,
    /// Who answers for the owner; empty where that is no zone of the cluster.
    pub servers: Vec<Server>,
}

/// A name server of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub node: NodeName,
    pub socket: SocketAddr,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.node, self.socket.ip())
    }
}

impl Wanted {
    /// How the names are proven.
    pub fn challenge(&self) -> Challenge {
        match self.dns {
            Some(_) => Challenge::Dns,
            None => Challenge::Http,
        }
    }

    /// The cluster's own zones that this one lies in, the zone itself first, with those who answer for each.
    pub fn upwards(&self, zone: &DomainName) -> Vec<(&DomainName, &[HostName])> {
        let mut rest = zone.as_str();
        let mut found = Vec::new();
        loop {
            if let Some((own, servers)) = self.zones.get_key_value(rest) {
                found.push((own, servers.as_slice()));
            }
            match rest.split_once('.') {
                Some((_, above)) => rest = above,
                None => return found,
            }
        }
    }

    /// What the certificate is to be: where this changes, it is ordered anew.
    pub fn terms(&self) -> Digest {
        let mut names: Vec<&str> = self.names.iter().map(CertName::as_str).collect();
        names.sort_unstable();
        let profile = self.profile.as_ref().map_or("", |profile| profile.as_str());
        let head = [key_word(self.key), profile];
        Digest::of_parts(head.into_iter().chain(names).map(str::as_bytes))
    }
}

/// The key's kind as definitions write it.
pub fn key_word(key: KeyType) -> &'static str {
    match key {
        KeyType::EcdsaP256 => "ecdsa-p256",
        KeyType::EcdsaP384 => "ecdsa-p384",
        KeyType::Rsa2048 => "rsa-2048",
        KeyType::Rsa4096 => "rsa-4096",
    }
}

/// All certificates to be ordered, by name.
pub fn wanted(model: &Model) -> Vec<Wanted> {
    let Some(acme) = &model.cluster.acme else {
        return Vec::new();
    };
    let zones = derive::zones(model);
    let all = model
        .certificates
        .iter()
        .filter_map(|(name, own)| Some((name, own, own.acme.as_ref()?)));
    all.map(|(name, certificate, ordered)| {
        let names: Vec<CertName> = certificate
            .names
            .iter()
            .map(|at| at.value.clone())
            .collect();
        let dns = dns(model, certificate);
        let hosts = names
            .iter()
            .filter(|_| dns.is_none())
            .filter_map(CertName::host);
        let (mut ways, mut through) = (BTreeMap::new(), BTreeMap::new());
        for host in hosts {
            if let (Reach::Ways(found), passed) = reach_through(model, &zones, &host) {
                ways.insert(host.clone(), found);
                through.insert(host, passed);
            }
        }
        Wanted {
            name: name.clone(),
            ways,
            through,
            zones: answering(model),
            dns,
            names,
            key: ordered.key.unwrap_or(acme.key),
            profile: ordered.profile.clone().or_else(|| acme.profile.clone()),
            authorities: authorities(ordered, acme.authorities.iter().map(|at| &at.value)),
            contact: acme.contact.iter().map(|at| at.value.clone()).collect(),
        }
    })
    .filter(|wanted| !wanted.authorities.is_empty())
    .collect()
}

fn answering(model: &Model) -> BTreeMap<DomainName, Vec<HostName>> {
    let servers = |zone: &Zone| zone.nameservers.iter().map(|at| at.value.clone()).collect();
    let all = model.zones.iter();
    all.map(|(name, zone)| (name.clone(), servers(zone)))
        .collect()
}

fn dns(model: &Model, certificate: &Certificate) -> Option<Dns> {
    if !model.by_dns(certificate) {
        return None;
    }
    let zone = model.dynamic_zone()?;
    let definition = model.zones.get(&zone)?;
    let names = certificate.names.iter().filter_map(|name| {
        let alias = model.challenge_alias(name)?;
        let own = derive::zone_of(model, &name.base());
        let zone = own.map(|(zone, _)| zone.clone());
        let servers = own.map_or_else(Vec::new, |(_, own)| servers(model, &own.secondaries));
        let asked = Asked {
            owner: alias.owner,
            target: alias.target,
            zone,
            servers,
        };
        Some((name.base(), asked))
    });
    Some(Dns {
        primary: servers(model, &definition.primary).into_iter().next()?,
        secondaries: servers(model, &definition.secondaries),
        names: names.collect(),
        zone,
    })
}

fn servers(model: &Model, placement: &Placement) -> Vec<Server> {
    let dns = model
        .cluster
        .acme
        .as_ref()
        .and_then(|acme| acme.dns.as_ref());
    let network = dns.and_then(|dns| dns.network.as_ref());
    let address = |name: &NodeName| match (network, model.nodes.get(name)) {
        (Some(network), Some(node)) => address_of(node, network),
        _ => published_address(model, name),
    };
    let nodes = model.nodes_of(placement).into_iter();
    nodes
        .filter_map(|node| {
            Some(Server {
                socket: SocketAddr::new(address(node)?, DNS_PORT),
                node: node.clone(),
            })
        })
        .collect()
}

fn authorities<'a>(
    ordered: &Ordered,
    all: impl Iterator<Item = &'a Authority> + Clone,
) -> Vec<Authority> {
    if ordered.authorities.is_empty() {
        return all.cloned().collect();
    }
    let named = ordered.authorities.iter();
    let found = named.filter_map(|name| all.clone().find(|own| own.name == name.value));
    found.cloned().collect()
}
