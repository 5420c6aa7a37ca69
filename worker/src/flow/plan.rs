//! From a rendered bundle and what the nodes say to a plan with its differences. Only reads nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use windlass_core::ids::{Digest, NodeName, NodePath};
use windlass_core::observed::Observed;
use windlass_core::plan::{self, Adopt, Inventory, Outline, Plan};

use super::prepare::{Prepared, Rendered};
use crate::ports::NodeReader;
use crate::roll::observe;

/// What a person or the worker's history adds to a plan.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Bundles that were rolled back.
    pub quarantined: BTreeSet<Digest>,
    pub retry: bool,
    pub adopt: Adopt,
}

/// A plan with what it was made from.
#[derive(Debug, Clone)]
pub struct Planned {
    pub observed: Observed,
    pub plan: Plan,
}

/// Asks every node and plans. `base` tells what another commit defined, where it can still be read.
pub async fn make(
    nodes: &Arc<impl NodeReader + 'static>,
    prepared: &Prepared,
    rendered: &Rendered,
    wishes: &Wishes,
    base: impl AsyncFn(&str) -> Option<Inventory>,
) -> Planned {
    let names: Vec<NodeName> = rendered.model.nodes.keys().cloned().collect();
    let observed = observe::all(nodes, names).await;
    let base = match plan::base_commit(&observed) {
        Some(commit) => base(commit).await,
        None => None,
    };
    let plan = plan::make(&plan::Input {
        outline: &Outline::of(&rendered.model),
        bundle: &rendered.bundle,
        incomplete: !rendered.bundle.incomplete.is_empty(),
        subject: &prepared.snapshot.subject,
        observed: &observed,
        base: base.as_ref(),
        quarantined: &wishes.quarantined,
        retry: wishes.retry,
        adopt: &wishes.adopt,
        now: Timestamp::now(),
    });
    Planned { observed, plan }
}

/// The stored contents on the nodes of the files that the plan replaces or removes; secret ones are not read.
pub async fn old_contents(
    nodes: &impl NodeReader,
    plan: &Plan,
) -> BTreeMap<NodeName, BTreeMap<NodePath, Vec<u8>>> {
    let mut contents = BTreeMap::new();
    for (node, turn) in &plan.turns {
        let paths: Vec<NodePath> = turn
            .changes
            .iter()
            .filter(|change| change.before.is_some() && !change.secret)
            .map(|change| change.path.clone())
            .collect();
        if paths.is_empty() {
            continue;
        }
        // A file that cannot be read is shown as changed without its difference.
        contents.insert(
            node.clone(),
            nodes.read_files(node, &paths).await.unwrap_or_default(),
        );
    }
    contents
}
