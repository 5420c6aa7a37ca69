//! Why the parser refused a file, in words for whoever wrote it.

use serde_yaml::{Error, MessageFormatter as _, UserMessageFormatter};

use super::{did_you_mean, small};
use crate::codes::{Code, definitions as codes};
use crate::finding::{Finding, Location};

pub(super) fn finding(file: &str, error: &Error) -> Finding {
    let error = innermost(error);
    let (code, message, hint) = explain(error);
    let finding = Finding::error(code, message).at(place(file, error));
    match hint {
        Some(hint) => finding.hint(hint),
        None => finding,
    }
}

fn place(file: &str, error: &Error) -> Location {
    innermost(error).location().map_or_else(
        || Location::file(file),
        |at| Location::new(file, small(at.line()), small(at.column())),
    )
}

/// The key that is missing, where that is what the parser refused.
pub(super) fn missing(error: &Error) -> Option<&str> {
    match innermost(error) {
        Error::SerdeMissingField { field, .. } => Some(field),
        _ => None,
    }
}

pub(super) fn missing_key(field: &str) -> Finding {
    Finding::error(codes::MISSING_KEY, format!("the key `{field}` is missing"))
        .hint(format!("add `{field}:`"))
}

pub(super) fn duplicate(key: &str) -> Finding {
    Finding::error(
        codes::DUPLICATE_KEY,
        format!("the key `{key}` stands twice"),
    )
    .hint("keep one of the two")
}

/// Errors behind an alias or a snippet are told as what they are.
fn innermost(error: &Error) -> &Error {
    let mut error = error.without_snippet();
    while let Error::AliasError { error: inner, .. } = error {
        error = inner.without_snippet();
    }
    error
}

/// What is wrong, and what would mend it.
type Words = (Code, String, Option<String>);

fn explain(error: &Error) -> Words {
    key(error)
        .or_else(|| value(error))
        .or_else(|| limit(error))
        .unwrap_or_else(|| {
            let hint = "look at the indentation, brackets and quotes here and above";
            (codes::BROKEN_YAML, plain(error), Some(hint.to_owned()))
        })
}

fn key(error: &Error) -> Option<Words> {
    Some(match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => (
            codes::UNKNOWN_KEY,
            format!("there is no key `{field}` here"),
            Some(did_you_mean(field, expected)),
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
        _ => return None,
    })
}

fn value(error: &Error) -> Option<Words> {
    let (message, hint) = match error {
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => (
            format!("`{variant}` is none of the words allowed here"),
            Some(did_you_mean(variant, expected)),
        ),
        Error::InvalidBooleanStrict { .. } => (
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
        } => (format!("expected {expected}, found {unexpected}"), None),
        Error::InvalidScalar { ty, .. } => (format!("expected {}", kind_in_words(ty)), None),
        Error::Message { .. } | Error::Unexpected { .. } | Error::NullIntoString { .. } => {
            (plain(error), None)
        }
        _ => return None,
    };
    Some((codes::WRONG_VALUE, message, hint))
}

fn limit(error: &Error) -> Option<Words> {
    Some(match error {
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
        _ => return None,
    })
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
