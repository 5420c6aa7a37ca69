//! What the nodes really serve of a cluster's certificates, judged: which node is behind, and when the days that are
//! left are a reason to tell somebody. What is on a node's disk does not matter here, only what a client sees.

use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::due::Lifetime;
use super::failure::{Failed, Failure};
use crate::codes::checks as codes;
use crate::finding::{Finding, Findings};
use crate::ids::NodeName;
use crate::model::names::Label;
use crate::model::{Model, Placement, address_of};

/// However long a certificate lives, a person who has to renew it by hand needs no earlier word.
const EARLIEST: SignedDuration = SignedDuration::from_hours(30 * 24);

const HTTPS: u16 = 443;

/// A node that has to serve a certificate, and how to ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub certificate: Label,
    pub node: NodeName,
    pub connect: SocketAddr,
    /// A host of a site that is served with it.
    pub host: String,
}

/// Every edge node for every certificate that a site is served with.
pub fn places(model: &Model) -> Vec<Place> {
    let edge = &model.cluster.edge;
    let edges = Placement::Role(edge.role.clone());
    let nodes = model.nodes_of(&edges);
    let mut places: Vec<Place> = Vec::new();
    for site in model.sites.values() {
        let (Some(certificate), Some(host)) = (site.certificate(), site.hosts.first()) else {
            continue;
        };
        for name in &nodes {
            let node = model.nodes.get(*name);
            let address = node.and_then(|node| address_of(node, &edge.network));
            let known = places
                .iter()
                .any(|place| place.certificate == certificate.value && place.node == **name);
            if let (Some(address), false) = (address, known) {
                places.push(Place {
                    certificate: certificate.value.clone(),
                    node: (*name).clone(),
                    connect: SocketAddr::new(address, HTTPS),
                    host: host.to_string(),
                });
            }
        }
    }
    places
}

/// The certificate that was seen, and what a client would have against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    pub serial: String,
    pub lifetime: Lifetime,
    pub problem: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stand {
    /// It serves the certificate that is in use.
    Current,
    /// It serves another one.
    Behind,
    /// It serves none.
    Silent,
}

/// What one node serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Served {
    pub node: NodeName,
    pub stand: Stand,
    /// The address that was asked, and for which host.
    #[schemars(with = "String")]
    pub connect: SocketAddr,
    pub host: String,
    /// In hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// Why nothing was served, or what a client would have against what was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The certificate that was issued last, of those that were seen.
pub fn newest(seen: &[(Place, Result<Sight, String>)]) -> Option<&Sight> {
    let sights = seen.iter().filter_map(|(_, sight)| sight.as_ref().ok());
    sights.max_by_key(|sight| sight.lifetime.from)
}

/// A lifetime that somebody must look at, and the node that serves it where that is not the one in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    pub lifetime: Lifetime,
    pub node: Option<NodeName>,
}

/// Of the certificate in use and those that nodes serve, the one that ends first: one that cannot be rolled out is of no
/// use to clients, however fresh it is.
pub fn ends_first(
    in_use: Option<Lifetime>,
    seen: &[(Place, Result<Sight, String>)],
    now: Timestamp,
) -> Option<Ends> {
    let own = in_use.or_else(|| newest(seen).map(|sight| sight.lifetime));
    let own = own.map(|lifetime| Ends {
        lifetime,
        node: None,
    });
    // One that clients refuse for another reason may be another host's.
    let counts = |sight: &&Sight| sight.problem.is_none() || sight.lifetime.until <= now;
    let served = seen.iter().filter_map(|(place, sight)| {
        let sight = sight.as_ref().ok().filter(counts)?;
        Some(Ends {
            lifetime: sight.lifetime,
            node: Some(place.node.clone()),
        })
    });
    // The first of equals: the one in use.
    own.into_iter()
        .chain(served)
        .min_by_key(|ends| ends.lifetime.until)
}

