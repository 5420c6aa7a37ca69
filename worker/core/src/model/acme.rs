//! The part of `cluster.yaml` that says how certificates are ordered by ACME (RFC 8555), and what follows from it:
//! a certificate for each site, or each zone, that names none. What follows stands among the other certificates
//! of the model, so that no later stage asks where one came from.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::challenge::{Challenge, Dynamic};
use super::names::{CertName, HostName, Label};
use super::{Certificate, Defined, Model, Site, derive};
use crate::yaml::At;

/// How certificates are ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// Certificate authorities. The first is asked; the next one only when those before it fail for long.
    pub authorities: Vec<At<Authority>>,
    /// Mail addresses that the authorities may write to.
    #[serde(default)]
    pub contact: Vec<At<String>>,
    /// Which sites share a certificate.
    #[serde(default)]
    pub group: Group,
    #[serde(default)]
    pub key: KeyType,
    /// The authority's word for a kind of certificate, such as `shortlived`; absent: its usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Label>,
    /// A certificate that is in force for fewer days than this is told (WL328); absent: when half of the time in which
    /// it should have been renewed has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_days: Option<u32>,
    /// How names are proven. Wildcards are proven through DNS in any case.
    #[serde(default)]
    pub challenge: Challenge,
    /// Proving through DNS: `{}` sets it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dynamic>,
}

/// A certificate authority. Its terms of service are agreed to by writing it here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    pub name: Label,
    /// URL of its ACME directory.
    pub directory: At<String>,
    /// URL of a directory for rehearsals: a certificate's first order is placed there before it is placed for real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<At<String>>,
    /// PEM file of this repository with the roots that the directory's own certificate comes from; absent: the
    /// machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eab: Option<Eab>,
}

/// External account binding: proof of an account that one has with the authority already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Eab {
    pub key_id: String,
    /// Name of the secret that holds the key, in base64url as authorities give it.
    pub secret: String,
}

/// Which sites share a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// None: each site has its own, named like the site.
    #[default]
    Site,
    /// Those whose first host lies in the same zone; named like the zone, with `-` for each dot.
    Zone,
    /// Like `zone`, with `*.` for what lies directly below it: a further site needs no further certificate.
    Wildcard,
}

/// The kind of a certificate's private key.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum KeyType {
    #[default]
    EcdsaP256,
    EcdsaP384,
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

/// What one certificate has otherwise than the cluster's `acme` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ordered {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// Names of authorities, in the order in which they are asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<At<Label>>,
}

impl Model {
    /// The certificate that a site is served with.
    pub fn certificate_of(&self, site: &Site) -> Option<(&Label, &Defined<Certificate>)> {
        let name = site.certificate()?;
        self.certificates.get_key_value(&name.value)
    }
}

/// A name that a file of `certificates/` took before: the site, and that file.
pub(super) type Taken = (Label, Arc<str>);

/// Gives every site that wants TLS and names no certificate the one that follows from the policy.
pub(super) fn derive_certificates(model: &mut Model) -> Vec<Taken> {
    let Some(acme) = &model.cluster.acme else {
        return Vec::new();
    };
    let group = acme.group;
    let mut taken = Vec::new();
    let mut derived: BTreeMap<Label, Defined<Certificate>> = BTreeMap::new();
    let mut named: Vec<(Label, Label)> = Vec::new();
    for (name, site) in &model.sites {
        let Some(tls) = &site.tls else { continue };
        if tls.certificate.is_some() {
            continue;
        }
        let own = certificate_name(model, group, name, site);
        if let Some(other) = model.certificates.get(&own) {
            taken.push((name.clone(), Arc::clone(&other.file)));
            continue;
        }
        let hosts = site.hosts.iter();
        let names: Vec<CertName> = hosts
            .flat_map(|host| names_for(model, group, host))
            .collect();
        let certificate = derived.entry(own.clone()).or_insert_with(|| Defined {
            file: Arc::clone(&site.file),
            value: Arc::new(Certificate {
                names: Vec::new(),
                acme: Some(Ordered::default()),
                secret: None,
            }),
        });
        let value = Arc::make_mut(&mut certificate.value);
        for name in names {
            if !value.names.iter().any(|known| known.value == name) {
                value.names.push(At::nowhere(name));
            }
        }
        named.push((name.clone(), own));
    }
    model.certificates.extend(derived);
    for (site, certificate) in named {
        if let Some(site) = model.sites.get_mut(&site)
            && let Some(tls) = &mut Arc::make_mut(&mut site.value).tls
        {
            tls.certificate = Some(At::nowhere(certificate));
        }
    }
    taken
}

fn certificate_name(model: &Model, group: Group, name: &Label, site: &Site) -> Label {
    let zone = match group {
        Group::Site => None,
        Group::Zone | Group::Wildcard => site
            .hosts
            .first()
            .and_then(|host| derive::zone_of(model, host)),
    };
    // A zone whose name is too long or odd for a file has a certificate for each site.
    let of_zone = zone.and_then(|(zone, _)| zone.as_str().replace('.', "-").parse().ok());
    of_zone.unwrap_or_else(|| name.clone())
}

/// The names that a site's certificate has for one of its hosts.
fn names_for(model: &Model, group: Group, host: &HostName) -> Vec<CertName> {
    let own = CertName::from(host);
    let zone = derive::zone_of(model, host).filter(|_| group == Group::Wildcard);
    let Some((zone, _)) = zone else {
        return vec![own];
    };
    let above = match host.as_str().split_once('.') {
        Some((_, above)) if host.as_str() != zone.as_str() => above,
        _ => zone.as_str(),
    };
    let apex = format!("{zone}").parse::<CertName>();
    let wildcard = format!("*.{above}").parse::<CertName>();
    match wildcard {
        Ok(wildcard) => apex.into_iter().chain([wildcard]).collect(),
        Err(_) => vec![own],
    }
}
