//! The parts of the context that say the same on every node, or about one node alone.

use std::sync::Arc;

use tera::Value;

use super::node::Inputs;
use super::values::{Named, from_json, named, object, text, texts};
use crate::ids::NodeName;
use crate::materials::STAND_IN_SECRET;
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

pub(super) fn certificates(inputs: &Inputs<'_>, with_pem: bool) -> Arc<Named> {
    let model = inputs.model;
    let mut values = Vec::new();
    let mut files = Vec::new();
    let pending = &inputs.materials.pending;
    let there = model.certificates.iter();
    for (name, certificate) in there.filter(|(name, _)| !pending.contains(name.as_str())) {
        let uses = |site: &Site| site.certificate().is_some_and(|own| own.value == *name);
        let sites = model.sites.iter().filter(|(_, site)| uses(site));
        let mut value = object([
            ("name", text(name)),
            ("names", texts(&certificate.names)),
            ("sites", texts(sites.map(|(site, _)| site))),
        ]);
        if with_pem {
            let given = inputs.materials.certificates.get(name.as_str());
            let pem = given.unwrap_or(&inputs.materials.stand_in_certificate);
            value.insert("pem".into(), text(pem.reveal()));
        }
        values.push(Value::from(value));
        files.push(Arc::from([Arc::clone(&certificate.file)]));
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
