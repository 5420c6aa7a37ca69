//! Which certificates and secrets a bundle needs and was not given.

use std::collections::BTreeSet;

use super::node::Inputs;
use crate::codes::components as codes;
use crate::finding::Finding;
use crate::release::Bundle;

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
        let given = materials.certificates.contains_key(name.as_str());
        if !given && used(&certificate.file) {
            let message = format!("the worker was not given the certificate `{name}`");
            let finding = Finding::warning(codes::MATERIAL_MISSING, message);
            missing.push(finding.at(certificate.whole()).hint(format!(
                "put chain and key as {name}.pem into the worker's directory of certificates"
            )));
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
            if !materials.secrets.contains_key(secret.as_str()) {
                let message = format!("the worker was not given the secret `{secret}`");
                let finding = Finding::warning(codes::MATERIAL_MISSING, message);
                missing.push(
                    finding
                        .at(folder.place(secret))
                        .of(folder.name())
                        .hint(format!(
                            "put it as a file named {secret} into the worker's directory of secrets"
                        )),
                );
            }
        }
    }
    missing
}
