//! The certificates that are to be ordered, as they follow from the sites and the policy.

use std::collections::BTreeMap;

use crate::ids::Digest;
use crate::model::acme::{Authority, KeyType, Ordered};
use crate::model::names::{CertName, HostName, Label};
use crate::model::reach::{Reach, Way, reach};
use crate::model::{Model, derive};

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
}

impl Wanted {
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
        let hosts = names.iter().filter_map(CertName::host);
        let ways = hosts.filter_map(|host| match reach(model, &zones, &host) {
            Reach::Ways(ways) => Some((host, ways)),
            Reach::Elsewhere | Reach::Nowhere => None,
        });
        Wanted {
            name: name.clone(),
            ways: ways.collect(),
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
