//! The one shape for problems a user can mend, whoever found them: the loader, a cross-check, a template,
//! a real program, the plan. All findings are collected and shown at once, never only the first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codes::Code;
use crate::ids::{ComponentName, NodeName};

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing goes on.
    Error,
    /// Worth a look; goes on.
    Warning,
}

/// A place in the cluster repository. Line and column count from 1; a line of 0 means the whole file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

impl Location {
    pub fn new(file: impl Into<String>, line: u32, column: u32) -> Self {
        Self {
            file: file.into(),
            line,
            column,
        }
    }

    pub fn file(file: impl Into<String>) -> Self {
        Self::new(file, 0, 0)
    }
}

/// A line of a rendered file, quoted because the program that refused it speaks of that line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Excerpt {
    pub path: String,
    pub line: u32,
    pub text: String,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    pub severity: Severity,
    pub code: Code,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    pub at: Option<Location>,
    pub node: Option<NodeName>,
    pub component: Option<ComponentName>,
    pub excerpt: Option<Excerpt>,
    /// Other places that matter, each with why ("first defined here").
    #[serde(default)]
    pub related: Vec<(Location, String)>,
    /// What would mend it.
    pub hint: Option<String>,
}

impl Finding {
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            at: None,
            node: None,
            component: None,
            excerpt: None,
            related: Vec::new(),
            hint: None,
        }
    }

    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.at = Some(location);
        self
    }

    #[must_use]
    pub fn on(mut self, node: &NodeName) -> Self {
        self.node = Some(node.clone());
        self
    }

    #[must_use]
    pub fn of(mut self, component: &ComponentName) -> Self {
        self.component = Some(component.clone());
        self
    }

    #[must_use]
    pub fn quoting(mut self, path: impl Into<String>, line: u32, text: impl Into<String>) -> Self {
        self.excerpt = Some(Excerpt {
            path: path.into(),
            line,
            text: text.into(),
        });
        self
    }

    #[must_use]
    pub fn related(mut self, location: Location, why: impl Into<String>) -> Self {
        self.related.push((location, why.into()));
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Findings in a stable order without repetition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.0.iter()
    }

    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    /// Sorted by place, then severity, then code; exact repetitions dropped.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.0.sort_by(|a, b| {
            (&a.at, a.severity, a.code, &a.node, &a.message)
                .cmp(&(&b.at, b.severity, b.code, &b.node, &b.message))
        });
        self.0.dedup();
        self
    }
}

impl Extend<Finding> for Findings {
    fn extend<I: IntoIterator<Item = Finding>>(&mut self, iter: I) {
        self.0.extend(iter);
    }
}

impl FromIterator<Finding> for Findings {
    fn from_iter<I: IntoIterator<Item = Finding>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl IntoIterator for Findings {
    type Item = Finding;
    type IntoIter = std::vec::IntoIter<Finding>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Findings {
    type Item = &'a Finding;
    type IntoIter = std::slice::Iter<'a, Finding>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
