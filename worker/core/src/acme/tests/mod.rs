mod due;
mod order;
mod served;
mod wanted;

use std::sync::Arc;

use crate::model::{self, Model, example};
use crate::snapshot::Snapshot;

pub(super) const ACME: &str = "edge: { role: edge, network: public }
acme:
  contact: [hostmaster@example.org]
  authorities:
    - { name: one, directory: https://one.example.net/dir, staging: https://one.example.net/rehearsal }
    - { name: two, directory: https://two.example.net/dir, eab: { key_id: k1, secret: two_eab } }
";

/// The example with ACME, and with `tls` of the blog as given.
pub(super) fn snapshot(tls: &str, more: &str) -> Snapshot {
    let edge = "edge: { role: edge, network: public }\n";
    let mut snapshot = example::edited("cluster.yaml", edge, &format!("{ACME}{more}"));
    let blog = example::edited("sites/blog.yaml", "tls: { certificate: wildcard }", tls);
    let blog = blog.entries["sites/blog.yaml"].clone();
    snapshot.entries.insert("sites/blog.yaml".to_owned(), blog);
    let shop = example::edited("sites/shop.yaml", "backend:", "tls: {}\nbackend:");
    let shop = shop.entries["sites/shop.yaml"].clone();
    snapshot.entries.insert("sites/shop.yaml".to_owned(), shop);
    snapshot
}

pub(super) fn model_of(snapshot: &Snapshot) -> Arc<Model> {
    let loaded = model::load(snapshot);
    loaded
        .model
        .unwrap_or_else(|| panic!("{:#?}", loaded.findings))
}
