//! The model: the snapshot parsed, typed and cross-checked. Either all of it is valid or nothing goes on,
//! so no later stage meets half a cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;

pub mod acme;
mod cache;
pub mod challenge;
pub mod cluster;
mod crosscheck;
pub mod definitions;
pub mod derive;
#[cfg(test)]
pub(crate) mod example;
mod files;
pub mod freeze;
mod load;
pub mod names;
mod own;
mod place;
pub(crate) mod rdata;
pub mod reach;
pub mod recipient;
pub mod scalars;
pub mod zone;

pub use acme::{Acme, Authority, Eab, KeyType};
pub use cache::Cache;
pub use challenge::Challenge;
pub use cluster::{
    Cluster, Drift, OnDivergence, OnFailure, OnNewerCommit, Policy, Unreachable, Wave,
};
pub use definitions::{Backend, Certificate, Forward, Maintenance, Node, Placement, Site, Target};
pub use load::{Loaded, cluster_name, load, load_cached};
pub use recipient::Recipient;
pub use zone::{Record, RecordType, Zone};

use crate::finding::Location;
use crate::ids::NodeName;
use crate::yaml::At;
use names::{DomainName, Label};

/// A definition with the file it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined<T> {
    pub file: Arc<str>,
    value: Arc<T>,
}

impl<T> Deref for Defined<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Defined<T> {
    /// Where a value of this definition stands.
    pub fn place<V>(&self, value: &At<V>) -> Location {
        value.location(&self.file)
    }

    /// The file as a whole.
    pub fn whole(&self) -> Location {
        Location::file(&*self.file)
    }
}

/// A whole, valid cluster repository. Handed out behind an `Arc`, never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub cluster: Defined<Cluster>,
    pub nodes: BTreeMap<NodeName, Defined<Node>>,
    pub sites: BTreeMap<Label, Defined<Site>>,
    pub zones: BTreeMap<DomainName, Defined<Zone>>,
    pub forwards: BTreeMap<Label, Defined<Forward>>,
    pub certificates: BTreeMap<Label, Defined<Certificate>>,
    /// Repository-owned kinds: kind → name → value.
    pub definitions: BTreeMap<Label, BTreeMap<Label, Defined<Value>>>,
}

/// The address at which a node is published or reached in a network.
pub fn address_of(node: &Node, network: &Label) -> Option<IpAddr> {
    node.addresses.get(network).map(|address| address.value)
}

/// The address at which other nodes reach this one: where sites are published, else its first.
pub fn published_address(model: &Model, name: &NodeName) -> Option<IpAddr> {
    let node = model.nodes.get(name)?;
    let first = || node.addresses.values().next().map(|address| address.value);
    address_of(node, &model.cluster.edge.network).or_else(first)
}

#[cfg(test)]
mod tests;
