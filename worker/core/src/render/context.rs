//! What templates see, documented in docs/components.md: the model as plain values, in a stable order. The part
//! that all nodes share is built once; what differs from node to node once a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;
use tera::Value;

use super::node::Inputs;
use super::plain::{certificates, cluster, definitions, node_value, nodes};
use super::values::{Files, Named, object, text, texts};
use crate::ids::{Digest, NodeName};
use crate::model::derive::{self, RecordSet};
use crate::model::names::DomainName;
use crate::model::{
    Backend, Defined, Maintenance, Model, Node, Placement, Site, Zone, address_of,
    published_address,
};
use crate::snapshot::{Entry, Snapshot};

/// Top-level name → value.
pub(super) type Scope = BTreeMap<&'static str, Arc<Named>>;

/// The same on every node.
pub(super) struct Shared<'a> {
    pub(super) inputs: Inputs<'a>,
    cluster: Arc<Named>,
    nodes: Arc<Named>,
    definitions: Arc<Named>,
    certificates: Arc<Named>,
    /// `certificates` without their PEM, for commands.
    public_certificates: Arc<Named>,
    sites: Vec<SharedSite<'a>>,
    zones: Vec<SharedZone<'a>>,
    /// Of every file of the snapshot.
    digests: BTreeMap<String, Digest>,
}

struct SharedSite<'a> {
    site: &'a Defined<Site>,
    on: Vec<&'a NodeName>,
    /// Without `here` and `servers`.
    value: tera::Map,
}

struct SharedZone<'a> {
    primary: Vec<&'a NodeName>,
    secondaries: Vec<&'a NodeName>,
    /// Without `is_primary` and `is_secondary`.
    value: tera::Map,
    files: Files,
}

impl<'a> Shared<'a> {
    pub(super) fn new(inputs: Inputs<'a>) -> Self {
        let model = inputs.model;
        let records = derive::zones(model);
        let sites = model.sites.iter().map(|(name, site)| SharedSite {
            site,
            on: model.nodes_of(&site.on),
            value: site_value(&inputs, name.as_str(), site),
        });
        let zones = model.zones.iter().map(|(name, zone)| {
            let records = records.get(name).map_or(&[][..], Vec::as_slice);
            shared_zone(model, name, zone, records)
        });
        Self {
            inputs,
            cluster: cluster(model),
            nodes: nodes(model),
            definitions: definitions(model),
            certificates: certificates(&inputs, true),
            public_certificates: certificates(&inputs, false),
            sites: sites.collect(),
            zones: zones.collect(),
            digests: digests(inputs.snapshot),
        }
    }

    /// The content digests of repository files; those that are no files of the snapshot are left out.
    pub(super) fn digests_of(&self, files: BTreeSet<&str>) -> BTreeMap<String, Digest> {
        let digest = |file: &str| Some((file.to_owned(), *self.digests.get(file)?));
        files.into_iter().filter_map(digest).collect()
    }

    /// What one node's templates see, apart from what is a component's own.
    pub(super) fn of_node(&self, name: &NodeName, node: &Defined<Node>) -> Scope {
        let own = node_value(name, node);
        BTreeMap::from([
            ("cluster", Arc::clone(&self.cluster)),
            ("node", Named::new(own, vec![Arc::clone(&node.file)])),
            ("nodes", Arc::clone(&self.nodes)),
            ("sites", self.sites_on(name)),
            ("zones", self.zones_on(name)),
            ("forwards", self.forwards_on(name)),
            ("certificates", Arc::clone(&self.certificates)),
            ("definitions", Arc::clone(&self.definitions)),
        ])
    }

    /// The same without anything secret: commands show in process lists.
    pub(super) fn public(&self, scope: &Scope) -> Scope {
        let mut public = scope.clone();
        public.insert("certificates", Arc::clone(&self.public_certificates));
        public.remove("secrets");
        public
    }

    fn sites_on(&self, node: &NodeName) -> Arc<Named> {
        let mut values = Vec::with_capacity(self.sites.len());
        let mut files = Vec::with_capacity(self.sites.len());
        for shared in &self.sites {
            let mut value = shared.value.clone();
            let here = shared.on.contains(&node);
            value.insert("here".into(), Value::from(here));
            value.insert("servers".into(), self.servers(shared, node));
            values.push(Value::from(value));
            files.push(Arc::from([Arc::clone(&shared.site.file)]));
        }
        Named::list(values, files)
    }

    /// The instances, this node's first, then in the cluster's order.
    fn servers(&self, shared: &SharedSite<'_>, node: &NodeName) -> Value {
        let local = shared.on.iter().filter(|name| **name == node);
        let others = shared.on.iter().filter(|name| **name != node);
        let port = Value::from(shared.site.port.get());
        let servers = local.chain(others).map(|name| {
            let mut server = object([
                ("node", text(name)),
                ("port", port.clone()),
                ("local", Value::from(*name == node)),
            ]);
            if let Some(address) = published_address(self.inputs.model, name) {
                server.insert("address".into(), text(address));
            }
            Value::from(server)
        });
        Value::from(servers.collect::<Vec<Value>>())
    }

    fn zones_on(&self, node: &NodeName) -> Arc<Named> {
        let mut values = Vec::with_capacity(self.zones.len());
        let mut files = Vec::with_capacity(self.zones.len());
        for shared in &self.zones {
            let mut value = shared.value.clone();
            let is_primary = shared.primary.contains(&node);
            let is_secondary = shared.secondaries.contains(&node);
            value.insert("is_primary".into(), Value::from(is_primary));
            value.insert("is_secondary".into(), Value::from(is_secondary));
            values.push(Value::from(value));
            files.push(Arc::clone(&shared.files));
        }
        Named::list(values, files)
    }

