//! Certificates that the worker does not have any more and the nodes still hold: after its disk was lost, or where a
//! certificate by file is ordered from now on. They are taken back, so that no host loses TLS and none is ordered
//! without need. A host that no node serves over TLS yet gets none of them, though another site's might cover it: what
//! serves it is to be its own. What a node gives is believed no more than any PEM file: chain and key must fit, the names must be
//! covered, and it must be in force. Whether clients trust it, the roll's gate asks.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use windlass_core::acme::{Wanted, wanted};
use windlass_core::ids::NodePath;
use windlass_core::materials::SecretText;
use windlass_core::model::names::{CertName, HostName, Label};
use windlass_core::observed::{NodeState, Observed, Seen};
use windlass_core::release::ReleaseMeta;

use super::prepare::Rendered;
use crate::acme::{Leaf, Shelf};
use crate::materials;
use crate::ports::NodeWriter;

/// What was found, and how well it fits: exactly the names that are wanted, then the later one.
struct Found {
    leaf: Leaf,
    exact: bool,
    pem: SecretText,
}

/// Puts what the nodes hold of pending certificates onto the shelf of those that are ordered; whether there was any.
pub(super) async fn take_back<N: NodeWriter>(
    nodes: &N,
    observed: &Observed,
    rendered: &Rendered,
    shelf: Option<&Shelf>,
) -> bool {
    let pending = &rendered.bundle.pending;
    let served = observed.states().flat_map(NodeState::over_tls);
    let losing: BTreeSet<HostName> = served
        .filter(|host| pending.contains(*host))
        .filter_map(|host| host.parse().ok())
        .collect();
    let Some(shelf) = shelf.filter(|_| !losing.is_empty()) else {
        return false;
    };
    let mut missing = wanted(&rendered.model);
    let loses = |name: &CertName| losing.iter().any(|host| name.covers(host));
    missing.retain(|own| own.names.iter().any(loses));
    let best = held(nodes, observed, &missing).await;
    let mut taken = false;
    for (name, found) in best {
        match shelf.put_whole(name, &found.pem) {
            Ok(_) => {
                let serial = &found.leaf.serial;
                tracing::info!(certificate = %name, serial, "taken back from the nodes");
                taken = true;
            }
            Err(why) => tracing::error!(certificate = %name, why, "cannot be taken back"),
        }
    }
    taken
}

/// The best that the nodes hold of each.
async fn held<'w, N: NodeWriter>(
    nodes: &N,
    observed: &Observed,
    missing: &'w [Wanted],
) -> BTreeMap<&'w Label, Found> {
    let mut best: BTreeMap<&Label, Found> = BTreeMap::new();
    for (node, seen) in &observed.nodes {
        let Seen::State(state) = seen else { continue };
        let paths = state.current.as_ref().map(certificates).unwrap_or_default();
        if paths.is_empty() {
            continue;
        }
        let held = match nodes.read_secrets(node, &paths).await {
            Ok(held) => held,
            Err(error) => {
                tracing::warn!(%node, %error, "certificates could not be taken back");
                continue;
            }
        };
        for pem in held
            .into_values()
            .filter_map(|bytes| String::from_utf8(bytes).ok())
        {
            for own in missing {
                let Some(found) = fitting(&pem, own, Timestamp::now()) else {
                    continue;
                };
                let rank = |found: &Found| (found.exact, found.leaf.lifetime.from);
                if best
                    .get(&own.name)
                    .is_none_or(|known| rank(known) < rank(&found))
                {
                    best.insert(&own.name, found);
                }
            }
        }
    }
    best
}

/// Where a release may hold chain and key in one file.
fn certificates(release: &ReleaseMeta) -> Vec<NodePath> {
    let secret = release.files.iter().filter(|(_, meta)| meta.secret);
    let paths = secret.map(|(path, _)| path.clone());
    paths
        .filter(|path| path.to_string().ends_with(".pem"))
        .collect()
}

fn fitting(pem: &str, wanted: &Wanted, now: Timestamp) -> Option<Found> {
    materials::usable(pem).ok()?;
    let leaf = Leaf::read(pem).ok()?;
    let in_force = leaf.lifetime.from <= now && now < leaf.lifetime.until;
    let covers = |name: &CertName| {
        leaf.names.iter().any(|served| {
            served == name.as_str()
                || served
                    .parse::<CertName>()
                    .is_ok_and(|served| name.host().is_some_and(|host| served.covers(&host)))
        })
    };
    (in_force && wanted.names.iter().all(covers)).then(|| Found {
        exact: leaf.is_for(&wanted.names),
        leaf,
        pem: SecretText::new(pem),
    })
}
