//! The parts of the context that say the same on every node, or about one node alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tera::Value;

use super::node::Inputs;
use super::values::{Files, Named, from_json, named, object, text, texts};
use crate::ids::NodeName;
use crate::materials::STAND_IN_SECRET;
use crate::model::names::Label;
use crate::model::{Defined, Model, Node, Site, address_of};

pub(super) fn cluster(model: &Model) -> Arc<Named> {
    let cluster = &model.cluster;
    let mut edge = object([
        ("role", text(&cluster.edge.role)),
        ("network", text(&cluster.edge.network)),
    ]);
    if let Some(network) = &cluster.edge.network6 {
        edge.insert("network6".into(), text(network));
    }
    let networks = cluster.networks.iter();
    let value = object([
        ("name", text(&cluster.name)),
        ("domain", text(&cluster.domain)),
        (
            "networks",
            named(networks.map(|(name, nets)| (name, texts(&nets.value)))),
        ),
        ("order", texts(&cluster.order)),
        ("edge", Value::from(edge)),
    ]);
    Named::new(Value::from(value), vec![Arc::clone(&cluster.file)])
}

pub(super) fn nodes(model: &Model) -> Arc<Named> {
    let in_order = || model.in_order();
    Named::list(
        in_order()
            .map(|(name, node)| node_value(name, node))
            .collect(),
        in_order()
            .map(|(_, node)| Arc::from([Arc::clone(&node.file)]))
            .collect(),
    )
}

pub(super) fn node_value(name: &NodeName, node: &Defined<Node>) -> Value {
    let mut ssh = object([
        ("port", Value::from(node.ssh.port.get())),
        ("user", text(&node.ssh.user)),
        ("sudo", Value::from(node.ssh.sudo)),
    ]);
    let own = node.ssh.network.as_ref();
    let address = match &node.ssh.address {
        Some(address) => Some(address.to_string()),
        None => own
            .and_then(|network| address_of(node, network))
            .map(|ip| ip.to_string()),
    };
    if let Some(address) = address {
        ssh.insert("address".into(), text(address));
    }
    let vars = node.vars.iter().filter(|(_, value)| !value.is_null());
    Value::from(object([
        ("name", text(name)),
        ("roles", texts(&node.roles)),
        (
            "addresses",
            named(node.addresses.iter().map(|(net, ip)| (net, text(ip)))),
        ),
        (
            "vars",
            named(vars.map(|(key, value)| (key, from_json(value)))),
        ),
        ("ssh", Value::from(ssh)),
    ]))
}

pub(super) fn definitions(model: &Model) -> Arc<Named> {
    let kinds = model.definitions.iter().map(|(kind, values)| {
        let values = values.iter();
        (
            kind,
            named(values.map(|(name, value)| (name, from_json(value)))),
        )
    });
    let all = model
        .definitions
        .values()
        .flat_map(|values| values.values());
    Named::new(
        named(kinds),
        all.map(|value| Arc::clone(&value.file)).collect(),
    )
}

/// Those that there are, and what stands in for a host's own meanwhile though no definition names it any more.
pub(super) fn certificates(inputs: &Inputs<'_>, with_pem: bool) -> Arc<Named> {
    let (model, materials) = (inputs.model, inputs.materials);
    let mut sites: BTreeMap<&str, Vec<(&Label, &Defined<Site>)>> = BTreeMap::new();
    for (name, site) in &model.sites {
        for (_, certificate) in inputs.secure(site) {
            let users = sites.entry(certificate).or_default();
            if users.last().is_none_or(|(last, _)| *last != name) {
                users.push((name, site));
            }
        }
    }
    let named = model.certificates.keys().map(Label::as_str);
    let there = named.filter(|name| !materials.pending.contains(*name));
    let all: BTreeSet<&str> = there.chain(sites.keys().copied()).collect();
    let mut values = Vec::new();
    let mut files: Vec<Files> = Vec::new();
    for name in all {
        let users = sites.get(name).map_or(&[][..], Vec::as_slice);
        let definition = model.certificates.get(name);
        let names = match (definition, materials.said.get(name)) {
            (Some(definition), _) => texts(&definition.names),
            (None, said) => texts(said.iter().flat_map(|said| &said.names)),
        };
        let mut value = object([
            ("name", text(name)),
            ("names", names),
            ("sites", texts(users.iter().map(|(site, _)| site))),
        ]);
        if with_pem {
            let given = materials.certificates.get(name);
            let pem = given.unwrap_or(&materials.stand_in_certificate);
            value.insert("pem".into(), text(pem.reveal()));
        }
        values.push(Value::from(value));
        files.push(match definition {
            Some(definition) => Arc::from([Arc::clone(&definition.file)]),
            None => users
                .iter()
                .map(|(_, site)| Arc::clone(&site.file))
                .collect(),
        });
    }
    Named::list(values, files)
}

/// The secrets that a component declares.
pub(super) fn secrets<'a>(inputs: &Inputs<'_>, names: impl Iterator<Item = &'a str>) -> Arc<Named> {
    let given = &inputs.materials.secrets;
    let values = names.map(|name| {
        let value = given
            .get(name)
            .map_or(STAND_IN_SECRET, |secret| secret.reveal());
        (name, text(value))
    });
    Named::new(named(values), Vec::new())
}
