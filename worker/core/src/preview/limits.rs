//! How long a comment may be, as each forge counts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    GitHub,
    GitLab,
    Gitea,
    Forgejo,
}

/// A comment holds all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub flavour: Flavour,
    pub bytes: usize,
    /// UTF-16 units: the largest number of characters that anyone counts.
    pub characters: usize,
    /// A file's difference of more lines is folded.
    pub folded_above: usize,
}

impl Limits {
    pub fn of(flavour: Flavour) -> Self {
        let (bytes, characters) = match flavour {
            // It refuses more than 65,536 characters.
            Flavour::GitHub => (260_000, 65_000),
            // GitLab refuses more than a million characters; Gitea and Forgejo document no limit. What is longer
            // than this is read on the page.
            Flavour::GitLab | Flavour::Gitea | Flavour::Forgejo => (250_000, 250_000),
        };
        Self {
            flavour,
            bytes,
            characters,
            folded_above: 30,
        }
    }

    /// What is left after `text`; `None` where it does not fit.
    pub(super) fn minus(self, text: &str) -> Option<Self> {
        Some(Self {
            bytes: self.bytes.checked_sub(text.len())?,
            characters: self.characters.checked_sub(units(text))?,
            ..self
        })
    }
}

pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}
