//! Components' variables, and who may override them.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::node::Inputs;
use super::values::{from_json, named};
use crate::codes::components as codes;
use crate::component::Folder;
use crate::finding::{Finding, Findings, Location};
use crate::model::{Defined, Model, Node};
use crate::yaml::nearest;

/// The component's variables: its own, then cluster.yaml's, then the node's; and the files that had a say.
pub(super) fn vars(
    model: &Model,
    folder: &Folder,
    node: &Defined<Node>,
) -> (tera::Value, Vec<Arc<str>>) {
    let name = folder.name();
    let mut all = folder.definition.vars.clone();
    let mut files = vec![Arc::from(folder.file.as_str())];
    if let Some(own) = model.cluster.components.get(name) {
        all.extend(own.vars.clone());
        files.push(Arc::clone(&model.cluster.file));
    }
    if let Some(Json::Object(own)) = node.vars.get(name.as_str()) {
        all.extend(own.clone());
        files.push(Arc::clone(&node.file));
    }
    let present = all.iter().filter(|(_, value)| !value.is_null());
    (
        named(present.map(|(key, value)| (key, from_json(value)))),
        files,
    )
}

/// One variable, as `vars` has it.
pub(super) fn var<'a>(
    model: &'a Model,
    folder: &'a Folder,
    node: &'a Defined<Node>,
    key: &str,
) -> Option<&'a Json> {
    let name = folder.name();
    let of_node = node.vars.get(name.as_str()).and_then(|own| own.get(key));
    let of_cluster = || model.cluster.components.get(name)?.vars.get(key);
    of_node
        .or_else(of_cluster)
        .or_else(|| folder.definition.vars.get(key))
}

/// An override that nothing reads is a misspelt one.
pub(super) fn overrides(inputs: &Inputs<'_>) -> Findings {
    let mut findings = Findings::default();
    for (name, own) in &inputs.model.cluster.components {
        let Some(folder) = inputs.components.get(name.as_str()) else {
            if inputs.components.names.contains(name) {
                continue;
            }
            let message = format!("there is no component `{name}` whose variables could be set");
            let place = inputs.model.cluster.whole();
            findings.push(Finding::error(codes::UNKNOWN_VAR, message).at(place));
            continue;
        };
        findings.extend(unknown_vars(
            folder,
            &own.vars,
            inputs.model.cluster.whole(),
        ));
    }
    for node in inputs.model.nodes.values() {
        for folder in inputs.components.iter() {
            if let Some(Json::Object(own)) = node.vars.get(folder.name().as_str()) {
                findings.extend(unknown_vars(folder, own, node.whole()));
            }
        }
    }
    findings
}

fn unknown_vars(folder: &Folder, own: &Map<String, Json>, place: Location) -> Vec<Finding> {
    let known = &folder.definition.vars;
    let unknown = own.keys().filter(|key| !known.contains_key(*key));
    unknown
        .map(|key| {
            let message = format!("component `{}` has no variable `{key}`", folder.name());
            let hint = nearest(key, known.keys().map(String::as_str)).map_or_else(
                || format!("declare it in `vars` of {}", folder.file),
                |near| format!("did you mean `{near}`?"),
            );
            Finding::error(codes::UNKNOWN_VAR, message)
                .at(place.clone())
                .hint(hint)
        })
        .collect()
}
