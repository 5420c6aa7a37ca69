//! The reference page for people who write components: its example works, and it leaves no key out.

use std::fs;
use std::path::Path;

use windlass_core::materials::{Materials, SecretText};
use windlass_core::render::{Cache, Inputs, component_tests, render};
use windlass_core::schema;
use windlass_core::snapshot::Snapshot;
use windlass_core::{component, model};

#[expect(clippy::unwrap_used, reason = "a test fails by it")]
fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/components.md");
    fs::read_to_string(page).unwrap()
}

/// The blocks that name a path.
fn files(page: &str) -> Vec<(&str, &str)> {
    page.split("\n```")
        .filter_map(|block| block.split_once('\n'))
        .filter_map(|(info, text)| Some((info.split_once(' ')?.1, text)))
        .filter(|(path, _)| path.starts_with("components/"))
        .collect()
}

#[test]
fn its_example_loads_renders_and_passes_its_test() {
    let page = page();
    let files = files(&page);
    assert_eq!(files.len(), 5, "{files:?}");
    let snapshot = Snapshot::of_texts("doc", component_tests::BASE.into_iter().chain(files));
    let (components, findings) = component::load(&snapshot);
    assert!(findings.is_empty(), "{findings:#?}");
    let findings = component_tests::run(&snapshot);
    assert!(findings.is_empty(), "{findings:#?}");
    let materials = Materials::none(SecretText::new("stand-in"));
    let model = model::load(&snapshot).model.unwrap();
    let inputs = Inputs {
        snapshot: &snapshot,
        model: &model,
        components: &components,
        materials: &materials,
    };
    let rendered = render(inputs, &mut Cache::default());
    let bundle = rendered
        .bundle
        .unwrap_or_else(|| panic!("{:#?}", rendered.findings));
    assert_eq!(bundle.releases["vps1"].meta.gates.len(), 2);
    let checks = &bundle.releases["vps1"].meta.components[0].checks;
    assert!(checks[0].scripts.contains_key("syntax.sh"));
}

#[test]
fn it_names_every_key() {
    let page = page();
    let mut missing = Vec::new();
    for (name, schema) in schema::all() {
        if name.starts_with("component") {
            keys(&schema, &mut |key| {
                let named = [format!("`{key}`"), format!("{key}:"), format!(".{key}`")];
                if !named.iter().any(|form| page.contains(form)) {
                    missing.push(key.to_owned());
                }
            });
        }
    }
    assert!(missing.is_empty(), "the page does not name {missing:?}");
}

fn keys(schema: &serde_json::Value, visit: &mut impl FnMut(&str)) {
    match schema {
        serde_json::Value::Object(map) => {
            if let Some(serde_json::Value::Object(properties)) = map.get("properties") {
                properties.keys().for_each(|key| visit(key));
            }
            map.values().for_each(|value| keys(value, visit));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| keys(value, visit)),
        _ => {}
    }
}
