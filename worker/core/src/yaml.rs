//! The one place that names the YAML parser. It turns untrusted bytes into typed values, bounded in depth,
//! nodes and aliases, and turns every refusal into a finding with a place and a hint. Duplicate keys are
//! errors, because "the last one wins" silently loses a node or a record.

use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_yaml::{DuplicateKeyPolicy, Error, MessageFormatter as _, Options, UserMessageFormatter};

use crate::codes::{Code, definitions as codes};
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

/// Parses one file that holds one document.
pub fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, Findings> {
    let text = text(file, bytes).map_err(|finding| Findings::from_iter([finding]))?;
    serde_yaml::from_str_with_options(text, options())
        .map_err(|error| Findings::from_iter([finding(file, &error)]))
}

fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Finding> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before
            .iter()
            .rev()
            .take_while(|byte| **byte != b'\n')
            .count();
        Finding::error(codes::NOT_TEXT, "the file is not UTF-8 text")
            .at(Location::new(
                file,
                small(line as u64),
                small(column as u64),
            ))
            .hint("save it as UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        return Err(
            Finding::error(codes::NOT_TEXT, "the file begins with a byte order mark")
                .at(Location::new(file, 1, 1))
                .hint("save it as UTF-8 without BOM"),
        );
    }
    let empty = |line: &str| {
        line.trim().is_empty() || line.trim_start().starts_with('#') || line.trim_end() == "---"
    };
    if text.lines().all(empty) {
        return Err(Finding::error(codes::NOT_TEXT, "the file holds nothing")
            .at(Location::file(file))
            .hint("write the definition, or delete the file"));
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
            max_depth: 64,
            max_nodes: 200_000,
            max_events: 500_000,
            max_aliases: 100,
            max_anchors: 100,
            max_documents: 2,
        },
    }
}

fn finding(file: &str, error: &Error) -> Finding {
    let error = innermost(error);
    let (code, message, hint) = explain(error);
    let place = error.location().map_or_else(
        || Location::file(file),
        |at| Location::new(file, small(at.line()), small(at.column())),
    );
    let finding = Finding::error(code, message).at(place);
    match hint {
        Some(hint) => finding.hint(hint),
        None => finding,
    }
}

/// Errors behind an alias or a snippet are told as what they are.
fn innermost(error: &Error) -> &Error {
    let mut error = error.without_snippet();
    while let Error::AliasError { error: inner, .. } = error {
        error = inner.without_snippet();
    }
    error
}

fn explain(error: &Error) -> (Code, String, Option<String>) {
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => (
            codes::UNKNOWN_KEY,
            format!("there is no key `{field}` here"),
            Some(did_you_mean(field, expected)),
        ),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => (
            codes::WRONG_VALUE,
            format!("`{variant}` is none of the words allowed here"),
            Some(did_you_mean(variant, expected)),
        ),
        Error::SerdeMissingField { field, .. } => (
            codes::MISSING_KEY,
            format!("the key `{field}` is missing"),
            Some(format!("add `{field}:`")),
        ),
        Error::DuplicateMappingKey { key, .. } => (
            codes::DUPLICATE_KEY,
            match key {
                Some(key) => format!("the key `{key}` stands twice"),
                None => "a key stands twice".to_owned(),
            },
            Some("keep one of the two".to_owned()),
        ),
        Error::MultipleDocuments { .. } => (
            codes::NOT_TEXT,
            "the file holds more than one YAML document".to_owned(),
            Some("write one definition a file; remove the `---` in its middle".to_owned()),
        ),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            codes::TOO_MUCH,
            format!("the file breaks a limit: {}", plain(error)),
            Some(
                "definitions need no deep nesting and no chains of aliases; split the file"
                    .to_owned(),
            ),
        ),
        Error::InvalidBooleanStrict { .. } => (
            codes::WRONG_VALUE,
            "expected `true` or `false`".to_owned(),
            Some("yes, no, on and off are plain words in YAML 1.2".to_owned()),
        ),
        Error::SerdeInvalidType {
            unexpected,
            expected,
            ..
        }
        | Error::SerdeInvalidValue {
            unexpected,
            expected,
            ..
        } => (
            codes::WRONG_VALUE,
            format!("expected {expected}, found {unexpected}"),
            None,
        ),
        Error::InvalidScalar { ty, .. } => (
            codes::WRONG_VALUE,
            format!("expected {}", kind_in_words(ty)),
            None,
        ),
        Error::Message { .. } | Error::Unexpected { .. } | Error::NullIntoString { .. } => {
            (codes::WRONG_VALUE, plain(error), None)
        }
        _ => (
            codes::BROKEN_YAML,
            plain(error),
            Some("look at the indentation, brackets and quotes here and above".to_owned()),
        ),
    }
}

fn kind_in_words(ty: &str) -> String {
    match ty {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number".to_owned(),
        other => other.to_owned(),
    }
}

fn plain(error: &Error) -> String {
    UserMessageFormatter.format_message(error).into_owned()
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

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A document with the places of its values, for messages that name a value by its JSON pointer.
enum Tree {
    Map(Vec<(String, At<Tree>)>),
    List(Vec<At<Tree>>),
    Leaf,
}

/// Where the value of a JSON pointer stands; the nearest value around it where there is none.
pub fn locate(file: &str, bytes: &[u8], pointer: &str) -> Location {
    let Ok(tree) = parse::<At<Tree>>(file, bytes) else {
        return Location::file(file);
    };
    let mut at = &tree;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let below = match &at.value {
            Tree::Map(entries) => entries
                .iter()
                .find(|(key, _)| *key == step)
                .map(|(_, value)| value),
            Tree::List(values) => step
                .parse::<usize>()
                .ok()
                .and_then(|index| values.get(index)),
            Tree::Leaf => None,
        };
        match below {
            Some(below) => at = below,
            None => break,
        }
    }
    at.location(file)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Tree::List(values))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