/// Judges what all nodes of one certificate served. `current` is the serial in use; where nobody knows it, the one
/// that was issued last.
pub fn judge(
    current: Option<&str>,
    seen: Vec<(Place, Result<Sight, String>)>,
    now: Timestamp,
) -> Vec<Served> {
    let newest = || newest(&seen).map(|sight| sight.serial.clone());
    let current = current.map(str::to_owned).or_else(newest);
    let served = seen.into_iter().map(|(place, sight)| {
        let (stand, serial, until, problem) = match sight {
            Ok(sight) => {
                let stand = if Some(&sight.serial) == current.as_ref() {
                    Stand::Current
                } else {
                    Stand::Behind
                };
                (
                    stand,
                    Some(sight.serial),
                    Some(sight.lifetime.until),
                    sight.problem,
                )
            }
            Err(why) => (Stand::Silent, None, None, Some(why)),
        };
        Served {
            node: place.node,
            stand,
            connect: place.connect,
            host: place.host,
            serial,
            days_left: until.map(|until| days_left(until, now)),
            until,
            problem,
        }
    });
    served.collect()
}

/// Whole days; negative once it has expired.
pub fn days_left(until: Timestamp, now: Timestamp) -> i64 {
    until.duration_since(now).as_secs().div_euclid(24 * 60 * 60)
}

/// From when on a certificate's age is a reason to tell somebody. Without `days`: when half of the time that was
/// there to renew it in has passed to no avail (of 90 days at 15, of 45 days at 7, of 6 days at 1½), at most 30 days.
pub fn alert_from(lifetime: Lifetime, days: Option<u32>) -> Timestamp {
    let length = lifetime.length();
    let short = length < SignedDuration::from_hours(10 * 24);
    let left = match days {
        Some(days) => SignedDuration::from_hours(i64::from(days) * 24),
        None if short => length / 4,
        None => (length / 6).min(EARLIEST),
    };
    lifetime.until.checked_sub(left).unwrap_or(lifetime.from)
}

/// What is worth a person's look at one certificate: its age, and nodes that serve another one or one that clients
/// refuse. `ends` is the lifetime that ends first.
pub fn findings(
    certificate: &Label,
    ends: Option<Ends>,
    served: &[Served],
    days: Option<u32>,
    now: Timestamp,
) -> Findings {
    let mut findings = Findings::default();
    let show = format!("`windlass cert show {certificate}` says what keeps it from being renewed");
    if let Some(Ends { lifetime, node }) =
        ends.filter(|ends| now >= alert_from(ends.lifetime, days))
    {
        let left = days_left(lifetime.until, now);
        let of = node.map_or_else(String::new, |node| format!(" that {node} serves"));
        let message = if lifetime.until <= now {
            format!("the certificate {certificate}{of} has expired")
        } else {
            format!("the certificate {certificate}{of} is in force for {left} more days only")
        };
        findings.push(Finding::warning(codes::CERTIFICATE_ALERT, message).hint(show.as_str()));
    }
    // A node that is away is told elsewhere; a certificate that fits is told above, once for all nodes.
    for own in served.iter().filter(|own| own.stand == Stand::Behind) {
        let message = format!(
            "{} serves another certificate for {} than the one in use: {}",
            own.node,
            own.host,
            own.serial.as_deref().unwrap_or("none")
        );
        let hint =
            "it catches up with the next roll that reaches it; `windlass status` says how it is";
        let finding = Finding::warning(codes::CERTIFICATE_BEHIND, message).hint(hint);
        findings.push(finding.on(&own.node));
    }
    findings
}

/// That the last try to order a certificate failed.
pub fn unordered(certificate: &Label, failed: &Failed) -> Finding {
    let message = format!("{certificate} cannot be ordered: {}", failed.why);
    let hint = match failed.failure {
        Failure::PathBroken => {
            "over HTTP: say in cluster.yaml where the worker answers authorities, as the nodes reach it: components: { haproxy: { vars: { acme_server: \"ADDRESS:PORT\" } } }; through DNS: docs/certificates.md lists what mends it".to_owned()
        }
        _ => format!("`windlass cert show {certificate}` says when it is tried again"),
    };
    Finding::warning(codes::CERTIFICATE_ORDER, message).hint(hint)
}
