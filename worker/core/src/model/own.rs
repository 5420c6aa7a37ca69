//! Kinds that the repository owns: `definitions/<kind>/*.yaml`, held against the `schema.json` beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::names::Label;
use super::{Cache, Defined};
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};
use crate::snapshot::{Entry, Snapshot};
use crate::yaml;

pub(super) type Own = BTreeMap<Label, BTreeMap<Label, Defined<Value>>>;

const FOLDER: &str = "definitions/";
/// A schema that refuses everything should not tell of everything.
const MOST_VIOLATIONS: usize = 20;

/// A file in the folder of a kind.
struct OwnFile<'a> {
    path: &'a str,
    name: &'a str,
    bytes: &'a [u8],
}

pub(super) fn load(snapshot: &Snapshot, cache: &Cache, findings: &mut Findings) -> Own {
    let mut kinds: BTreeMap<&str, Vec<OwnFile<'_>>> = BTreeMap::new();
    let entries = snapshot.entries.range(FOLDER.to_owned()..);
    for (path, entry) in entries.take_while(|(path, _)| path.starts_with(FOLDER)) {
        let (Entry::File(bytes), Some((kind, file))) =
            (entry, path[FOLDER.len()..].split_once('/'))
        else {
            continue;
        };
        kinds.entry(kind).or_default().push(OwnFile {
            path,
            name: file,
            bytes,
        });
    }
    let mut own = Own::new();
    for (kind, files) in kinds {
        match kind.parse::<Label>() {
            Ok(label) => {
                own.insert(label, definitions(snapshot, kind, &files, cache, findings));
            }
            Err(why) => findings.push(
                Finding::error(codes::BAD_FILE_NAME, why)
                    .at(Location::file(format!("{FOLDER}{kind}"))),
            ),
        }
    }
    own
}

fn definitions(
    snapshot: &Snapshot,
    kind: &str,
    files: &[OwnFile<'_>],
    cache: &Cache,
    findings: &mut Findings,
) -> BTreeMap<Label, Defined<Value>> {
    let validator = validator(snapshot, kind)
        .map_err(|finding| findings.push(*finding))
        .ok();
    let mut definitions = BTreeMap::new();
    for OwnFile { path, name, bytes } in files {
        let Some(stem) = name.strip_suffix(".yaml") else {
            continue;
        };
        let name = match stem.parse::<Label>() {
            Ok(name) => name,
            Err(why) => {
                findings.push(Finding::error(codes::BAD_FILE_NAME, why).at(Location::file(*path)));
                continue;
            }
        };
        match cache.own.parse(path, bytes) {
            Ok(value) => {
                if let Some(validator) = &validator {
                    findings.extend(violations(validator, path, bytes, &value));
                }
                definitions.insert(
                    name,
                    Defined {
                        file: Arc::from(*path),
                        value,
                    },
                );
            }
            Err(errors) => findings.extend(errors),
        }
    }
    definitions
}

/// Patterns run in time linear to their input, and nothing outside the schema is fetched: it may be hostile.
fn validator(snapshot: &Snapshot, kind: &str) -> Result<Validator, Box<Finding>> {
    let path = format!("{FOLDER}{kind}/schema.json");
    let broken = |message: String, line: usize, column: usize| {
        let at = Location::new(&path, number(line), number(column));
        Box::new(
            Finding::error(codes::BROKEN_SCHEMA, message)
                .at(at)
                .hint("`{ \"type\": \"object\" }` is enough to begin with"),
        )
    };
    let bytes = snapshot
        .file(&path)
        .ok_or_else(|| broken(format!("the kind `{kind}` has no schema.json"), 0, 0))?;
    let schema: Value = serde_json::from_slice(bytes).map_err(|error| {
        let message = format!("the schema is not JSON: {error}");
        broken(message, error.line(), error.column())
    })?;
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map_err(|error| broken(format!("the schema cannot be used: {error}"), 0, 0))
}

fn violations(validator: &Validator, path: &str, bytes: &[u8], value: &Value) -> Vec<Finding> {
    validator
        .iter_errors(value)
        .take(MOST_VIOLATIONS)
        .map(|error| {
            let message: String = error.to_string().chars().take(300).collect();
            Finding::error(codes::SCHEMA_VIOLATION, message).at(yaml::locate(
                path,
                bytes,
                error.instance_path().as_str(),
            ))
        })
        .collect()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
