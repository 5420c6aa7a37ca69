//! Which certificates and secrets a bundle needs and was not given.

use std::collections::BTreeSet;

use super::node::Inputs;
use crate::codes::components as codes;
use crate::finding::Finding;
use crate::materials::Materials;
use crate::model::names::HostName;
use crate::model::{Defined, Site};
use crate::release::Bundle;
use crate::sealed;

/// What is being ordered. The bundle is rolled without it: the way for the authority's question must be there first.
pub(super) fn pending(inputs: &Inputs<'_>) -> Vec<Finding> {
    let model = inputs.model;
    let mut told = Vec::new();
    for (name, certificate) in &model.certificates {
        let uses = |site: &&Defined<Site>| site.certificate().is_some_and(|own| own.value == *name);
        let sites = model.sites.values().filter(uses);
        let hosts: Vec<(&HostName, Option<&str>)> = sites
            .flat_map(|site| {
                site.hosts
                    .iter()
                    .map(|host| (&host.value, inputs.certificate(site, host)))
            })
            .collect();
        let waiting = hosts
            .iter()
            .filter(|(_, with)| *with != Some(name.as_str()));
        let plain: Vec<&str> = waiting
            .clone()
            .filter(|(_, with)| with.is_none())
            .map(|(host, _)| host.as_str())
            .collect();
        let is_missing = inputs.materials.pending.contains(name.as_str());
        if !is_missing && waiting.count() == 0 {
            continue;
        }
        let is_ordered = if is_missing {
            "is being ordered"
        } else {
            "is being ordered anew, with more names"
        };
        let meanwhile = match plain.as_slice() {
            [] => "its hosts keep another one".to_owned(),
            all if all.len() == hosts.len() => "its sites are served over plain HTTP".to_owned(),
            [one] => format!("{one} is served over plain HTTP"),
            [first, rest @ ..] => format!(
                "{first} and {} more hosts are served over plain HTTP",
                rest.len()
            ),
        };
        let message =
            format!("the certificate `{name}` {is_ordered}; until it is there, {meanwhile}");
        let finding = Finding::warning(codes::CERTIFICATE_PENDING, message);
        let finding = finding.at(certificate.whole());
        told.push(finding.hint("the worker's log says how the order goes"));
    }
    told
}

/// The hosts that wait for a certificate.
pub(super) fn pending_hosts(inputs: &Inputs<'_>) -> BTreeSet<String> {
    let sites = inputs.model.sites.values();
    let secure = sites.filter(|site| site.certificate().is_some());
    let hosts = secure.flat_map(|site| site.hosts.iter().map(move |host| (site, &host.value)));
    hosts
        .filter(|(site, host)| inputs.certificate(site, host).is_none())
        .map(|(_, host)| host.to_string())
        .collect()
}

/// What was not given, as far as the bundle's components use it.
pub(super) fn missing(inputs: &Inputs<'_>, bundle: &Bundle) -> Vec<Finding> {
    let releases = bundle.releases.values();
    let files = || {
        releases
            .clone()
            .flat_map(|release| release.meta.files.values())
    };
    let used = |file: &str| files().any(|own| own.inputs.iter().any(|input| input == file));
    let materials = inputs.materials;
    let mut missing = Vec::new();
    for (name, certificate) in &inputs.model.certificates {
        let pending = materials.pending.contains(name.as_str());
        let given = pending || materials.certificates.contains_key(name.as_str());
        if !given && used(&certificate.file) {
            let message = format!("the worker was not given the certificate `{name}`");
            let (message, hint) = match &certificate.secret {
                Some(secret) => unknown(secret, materials),
                None => (
                    message,
                    format!(
                        "put chain and key as {name}.pem into the worker's directory of certificates"
                    ),
                ),
            };
            let finding = Finding::warning(codes::MATERIAL_MISSING, message);
            missing.push(finding.at(certificate.whole()).hint(hint));
        }
    }
    let present: BTreeSet<&str> = releases
        .clone()
        .flat_map(|release| &release.meta.components)
        .map(|component| component.name.as_str())
        .collect();
    for folder in inputs
        .components
        .iter()
        .filter(|f| present.contains(f.name().as_str()))
    {
        for secret in &folder.definition.secrets {
            if !inputs.model.is_idle(secret) && !materials.secrets.contains_key(secret.as_str()) {
                let (message, hint) = unknown(secret, materials);
                let finding = Finding::warning(codes::MATERIAL_MISSING, message);
                let finding = finding.at(folder.place(secret)).of(folder.name());
                missing.push(finding.hint(hint));
            }
        }
    }
    missing
}

fn unknown(secret: &str, materials: &Materials) -> (String, String) {
    let path = sealed::path_of(secret);
    if materials.sealed.contains(secret) {
        (
            format!("{path} cannot be decrypted here"),
            "give an identity of one of `secrets.recipients` in cluster.yaml: `--age-identity FILE`, or `age_identities` of the worker".to_owned(),
        )
    } else {
        (
            format!("the worker was not given the secret `{secret}`"),
            format!(
                "`windlass secret set {secret}` puts it into the repository as {path}, encrypted; or give it to the worker as a file named {secret} in its directory of secrets"
            ),
        )
    }
}
