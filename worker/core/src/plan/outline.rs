//! What the plan needs of a model, and how much of it a roll takes away.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{ClusterName, NodeName};
use crate::model::{Model, Policy};

/// The cluster as the plan sees it.
#[derive(Debug, Clone)]
pub struct Outline {
    pub cluster: ClusterName,
    /// Every node, in the order of cluster.yaml.
    pub order: Vec<NodeName>,
    pub roles: BTreeMap<NodeName, BTreeSet<String>>,
    pub policy: Policy,
    pub inventory: Inventory,
}

/// What a commit defines, by name, so that the share that a roll removes can be measured. A thing that is
/// renamed counts as removed: whoever used the old name loses it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Zone, owner and type; the hosts of sites whose records follow from them.
    pub dns_records: BTreeSet<String>,
    /// A site on a node.
    pub backends: BTreeSet<String>,
}

impl Outline {
    pub fn of(model: &Model) -> Self {
        let roles = model.nodes.iter().map(|(name, node)| {
            let roles = node.roles.iter().map(|role| role.as_str().to_owned());
            (name.clone(), roles.collect())
        });
        Self {
            cluster: model.cluster.name.clone(),
            order: model.in_order().map(|(name, _)| name.clone()).collect(),
            roles: roles.collect(),
            policy: model.cluster.policy.clone(),
            inventory: Inventory::of(model),
        }
    }
}

impl Inventory {
    pub fn of(model: &Model) -> Self {
        let mut inventory = Self::default();
        for (zone, definition) in &model.zones {
            let records = definition.records.iter();
            let names = records.map(|r| format!("{} {:?} in {zone}", r.name.value, r.kind.value));
            inventory.dns_records.extend(names);
        }
        for (name, site) in &model.sites {
            if site.dns.manage {
                let hosts = site.hosts.iter().map(|host| host.value.to_string());
                inventory.dns_records.extend(hosts);
            }
            let nodes = model.nodes_of(&site.on);
            let backends = nodes.into_iter().map(|node| format!("{name} on {node}"));
            inventory.backends.extend(backends);
        }
        inventory
    }
}
