//! JSON Schemas of everything that people write and of everything that `--format json` gives. Draft 7, because
//! that is what the editors' YAML servers read. Committed under `schemas/`; a test holds them current.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::codes::Entry;
use crate::component::case::TestCase;
use crate::component::format::Component;
use crate::finding::Findings;
use crate::ids::NodeName;
use crate::model::{Certificate, Cluster, Forward, Node, Site, Zone};
use crate::observed::{Drifted, NodeState};
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::preview::Preview;
use crate::report::diff::FileDiff;
use crate::report::doctor::Examined;
use crate::roll::TurnMessage;

/// Each schema with the name of its file.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("cluster.json", of::<Cluster>()),
        ("node.json", of::<Node>()),
        ("site.json", of::<Site>()),
        ("zone.json", of::<Zone>()),
        ("forward.json", of::<Forward>()),
        ("certificate.json", of::<Certificate>()),
        ("component.json", of::<Component>()),
        ("component-test.json", of::<TestCase>()),
        ("plan.json", of::<Plan>()),
        ("preview.json", of::<Preview>()),
        ("turn.json", of::<TurnMessage>()),
        ("outcome.json", of::<Outcome>()),
        ("node-state.json", of::<NodeState>()),
        ("drift.json", of::<Vec<Drifted>>()),
        ("diff.json", of::<BTreeMap<NodeName, Vec<FileDiff>>>()),
        ("doctor.json", of::<Vec<Examined>>()),
        ("explanation.json", of::<Entry>()),
        ("findings.json", of::<Findings>()),
    ]
}

fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}
