//! Whether an authority's questions over HTTP find their way from the edge to the worker. An edge that was not told where
//! the worker answers says 404 to each, which would be found out only when a certificate is ordered.

use serde_json::Value as Json;

use super::node::Inputs;
use super::vars::var;
use crate::codes::components as codes;
use crate::finding::{Finding, Location};
use crate::model::names::CertName;
use crate::model::{Certificate, Defined};
use crate::yaml::At;

/// The variable of a component that answers for sites: where the worker answers authorities.
const ANSWERS: &str = "acme_server";

/// An edge with a component that has the variable, and no value in it.
pub(super) fn unanswered(inputs: &Inputs<'_>) -> Option<Finding> {
    let model = inputs.model;
    let mut asked = model
        .certificates
        .values()
        .filter(|own| own.acme.is_some() && !model.by_dns(own))
        .flat_map(|own| own.names.iter().map(move |name| (own, name)));
    let (certificate, name) = asked.next()?;
    let (component, nodes) = silent(inputs)?;
    let more = match asked.count() {
        0 => "is ours".to_owned(),
        1 => "and one more name are ours".to_owned(),
        more => format!("and {more} more names are ours"),
    };
    let message = format!(
        "no authority can be shown that {name} {more}: `{ANSWERS}` of the component `{component}` is empty, so \
         its question is answered with 404 by {}",
        nodes.join(", ")
    );
    let mends = format!(
        "say in cluster.yaml where the worker answers (`acme.listen` in worker.yaml), as the nodes reach it: \
         `components: {{ {component}: {{ vars: {{ {ANSWERS}: \"ADDRESS:PORT\" }} }} }}`; or prove through DNS: `challenge: dns` and \
         `dns: {{}}` below `acme`"
    );
    let finding = Finding::error(codes::UNANSWERED, message);
    Some(finding.at(place(inputs, certificate, name)).hint(mends))
}

/// The component, and the edge nodes on which its variable is empty.
fn silent<'a>(inputs: &Inputs<'a>) -> Option<(&'a str, Vec<&'a str>)> {
    let model = inputs.model;
    inputs.components.iter().find_map(|folder| {
        if !folder.definition.vars.contains_key(ANSWERS) {
            return None;
        }
        let edge = model.cluster.edge.role.as_str();
        let own = model.in_order().filter(|(name, node)| {
            let value = var(model, folder, node, ANSWERS);
            value.is_none_or(names_nobody) && node.has_role(edge) && folder.is_on(name, node)
        });
        let nodes: Vec<&str> = own.map(|(name, _)| name.as_str()).collect();
        (!nodes.is_empty()).then(|| (folder.name().as_str(), nodes))
    })
}

/// No address, and no list with one.
fn names_nobody(value: &Json) -> bool {
    match value {
        Json::Array(all) => all.iter().all(names_nobody),
        value => value.is_null() || value == "",
    }
}

/// The site that has the name, or the certificate.
fn place(inputs: &Inputs<'_>, certificate: &Defined<Certificate>, name: &At<CertName>) -> Location {
    let at = inputs.model.sites.values().find_map(|site| {
        let own = site.hosts.iter().find(|own| name.covers(own))?;
        Some(site.place(own))
    });
    at.unwrap_or_else(|| certificate.place(name))
}