    fn forwards_on(&self, node: &NodeName) -> Arc<Named> {
        let model = self.inputs.model;
        let mut values = Vec::new();
        let mut files = Vec::new();
        for (name, forward) in &model.forwards {
            let to = &forward.to;
            let mut value = object([
                ("name", text(name)),
                ("listen", Value::from(forward.listen.get())),
                (
                    "here",
                    Value::from(model.nodes_of(&forward.on).contains(&node)),
                ),
                ("target_port", Value::from(to.port.get())),
            ]);
            let own = to.node.as_ref().and_then(|at| model.nodes.get(&at.value));
            let address = match (&to.address, own, &to.network) {
                (Some(address), _, _) => Some(address.value),
                (None, Some(node), Some(network)) => address_of(node, network),
                _ => None,
            };
            if let Some(address) = address {
                value.insert("target_address".into(), text(address));
            }
            values.push(Value::from(value));
            files.push(Arc::from([Arc::clone(&forward.file)]));
        }
        Named::list(values, files)
    }
}

fn digests(snapshot: &Snapshot) -> BTreeMap<String, Digest> {
    let entries: Vec<(&String, &Entry)> = snapshot.entries.iter().collect();
    let digest = |(path, entry): (&String, &Entry)| match entry {
        Entry::File(bytes) => Some((path.clone(), Digest::of(bytes))),
        _ => None,
    };
    entries.into_par_iter().filter_map(digest).collect()
}

fn site_value(inputs: &Inputs<'_>, name: &str, site: &Site) -> tera::Map {
    let model = inputs.model;
    let status = site
        .health
        .status
        .iter()
        .map(|status| Value::from(status.value));
    let health = object([
        ("path", text(&site.health.path)),
        ("status", Value::from(status.collect::<Vec<Value>>())),
    ]);
    let backend = match site.backend {
        Backend::LocalFirst => "local-first",
        Backend::Balance => "balance",
    };
    let secure: Vec<_> = inputs.secure(site).collect();
    let hosts = secure.iter().map(|(host, certificate)| {
        Value::from(object([
            ("host", text(host)),
            ("certificate", text(certificate)),
        ]))
    });
    let mut value = object([
        ("name", text(name)),
        ("hosts", texts(&site.hosts)),
        ("on_nodes", texts(model.nodes_of(&site.on))),
        ("port", Value::from(site.port.get())),
        ("health", Value::from(health)),
        ("tls", Value::from(!secure.is_empty())),
        ("secure", Value::from(hosts.collect::<Vec<Value>>())),
        ("redirect", Value::from(site.redirect && !secure.is_empty())),
        ("backend", Value::from(backend)),
    ]);
    if let Some((_, certificate)) = secure.first() {
        value.insert("certificate".into(), text(certificate));
    }
    let maintenance = site.maintenance.as_ref().and_then(|own| match own {
        Maintenance::Text(words) => Some(object([("text", text(words))])),
        Maintenance::Page(path) => {
            let page = inputs.snapshot.file(path)?;
            let page = String::from_utf8_lossy(page);
            Some(object([("page", text(page)), ("file", text(path))]))
        }
    });
    if let Some(maintenance) = maintenance {
        value.insert("maintenance".into(), Value::from(maintenance));
    }
    value
}

fn shared_zone<'a>(
    model: &'a Model,
    name: &DomainName,
    zone: &'a Defined<Zone>,
    records: &[RecordSet],
) -> SharedZone<'a> {
    let on = |placement: &'a Placement| model.nodes_of(placement);
    let (primary, secondaries) = (on(&zone.primary), on(&zone.secondaries));
    let addresses = |nodes: &[&NodeName]| {
        let addresses = nodes
            .iter()
            .filter_map(|node| published_address(model, node));
        texts(addresses)
    };
    let seconds = |seconds: u32| Value::from(seconds);
    let sets = records.iter().map(|set| {
        Value::from(object([
            ("name", text(&set.name)),
            ("type", text(set.kind)),
            ("ttl", seconds(set.ttl.get())),
            ("values", texts(&set.values)),
        ]))
    });
    let value = object([
        ("name", text(name)),
        ("ttl", seconds(zone.ttl.get())),
        ("contact", text(&zone.contact)),
        ("primary", texts(&primary)),
        ("secondaries", texts(&secondaries)),
        ("primary_addresses", addresses(&primary)),
        ("secondary_addresses", addresses(&secondaries)),
        ("nameservers", texts(&zone.nameservers)),
        ("refresh", seconds(zone.refresh.get())),
        ("retry", seconds(zone.retry.get())),
        ("expire", seconds(zone.expire.get())),
        ("minimum", seconds(zone.minimum.get())),
        ("records", Value::from(sets.collect::<Vec<Value>>())),
        (
            "dynamic",
            Value::from(model.dynamic_zone().as_ref() == Some(name)),
        ),
    ]);
    let mut files: Vec<&str> = records.iter().map(|set| set.from.file.as_str()).collect();
    files.push(&zone.file);
    files.sort_unstable();
    files.dedup();
    let files = files.into_iter().map(Arc::from).collect();
    SharedZone {
        primary,
        secondaries,
        value,
        files,
    }
}
