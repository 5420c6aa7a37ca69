//! The keys of `clusters[].forge`, and what types cannot say of them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use windlass_core::model::scalars::Seconds;
use windlass_core::yaml::At;

/// The Git server's own interface: requests are looked at, and told of in comments and commit statuses.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgeConfig {
    pub kind: ForgeKind,
    /// The address that people see in their browser: `https://git.example.org`. For github.com and gitlab.com it may
    /// be left out.
    pub url: Option<At<String>>,
    /// `owner/name`, as it stands in the project's address; with GitLab also `group/subgroup/name`.
    pub project: At<String>,
    /// File with an access token of the account that is to comment.
    pub token_file: PathBuf,
    /// PEM file with further authorities that the forge's certificate may come from.
    pub ca_file: Option<PathBuf>,
    #[serde(default)]
    pub previews: PreviewsConfig,
    /// How often the forge is asked for requests that no webhook told of.
    #[serde(default = "default_poll")]
    pub poll: Seconds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForgeKind {
    Gitea,
    Forgejo,
    GitHub,
    GitLab,
}

/// Who gets previews without being asked. Someone who may merge can ask for any by a comment: `windlass preview`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreviewsConfig {
    pub from: PreviewsFrom,
    /// Further authors by their login, such as a bot that updates versions.
    pub authors: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PreviewsFrom {
    /// Those who may merge.
    #[default]
    Members,
    /// Whoever can open a request; their templates and checks run in the sandbox.
    Everyone,
    Nobody,
}

fn default_poll() -> Seconds {
    Seconds::new(60)
}

impl ForgeConfig {
    /// Where the forge answers, without a slash at the end.
    pub fn address(&self) -> String {
        let given = self.url.as_ref().map(|url| url.value.as_str());
        let known = match self.kind {
            ForgeKind::GitLab => "https://gitlab.com",
            ForgeKind::GitHub | ForgeKind::Gitea | ForgeKind::Forgejo => "https://github.com",
        };
        given.unwrap_or(known).trim_end_matches('/').to_owned()
    }

    /// What is wrong, and what mends it.
    pub(super) fn mistake(&self) -> Option<(&'static str, &'static str)> {
        let own = matches!(self.kind, ForgeKind::Gitea | ForgeKind::Forgejo);
        if own && self.url.is_none() {
            return Some((
                "it is not known where the forge is",
                "add `url: https://git.example.org`",
            ));
        }
        let address = self.address();
        let (scheme, rest) = address.split_once("://").unwrap_or(("", &address));
        if rest.contains('@') {
            return Some((
                "the URL carries a user or password, which would end up in logs",
                "put the token into a file and name it as `token_file`",
            ));
        }
        if rest.contains(['?', '#']) || rest.is_empty() {
            return Some((
                "this is no address of a forge",
                "write `https://git.example.org`",
            ));
        }
        let host = rest.split('/').next().unwrap_or_default();
        let near = ["127.0.0.1", "localhost", "[::1]"].iter().any(|near| {
            host.strip_prefix(near)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        });
        if scheme != "https" && !(scheme == "http" && near) {
            return Some((
                "the token would be sent over a connection that is not encrypted",
                "use https; plain http only on this machine (127.0.0.1)",
            ));
        }
        let parts: Vec<&str> = self.project.value.split('/').collect();
        let plain = |part: &&str| {
            let own = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(own)
        };
        let depth = if self.kind == ForgeKind::GitLab {
            2..=20
        } else {
            2..=2
        };
        if !depth.contains(&parts.len()) || !parts.iter().all(plain) {
            return Some((
                "this is no project of a forge",
                "write `project: owner/name`, as in the project's address",
            ));
        }
        (self.poll.get() < 5).then_some((
            "the forge would be asked too often",
            "write `poll: 60s`; 5s at least",
        ))
    }
}
