//! `components/<name>/tests/*.yaml`: what an owner expects of a component, kept beside it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::NodeName;
use crate::yaml::At;

/// Given these definitions, the rendered files look like that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestCase {
    /// What is tested, in a few words.
    pub name: String,
    pub given: Given,
    pub expect: Vec<Expectation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// The node whose files are looked at.
    pub node: At<NodeName>,
    /// Path → definition, as YAML or as a text that holds it. They are laid over a small cluster of three nodes
    /// that never changes (docs/components.md shows it); `null` takes one of its files away. Absent: the
    /// repository's own definitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definitions: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The path on the node.
    pub file: At<String>,
    /// Texts that it holds; several lines must follow each other as they do here.
    #[serde(default)]
    pub contains: Vec<At<String>>,
    /// Texts that it does not hold.
    #[serde(default)]
    pub not_contains: Vec<At<String>>,
    /// There is no such file.
    #[serde(default)]
    pub absent: bool,
}
