//! Certificates that the worker does not have any more and the nodes still hold: after its disk was lost, or where a
//! certificate by file is ordered from now on. They are taken back, so that no host loses TLS and none is ordered
//! without need. A host that no node serves over TLS yet gets none of them, though another site's might cover it: what
//! serves it is to be its own. What a node gives is believed no more than any PEM file: chain and key must fit, each of
//! its hosts that is served over TLS must be covered, and it must be in force. Whether clients trust it, the roll's gate asks.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use windlass_core::acme::{Issued, wanted};
use windlass_core::ids::{Digest, NodeName, NodePath};
use windlass_core::materials::SecretText;
use windlass_core::model::names::{CertName, HostName, Label};
use windlass_core::observed::{NodeState, Observed, Seen};
use windlass_core::release::ReleaseMeta;

use super::deploy::Deploy;
use super::fleet::Fleet;
use super::prepare::Rendered;
use super::trouble::Trouble;
use super::turn::Handover;
use crate::acme::{Leaf, Shelf};
use crate::materials;
use crate::ports::NodeWriter;

/// A certificate that is looked for on the nodes.
struct Sought {
    name: Label,
    names: Vec<CertName>,
    /// Those of its hosts that it has to cover at least: what nodes serve over TLS. New ones can wait until it is ordered.
    served: Vec<CertName>,
}

/// What was found, and how well it fits: exactly the names that are wanted, then the later one.
struct Found {
    leaf: Leaf,
    exact: bool,
    pem: SecretText,
}

impl<F: Fleet> Deploy<F> {
    /// Whether there are other certificates now than those that were rendered.
    pub(super) async fn takes_certificates(
        &self,
        nodes: &F::Nodes,
        observed: &Observed,
        rendered: &Rendered,
    ) -> Result<bool, Trouble> {
        let Some(folder) = &self.materials.ordered else {
            return Ok(false);
        };
        let shelf = Shelf::at(folder).at_rest(self.materials.at_rest.clone());
        let newer = self.handover == Handover::EachTurn
            && self.take_newer(nodes, observed, rendered, &shelf).await?;
        Ok(newer | take_back(nodes, observed, rendered, &shelf).await)
    }

    /// Where several workers roll, another may have rolled a certificate that this one has not seen: the one issued last
    /// goes onto the shelf, so that no roll puts an older one in its place; whether there was any. What the nodes hold
    /// as we would give it is not read. Of what a node gives only that counts which a worker ordered, except where we
    /// have none and nobody knows any more what was ordered.
    async fn take_newer(
        &self,
        nodes: &F::Nodes,
        observed: &Observed,
        rendered: &Rendered,
        shelf: &Shelf,
    ) -> Result<bool, Trouble> {
        let other = |node: &NodeName, path: &NodePath, held: Digest| {
            let ours = rendered.bundle.releases.get(node);
            ours.and_then(|ours| ours.meta.files.get(path))
                .is_some_and(|ours| ours.digest != held)
        };
        let all: Vec<Sought> = wanted(&rendered.model)
            .into_iter()
            .map(|own| Sought {
                name: own.name,
                served: own.names.clone(),
                names: own.names,
            })
            .collect();
        let here = |name: &Label| shelf.leaf(name).ok().flatten();
        // One for other names is on its way out, and one of the same day may be what a person has just replaced.
        let is_newer = |name: &Label, found: &Found| {
            let from = here(name).map(|here| here.lifetime.from);
            found.exact && from.is_none_or(|from| from < found.leaf.lifetime.from)
        };
        let mut found = held(nodes, observed, &all, other).await;
        found.retain(|name, found| is_newer(name, found));
        if found.is_empty() {
            return Ok(false);
        }
        let serials = || -> Vec<_> {
            found
                .keys()
                .map(|name| here(name).map(|leaf| leaf.serial))
                .collect()
        };
        let before = serials();
        self.catch_up().await?;
        let mut taken = serials() != before;
        for (name, found) in found.iter().filter(|(name, found)| is_newer(name, found)) {
            taken |= self.take_known(name, found, shelf).await?;
        }
        Ok(taken)
    }

