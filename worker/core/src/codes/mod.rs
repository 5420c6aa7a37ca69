//! Every finding has a code that stays the same for ever, so that people can look it up
//! (`windlass explain WL101`), skip it or search for it. Codes are never given a new meaning.
//!
//! One file per range: 1xx definitions, 2xx components and templates, 3xx checks by real programs,
//! 4xx plan and policy, 5xx nodes and rolls, 6xx Git and the worker.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod checks;
pub mod components;
pub mod definitions;
pub mod git;
pub mod nodes;
pub mod plan;

/// A finding's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String")]
pub struct Code(&'static str);

/// What `windlass explain` says of a code.
#[derive(Debug)]
pub struct Explanation {
    pub code: Code,
    /// One line.
    pub title: &'static str,
    /// Why it is a problem and how to mend it; Markdown.
    pub text: &'static str,
}

/// An explanation as programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    pub code: Code,
    pub title: &'static str,
    /// Markdown.
    pub text: String,
}

impl From<&'static Explanation> for Entry {
    fn from(explanation: &'static Explanation) -> Self {
        let lines: Vec<&str> = explanation.text.lines().map(str::trim).collect();
        Self {
            code: explanation.code,
            title: explanation.title,
            text: lines.join("\n"),
        }
    }
}

const ALL: [&[Explanation]; 6] = [
    definitions::ALL,
    components::ALL,
    checks::ALL,
    plan::ALL,
    nodes::ALL,
    git::ALL,
];

/// Looks a code up; `None` where there is no such code.
pub fn explain(code: &str) -> Option<&'static Explanation> {
    all().find(|explanation| explanation.code.0.eq_ignore_ascii_case(code))
}

pub fn all() -> impl Iterator<Item = &'static Explanation> {
    ALL.into_iter().flatten()
}

impl Code {
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = String::deserialize(deserializer)?;
        explain(&value)
            .map(|explanation| explanation.code)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown code {value:?}")))
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.0.to_owned()
    }
}

/// Declares the codes of one range: a constant for each, and `ALL` with what each means.
macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $text:literal;)*) => {
        $(pub const $name: crate::codes::Code = crate::codes::Code($code);)*
        pub(super) const ALL: &[crate::codes::Explanation] = &[
            $(crate::codes::Explanation { code: $name, title: $title, text: $text },)*
        ];
    };
}
use codes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_found_again() {
        let mut seen: Vec<&str> = all().map(|explanation| explanation.code.0).collect();
        assert!(
            seen.is_sorted(),
            "`windlass explain` lists them in this order"
        );
        let count = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), count, "a code stands twice");
        for code in seen {
            assert!(explain(&code.to_lowercase()).is_some());
        }
    }
}
