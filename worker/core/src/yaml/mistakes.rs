//! Every mistake of a file instead of its first. A type stops at the first value that does not fit, so the file
//! is read again without that value, until what is left fits. A key that is missing only because its value was
//! left out is no mistake of its own.

use std::collections::BTreeSet;

use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_yaml::{DuplicateKeyPolicy, Error};

use super::careful::{Failure, Pass};
use super::tree::Tree;
use super::{At, explain, options};
use crate::finding::{Finding, Findings};

/// Whoever has so many in one file mends these first; and a hostile file costs no more than so many readings.
const MOST: usize = 20;

/// `first` is why the file was refused.
pub(super) fn all<T: DeserializeOwned + JsonSchema>(
    file: &str,
    text: &str,
    first: &Error,
) -> Findings {
    let mut lenient = options();
    lenient.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    let read = serde_yaml::from_str_with_options::<At<Tree>>(text, lenient.clone());
    // No YAML at all, or over a limit: what follows cannot be told.
    let Ok(tree) = read else {
        return Findings::from_iter([explain::finding(file, first)]);
    };
    let mut findings = Findings::default();
    let mut left_out = BTreeSet::new();
    for (steps, key) in tree.twice() {
        findings.push(explain::duplicate(&key).at(key.location(file)));
        left_out.insert(steps);
    }
    for _ in 0..MOST {
        let pass = Pass::without(&left_out);
        let read = serde_yaml::with_deserializer_from_str_with_options(
            text,
            lenient.clone(),
            |deserializer| T::deserialize(pass.reader(deserializer)),
        );
        let Err(error) = read else { break };
        let Some(failure) = pass.failure() else {
            findings.push(explain::finding(file, &error));
            break;
        };
        findings.extend(told::<T>(file, &error, &failure, &tree));
        let whole = failure.steps.is_empty();
        if whole || !left_out.insert(failure.steps) {
            break;
        }
    }
    if findings.is_empty() {
        findings.push(explain::finding(file, first));
    }
    findings.sorted()
}

/// What one failure says; for a missing key, all that are missing beside it.
fn told<T: JsonSchema>(
    file: &str,
    error: &Error,
    failure: &Failure,
    tree: &At<Tree>,
) -> Vec<Finding> {
    let mut steps = failure.steps.iter();
    let part = steps.try_fold(tree, |at, step| at.entry(*step));
    let (Some(field), Some(part)) = (explain::missing(error), part) else {
        return vec![explain::finding(file, error)];
    };
    let there = keys(part);
    let mut fields = required::<T>(failure.of);
    if !fields.iter().any(|name| name == field) {
        fields.push(field.to_owned());
    }
    fields.retain(|name| !there.contains(&name.as_str()));
    fields
        .iter()
        .map(|name| explain::missing_key(name).at(part.location(file)))
        .collect()
}

fn keys(tree: &Tree) -> Vec<&str> {
    match tree {
        Tree::Map(entries) => entries.iter().map(|(key, _)| key.as_str()).collect(),
        Tree::List(_) | Tree::Leaf => Vec::new(),
    }
}

/// The keys that the schema of the type wants in the struct of this name.
fn required<T: JsonSchema>(name: Option<&str>) -> Vec<String> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let root = schema.as_value();
    let Some(name) = name else { return Vec::new() };
    let part = if root["title"] == name {
        Some(root)
    } else {
        root["$defs"].get(name)
    };
    let required = part.and_then(|part| part["required"].as_array());
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}