    /// Whoever orders a certificate gives it to all workers before it is rolled.
    async fn catch_up(&self) -> Result<(), Trouble> {
        match self.ledger.catch_up().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Trouble::Later(
                "the nodes hold a newer certificate, and another worker orders just now".to_owned(),
            )),
            Err(error) => Err(Trouble::Later(error.to_string())),
        }
    }

    async fn take_known(
        &self,
        name: &Label,
        found: &Found,
        shelf: &Shelf,
    ) -> Result<bool, Trouble> {
        let serial = &found.leaf.serial;
        let issued = self.ledger.issued(name).await?;
        // Whoever makes up a certificate can give it any serial: one from another time is not the one that was ordered.
        let ordered = |own: &Issued| own.serial == *serial && own.lifetime == found.leaf.lifetime;
        let is_lost = issued.is_empty() && shelf.leaf(name).ok().flatten().is_none();
        if !is_lost && !issued.iter().any(ordered) {
            tracing::error!(certificate = %name, serial, "a node holds a newer one that no worker ordered; it is not taken over");
            return Ok(false);
        }
        match shelf.put_newer(name, &found.pem) {
            Ok(taken) => {
                tracing::info!(certificate = %name, serial, "the nodes hold a newer one, which is taken over");
                Ok(taken)
            }
            Err(why) => {
                tracing::error!(certificate = %name, why, "cannot be taken over");
                Ok(false)
            }
        }
    }
}

/// Puts what the nodes hold of pending certificates onto the shelf of those that are ordered; whether there was any.
async fn take_back<N: NodeWriter>(
    nodes: &N,
    observed: &Observed,
    rendered: &Rendered,
    shelf: &Shelf,
) -> bool {
    let pending = &rendered.bundle.pending;
    let served = observed.states().flat_map(NodeState::over_tls);
    let served: BTreeSet<HostName> = served.filter_map(|host| host.parse().ok()).collect();
    let losing: Vec<&HostName> = served
        .iter()
        .filter(|host| pending.contains(host.as_str()))
        .collect();
    if losing.is_empty() {
        return false;
    }
    let loses = |name: &CertName| losing.iter().any(|host| name.covers(host));
    let is_there = |name: &Label| shelf.get(name).is_ok_and(|pem| pem.is_some());
    let missing = wanted(&rendered.model).into_iter();
    let missing = missing.filter(|own| own.names.iter().any(loses) && !is_there(&own.name));
    let missing: Vec<Sought> = missing
        .map(|own| Sought {
            served: served
                .iter()
                .filter(|host| own.names.iter().any(|name| name.covers(host)))
                .map(CertName::from)
                .collect(),
            name: own.name,
            names: own.names,
        })
        .collect();
    let best = held(nodes, observed, &missing, |_, _, _| true).await;
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
    sought: &'w [Sought],
    is_read: impl Fn(&NodeName, &NodePath, Digest) -> bool,
) -> BTreeMap<&'w Label, Found> {
    let mut best: BTreeMap<&Label, Found> = BTreeMap::new();
    for (node, seen) in &observed.nodes {
        let Seen::State(state) = seen else { continue };
        let current = state.current.as_ref();
        let paths = current
            .map(|release| certificates(release, |path, digest| is_read(node, path, digest)))
            .unwrap_or_default();
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
            for own in sought {
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
fn certificates(
    release: &ReleaseMeta,
    is_read: impl Fn(&NodePath, Digest) -> bool,
) -> Vec<NodePath> {
    let files = release.files.iter();
    let secret = files.filter(|(path, meta)| meta.secret && is_read(path, meta.digest));
    let paths = secret.map(|(path, _)| path.clone());
    paths
        .filter(|path| path.to_string().ends_with(".pem"))
        .collect()
}

fn fitting(pem: &str, sought: &Sought, now: Timestamp) -> Option<Found> {
    materials::usable(pem).ok()?;
    let leaf = Leaf::read(pem).ok()?;
    let in_force = leaf.lifetime.from <= now && now < leaf.lifetime.until;
    let fits = sought.served.iter().all(|name| leaf.covers(name));
    (in_force && fits).then(|| Found {
        exact: leaf.is_for(&sought.names),
        leaf,
        pem: SecretText::new(pem),
    })
}
