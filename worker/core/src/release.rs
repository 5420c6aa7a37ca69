//! What one node should hold. A release is complete in itself: besides the files it carries what its
//! components do when they change, and how to probe that they work, because a node may have to go back to it
//! long after the repository moved on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::gate::Gate;
use crate::ids::{ClusterName, ComponentName, Digest, NodeName, NodePath};

/// Stands in a rendered zone file where the node puts the SOA serial. The node replaces it at activation:
/// the same serial while the file's other bytes are the same, else a higher one (RFC 1982).
pub const SERIAL_TOKEN: &str = "@WINDLASS_SERIAL@";

/// A file's content with everything a node must know to put it in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFile {
    pub meta: FileMeta,
    /// With `SERIAL_TOKEN` where the serial binds late.
    pub content: Arc<[u8]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileMeta {
    /// Digest of the content (serial not yet bound).
    pub digest: Digest,
    /// Four octal digits, "0644".
    pub mode: String,
    /// "user:group", names as the node knows them.
    pub owner: String,
    pub component: ComponentName,
    /// Never shown, diffed or logged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// The SOA serial binds late.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub serial: bool,
    /// Repository files that this file was made from: its template first, then every definition file that
    /// fed a value the template names. Answers "why does this file change?".
    pub inputs: Vec<String>,
}

/// A shell command with its words for people. `run` is text for `sh -eu`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    pub component: ComponentName,
    /// "reload haproxy".
    pub label: String,
    pub run: String,
    /// Seconds until it is killed and counts as failed.
    pub timeout: u32,
}

/// A check: a program asked whether the candidate is good. Judged by `crate::check::judge` from the exit
/// status *and* the output, on the worker and on the node alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    pub command: Command,
    /// Output that means failure whatever the exit status (a regular expression of the regex crate).
    pub fail_on: Option<String>,
    /// Finds `file`, `line`, `message` in the output, by named groups; one finding a match.
    pub finding: Option<String>,
    /// Where it runs: both by default.
    pub on: CheckOn,
    /// Files (paths in the component's folder) that the command may run, with their content; they are placed in
    /// the command's working directory.
    pub scripts: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckOn {
    #[default]
    Both,
    Worker,
    Node,
}

/// An action with the paths whose change calls for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Apply {
    /// Glob patterns over node paths (`**` crosses slashes); empty: any file of the component.
    pub when: Vec<String>,
    /// Due only where nothing else of the component has changed, and then its only action.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// The shell text already holds the action and its `verify`.
    pub command: Command,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseComponent {
    pub name: ComponentName,
    pub packages: Vec<String>,
    pub checks: Vec<Check>,
    pub apply: Vec<Apply>,
    pub drain: Vec<Command>,
    pub undrain: Vec<Command>,
    /// What to do after its files are gone because the component left the node.
    pub remove: Vec<Command>,
    /// systemd units whose last log lines explain a failure.
    pub units: Vec<String>,
}

/// Everything of a release but the contents; stored on the node as `release.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseMeta {
    pub cluster: ClusterName,
    pub node: NodeName,
    pub digest: Digest,
    /// The commit it was first rendered from (not part of the digest).
    pub commit: String,
    pub files: BTreeMap<NodePath, FileMeta>,
    /// In the order in which they are applied.
    pub components: Vec<ReleaseComponent>,
    pub gates: Vec<Gate>,
    /// Content digest of every repository file that was an input (not part of the digest).
    pub sources: BTreeMap<String, Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub meta: ReleaseMeta,
    pub contents: BTreeMap<NodePath, Arc<[u8]>>,
}

/// The releases of all nodes for one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    pub commit: String,
    pub digest: Digest,
    pub releases: BTreeMap<NodeName, Release>,
    /// Certificates and secrets that were not given, so that stand-ins were rendered: such a bundle can be
    /// checked and diffed, but not rolled.
    pub incomplete: Vec<Finding>,
    /// Hosts that are to be served over TLS and are not yet, because their certificate is being ordered.
    pub pending: BTreeSet<String>,
}

impl Release {
    /// What identifies a release: paths, contents, modes, owners, components and packages. Gates, checks and
    /// provenance may change without a node's turn.
    pub fn digest_of(
        files: &BTreeMap<NodePath, FileMeta>,
        components: &[ReleaseComponent],
    ) -> Digest {
        let mut parts: Vec<String> = Vec::new();
        for (path, file) in files {
            parts.push(format!(
                "{path} {} {} {} {}",
                file.digest, file.mode, file.owner, file.component
            ));
        }
        for component in components {
            parts.push(format!(
                "{} {}",
                component.name,
                component.packages.join(" ")
            ));
        }
        Digest::of_parts(parts.iter().map(String::as_bytes))
    }
}

impl Bundle {
    /// What was reviewed: everything that a review shows, so not what is in secret files. Equal for a request that
    /// was rendered without the secrets and for what merging it rolls.
    pub fn reviewed(&self) -> Digest {
        let secret = Digest::of(b"secret");
        let releases = self.releases.iter().map(|(node, release)| {
            let mut files = release.meta.files.clone();
            for file in files.values_mut().filter(|file| file.secret) {
                file.digest = secret;
            }
            let digest = Release::digest_of(&files, &release.meta.components);
            format!("{node} {digest}")
        });
        let parts: Vec<String> = releases.collect();
        Digest::of_parts(parts.iter().map(String::as_bytes))
    }

    pub fn new(commit: String, releases: BTreeMap<NodeName, Release>) -> Self {
        let parts: Vec<String> = releases
            .iter()
            .map(|(node, release)| format!("{node} {}", release.meta.digest))
            .collect();
        let digest = Digest::of_parts(parts.iter().map(String::as_bytes));
        Self {
            commit,
            digest,
            releases,
            incomplete: Vec::new(),
            pending: BTreeSet::new(),
        }
    }
}
