//! The one place that names the YAML parser. It turns untrusted bytes into typed values, bounded in depth,
//! nodes and aliases, and turns every refusal into a finding with a place and a hint. Duplicate keys are
//! errors, because "the last one wins" silently loses a node or a record.

use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_yaml::{DuplicateKeyPolicy, Options};

mod careful;
mod explain;
mod mistakes;
mod tree;

pub use tree::locate;

use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};

/// A value with the place where it stands in its file. Compares and serialises as the value alone.
#[derive(Clone, Copy)]
pub struct At<T> {
    pub value: T,
    pub line: u32,
    pub column: u32,
}

impl<T> At<T> {
    /// A value that stands in no file: defaults and tests.
    pub const fn nowhere(value: T) -> Self {
        Self {
            value,
            line: 0,
            column: 0,
        }
    }

    pub fn location(&self, file: &str) -> Location {
        Location::new(file, self.line, self.column)
    }
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: fmt::Debug> fmt::Debug for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_yaml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self {
            line: small(spanned.referenced.line()),
            column: small(spanned.referenced.column()),
            value: spanned.value,
        })
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Parses one file that holds one document; all mistakes are told at once.
pub fn parse<T: DeserializeOwned + JsonSchema>(file: &str, bytes: &[u8]) -> Result<T, Findings> {
    let text = text(file, bytes).map_err(|finding| Findings::from_iter([*finding]))?;
    read(text).map_err(|error| mistakes::all::<T>(file, text, &error))
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
    serde_yaml::from_str_with_options(text, options())
}

fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Box<Finding>> {
    let refused = |message: &str, at: Location, hint: &str| {
        Box::new(Finding::error(codes::NOT_TEXT, message).at(at).hint(hint))
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let in_line = before.iter().rev().take_while(|byte| **byte != b'\n');
        let at = Location::new(file, small(line as u64), small(1 + in_line.count() as u64));
        refused("the file is not UTF-8 text", at, "save it as UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        let at = Location::new(file, 1, 1);
        let hint = "save it as UTF-8 without BOM";
        return Err(refused("the file begins with a byte order mark", at, hint));
    }
    let empty = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    };
    if text.lines().all(empty) {
        let hint = "write the definition, or delete the file";
        return Err(refused(
            "the file holds nothing",
            Location::file(file),
            hint,
        ));
    }
    Ok(text)
}

/// Generous for a zone of several thousand records (about eight nodes each), small enough for a hostile file.
fn options() -> Options {
    serde_yaml::options! {
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        reject_tagged_field_names: true,
        budget: serde_yaml::budget! {
            max_depth: 32,
            max_nodes: 200_000,
            max_events: 500_000,
            max_aliases: 100,
            max_anchors: 100,
            max_documents: 2,
        },
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The nearest word by edit distance, or all that are allowed.
pub fn did_you_mean(found: &str, expected: &[&str]) -> String {
    match nearest(found, expected.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None if expected.is_empty() => "nothing is allowed here".to_owned(),
        None => format!("allowed: {}", expected.join(", ")),
    }
}

/// The candidate that is most like `found`, if any is like it at all.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let short: String = found.chars().take(64).collect();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&short, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests;
