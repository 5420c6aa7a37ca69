//! How names are proven through DNS (DNS-01). The record that an authority asks for changes with every order, and so it
//! stands in a zone of its own, which the worker alone writes to. What leads there follows from the certificates: an
//! alias `_acme-challenge.<name>` in each zone of the repository, and the delegation. Nobody writes a name twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::derive::{self, RecordSet, Sets};
use super::names::{CertName, DomainName, Label};
use super::scalars::Seconds;
use super::zone::{RecordType, Zone};
use super::{Certificate, Defined, Model};
use crate::yaml::At;

/// The secret that signs changes of the zone for challenges (TSIG, hmac-sha256), in base64 as `tsig-keygen` makes it.
pub const KEY_SECRET: &str = "acme_key";
/// What name servers call that key.
pub const KEY_NAME: &str = "acme";

/// Nothing in the zone is worth to be remembered for longer.
const TTL: u32 = 60;
const PREFIX: &str = "_acme-challenge";

/// How an authority is shown that a name is ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Challenge {
    /// It fetches a token over HTTP from each edge node (HTTP-01).
    #[default]
    Http,
    /// It asks the name servers for a record (DNS-01); the only way for wildcards.
    Dns,
}

/// Where records for authorities stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dynamic {
    /// A zone that the worker writes to and nothing else; absent: `acme` below the cluster's domain. Where no file of
    /// `zones/` describes it, it is served like the zone that it lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<At<DomainName>>,
    /// The network in which the worker asks the zones' servers; absent: where sites are published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Label>>,
}

/// Where an authority asks for a name, and where the answer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    pub owner: DomainName,
    pub target: DomainName,
}

impl Model {
    /// The zone that the worker writes challenges to.
    pub fn dynamic_zone(&self) -> Option<DomainName> {
        let dynamic = self.cluster.acme.as_ref()?.dns.as_ref()?;
        match &dynamic.zone {
            Some(zone) => Some(zone.value.clone()),
            None => format!("acme.{}", self.cluster.domain).parse().ok(),
        }
    }

    /// Whether nobody has a use for a secret that a component declares: the key of a zone for challenges that is not
    /// there.
    pub fn is_idle(&self, secret: &str) -> bool {
        secret == KEY_SECRET && self.dynamic_zone().is_none()
    }

    /// Whether a certificate that is ordered is proven through DNS: where that is wanted, and wherever it must be.
    pub fn by_dns(&self, certificate: &Certificate) -> bool {
        let (Some(acme), Some(ordered)) = (&self.cluster.acme, &certificate.acme) else {
            return false;
        };
        let wildcard = certificate.names.iter().any(|name| name.host().is_none());
        let wanted = ordered.challenge.unwrap_or(acme.challenge) == Challenge::Dns;
        acme.dns.is_some() && (wanted || wildcard)
    }

    /// Where a name's challenge is asked for; `None` where that would be no name any more.
    pub fn challenge_alias(&self, name: &CertName) -> Option<Alias> {
        let base = name.base();
        let zone = self.dynamic_zone()?;
        Some(Alias {
            owner: format!("{PREFIX}.{base}").parse().ok()?,
            target: format!("{base}.{zone}").parse().ok()?,
        })
    }
}

/// Adds the zone for challenges where no file describes it: served like the one that it lies in.
pub(super) fn derive_zone(model: &mut Model) {
    let Some(name) = model.dynamic_zone() else {
        return;
    };
    if model.zones.contains_key(&name) {
        return;
    }
    let Some((_, parent)) = parent(model, &name) else {
        return;
    };
    let short = || At::nowhere(Seconds::new(TTL));
    let zone = Defined {
        file: Arc::clone(&parent.file),
        value: Arc::new(Zone {
            ttl: short(),
            minimum: short(),
            records: Vec::new(),
            ..Zone::clone(parent)
        }),
    };
    model.zones.insert(name, zone);
}

/// The zone of the repository that another one lies in.
pub(super) fn parent<'a>(
    model: &'a Model,
    zone: &DomainName,
) -> Option<(&'a DomainName, &'a Defined<Zone>)> {
    let (_, above) = zone.as_str().split_once('.')?;
    derive::zone_above(model, above)
}

/// Records that lead authorities to the zone for challenges.
pub(super) fn publish(model: &Model, zones: &mut BTreeMap<&DomainName, Sets>) {
    delegate(model, zones);
    for certificate in model.certificates.values().filter(|own| model.by_dns(own)) {
        for name in &certificate.names {
            let Some(alias) = model.challenge_alias(name) else {
                continue;
            };
            let Some((zone, definition)) = derive::zone_above(model, name.base().as_str()) else {
                continue;
            };
            let Some(sets) = zones.get_mut(zone) else {
                continue;
            };
            let owner = derive::relative(alias.owner.as_str(), zone);
            let is_delegation = |name: &str| sets.contains_key(&(name.to_owned(), RecordType::Ns));
            let taken = sets.keys().any(|(own, _)| *own == owner);
            if taken || derive::is_delegated(&owner, is_delegation) {
                continue;
            }
            let (ttl, value) = (definition.ttl.value, format!("{}.", alias.target));
            let from = certificate.place(name);
            derive::add(sets, &owner, RecordType::Cname, ttl, value, &from);
        }
    }
}

fn delegate(model: &Model, zones: &mut BTreeMap<&DomainName, Sets>) {
    let Some(name) = model.dynamic_zone() else {
        return;
    };
    let (Some((above, definition)), Some(zone)) = (parent(model, &name), model.zones.get(&name))
    else {
        return;
    };
    let Some(sets) = zones.get_mut(above) else {
        return;
    };
    let owner = derive::relative(name.as_str(), above);
    if sets.contains_key(&(owner.clone(), RecordType::Ns)) {
        return;
    }
    for server in &zone.nameservers {
        let (ttl, value) = (definition.ttl.value, format!("{}.", server.value));
        derive::add(
            sets,
            &owner,
            RecordType::Ns,
            ttl,
            value,
            &zone.place(server),
        );
    }
}

/// Whether a record set leads an authority to a challenge.
pub(super) fn is_alias(set: &RecordSet) -> bool {
    let rest = set.name.strip_prefix(PREFIX);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
