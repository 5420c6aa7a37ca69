//! A plan for which no node was asked: as if each held what the base renders to. What speaks against a roll is found
//! as it is for a request, but for what only the nodes know.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use windlass_core::observed::{NodeState, Observed, Seen};
use windlass_core::plan::{self, Adopt, Inventory, Outline, Plan};
use windlass_core::release::Release;

use super::prepare::Rendered;

/// What merging `head` into `base` would do then.
pub fn plan(base: &Rendered, head: &Rendered, subject: &str) -> Plan {
    let now = Timestamp::now();
    let nodes = base.bundle.releases.iter();
    let nodes = nodes.filter(|(name, _)| head.bundle.releases.contains_key(*name));
    let nodes =
        nodes.map(|(name, release)| (name.clone(), Seen::State(Box::new(held(release, now)))));
    plan::make(&plan::Input {
        outline: &Outline::of(&head.model),
        bundle: &head.bundle,
        // Whoever has no key may still look.
        incomplete: false,
        subject,
        observed: &Observed {
            nodes: nodes.collect(),
        },
        base: Some(&Inventory::of(&base.model)),
        quarantined: &BTreeSet::new(),
        tried: None,
        settled: false,
        retry: false,
        adopt: &Adopt::default(),
        now,
    })
}

fn held(release: &Release, now: Timestamp) -> NodeState {
    NodeState {
        boot_id: String::new(),
        clock: now.as_second(),
        cluster: Some(release.meta.cluster.clone()),
        fence: 0,
        holder: String::new(),
        current: Some(release.meta.clone()),
        previous: None,
        attempt: None,
        standing: None,
        drift: BTreeMap::new(),
        rolled_back: Vec::new(),
    }
}
