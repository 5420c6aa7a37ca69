//! What a component does: checks before, actions after its files change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::scalars::{OneOrMany, Seconds};
use crate::release::CheckOn;
use crate::yaml::At;

/// A program asked whether the candidate is good. It sees the candidate files at their final paths, in
/// namespaces of its own: no network, nothing live is touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckEntry {
    /// Shell text; may hold template expressions. Words that name a file of the component's folder bring that
    /// file along, in the working directory (`sh trial.sh`).
    pub run: At<String>,
    /// A regular expression; output that matches means failure, whatever the exit status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_on: Option<At<String>>,
    /// A regular expression with the named groups `message` and, where the program tells them, `file` and `line`;
    /// each match becomes a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<At<String>>,
    /// Where it runs.
    #[serde(default)]
    pub on: CheckOn,
    /// When it is killed and counts as failed.
    #[serde(default = "half_a_minute")]
    pub timeout: At<Seconds>,
    /// A template condition; where it is false there is no such check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<At<String>>,
    /// Its name in reports; absent: the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Something done on the node. Exactly one of `reload`, `restart`, `start`, `stop` and `run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Paths, or globs (`**` crosses slashes), whose change calls for it; absent: any file of the component.
    /// Only in `apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<At<OneOrMany<String>>>,
    /// Due only where nothing but paths that `when` matches has changed, and then the only action of the component that
    /// is: what is enough for these files alone. Only in `apply`.
    #[serde(default = "not_alone")]
    pub alone: At<bool>,
    /// Enables the unit, and reloads it if it runs, else starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<At<String>>,
    /// Enables the unit and restarts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<At<String>>,
    /// Enables the unit and starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<At<String>>,
    /// Disables the unit and stops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<At<String>>,
    /// Shell text, run with `sh -eu`; may hold template expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<At<String>>,
    /// Shell text that must succeed afterwards: many a reload fails and says that all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<At<String>>,
    /// When it is killed and counts as failed.
    #[serde(default = "a_minute")]
    pub timeout: At<Seconds>,
    /// Its name in reports; absent: "reload haproxy", or the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

fn half_a_minute() -> At<Seconds> {
    At::nowhere(Seconds::new(30))
}

fn not_alone() -> At<bool> {
    At::nowhere(false)
}

fn a_minute() -> At<Seconds> {
    At::nowhere(Seconds::new(60))
}
