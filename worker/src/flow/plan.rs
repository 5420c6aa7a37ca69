//! From a rendered bundle and what the nodes say to a plan with its differences. Only reads nodes.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use jiff::Timestamp;
use windlass_core::ids::{Digest, NodeName, NodePath};
use windlass_core::observed::Observed;
use windlass_core::plan::{self, Adopt, Inventory, Outline, Plan};
use windlass_core::release::{Bundle, Release};

use super::prepare::{Prepared, Rendered};
use crate::ports::NodeReader;

/// What a person or the worker's history adds to a plan.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Bundles that were rolled back.
    pub quarantined: BTreeSet<Digest>,
    pub retry: bool,
    pub adopt: Adopt,
}

/// `base` tells what another commit defined, where it can still be read.
pub fn make(
    observed: &Observed,
    prepared: &Prepared,
    rendered: &Rendered,
    wishes: &Wishes,
    base: impl FnOnce(&str) -> Option<Inventory>,
) -> Plan {
    let base = plan::base_commit(observed).and_then(base);
    plan::make(&plan::Input {
        outline: &Outline::of(&rendered.model),
        bundle: &rendered.bundle,
        incomplete: !rendered.bundle.incomplete.is_empty(),
        subject: &prepared.snapshot.subject,
        observed,
        base: base.as_ref(),
        quarantined: &wishes.quarantined,
        tried: None,
        settled: false,
        retry: wishes.retry,
        adopt: &wishes.adopt,
        now: Timestamp::now(),
    })
}

/// The stored contents on the nodes of the files that the plan replaces or removes; secret ones are not read. A file that
/// is at hand in `known`, to the byte, is not read from its node.
pub async fn old_contents(
    nodes: &impl NodeReader,
    plan: &Plan,
    known: Option<&Bundle>,
) -> BTreeMap<NodeName, BTreeMap<NodePath, Vec<u8>>> {
    let turns = plan.turns.iter().map(async |(node, turn)| {
        let known = known.and_then(|known| known.releases.get(node));
        let (mut held, mut paths) = (BTreeMap::new(), Vec::new());
        for change in turn.changes.iter().filter(|change| !change.secret) {
            let Some(before) = change.before else {
                continue;
            };
            match known.and_then(|known| same(known, &change.path, before)) {
                Some(content) => drop(held.insert(change.path.clone(), content)),
                None => paths.push(change.path.clone()),
            }
        }
        if !paths.is_empty() {
            // A file that cannot be read is shown as changed without its difference.
            held.extend(nodes.read_files(node, &paths).await.unwrap_or_default());
        }
        (node.clone(), held)
    });
    join_all(turns).await.into_iter().collect()
}

fn same(release: &Release, path: &NodePath, digest: Digest) -> Option<Vec<u8>> {
    let file = release.meta.files.get(path);
    // The node writes the SOA serial into a zone by itself.
    file.filter(|file| file.digest == digest && !file.secret && !file.serial)?;
    release.contents.get(path).map(|content| content.to_vec())
}
