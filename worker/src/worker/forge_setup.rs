//! What a person sets up at a forge: whether the token can do what the worker does with it, and the webhook.

use anyhow::{Context as _, bail};
use windlass_core::ids::ClusterName;

use super::requests::client;
use crate::config::{ClusterConfig, Config, ForgeConfig, ForgeKind};
use crate::forge::AnyForge;
use crate::ports::forge::{ForgeError, ForgeReader as _, ForgeWriter as _};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    pub good: bool,
    pub words: String,
}

impl Looked {
    fn good(words: String) -> Self {
        Self { good: true, words }
    }

    fn bad(words: String) -> Self {
        Self { good: false, words }
    }
}

/// What the token is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// What the worker does with it day by day.
    Work,
    /// That, and making the webhook just now.
    SetUp,
}

/// Asks the forge for everything that can be asked without writing.
pub async fn check(
    config: &Config,
    cluster: &ClusterName,
    wanted: Use,
) -> anyhow::Result<Vec<Looked>> {
    let (cluster, forge) = configured(config, cluster)?;
    let client = client(forge)?;
    let me = match client.whoami().await {
        Ok(me) => me,
        Err(error) => return Ok(vec![Looked::bad(error.to_string())]),
    };
    let project = &forge.project.value;
    let mut looked = vec![Looked::good(format!("the token is of {}", me.login))];
    let branch = &cluster.repository.branch;
    looked.push(match client.open_requests(branch).await {
        Ok(open) => Looked::good(format!(
            "it sees {project}; open requests against {branch}: {}",
            open.len()
        )),
        Err(error) => missing("reading the requests", &error),
    });
    looked.push(match client.may_merge(&me, branch).await {
        Ok(true) => Looked::good(format!("{} may write to {project}", me.login)),
        Ok(false) => Looked::bad(format!(
            "{} may not write to {project}, so that statuses will be refused",
            me.login
        )),
        Err(error) => missing("asking who may merge", &error),
    });
    looked.extend(scopes(&client, forge.kind, wanted).await);
    looked.push(match client.hooks().await {
        Ok(hooks) => {
            let end = path(forge.kind);
            match hooks.iter().find(|hook| hook.url.ends_with(end)) {
                Some(hook) => Looked::good(format!("there is a webhook to {}", hook.url)),
                None => Looked::good(format!(
                    "there is no webhook to …{end}: requests and commands in comments are found by polling alone"
                )),
            }
        }
        // Only setting one up takes this, so a token without it is the better one.
        Err(_) => Looked::good("the token may not see webhooks, and need not".to_owned()),
    });
    Ok(looked)
}

fn missing(what: &str, error: &ForgeError) -> Looked {
    Looked::bad(format!("{what} does not work: {error}"))
}

/// What the token should be able to do, and what it should not, where the forge tells.
async fn scopes(client: &AnyForge, kind: ForgeKind, wanted: Use) -> Vec<Looked> {
    let scopes = match client.scopes().await {
        Ok(scopes) => scopes,
        Err(error) => return vec![missing("asking for the token's scopes", &error)],
    };
    let mut looked = Vec::new();
    if let Some(end) = &scopes.expires {
        looked.push(Looked::good(format!("the token ends on {end}")));
    }
    match scopes.granted.filter(|granted| !granted.is_empty()) {
        Some(granted) => looked.extend(judged(kind, &granted, wanted)),
        None => looked.push(Looked::good(format!(
            "the forge does not tell what else the token may do; it needs {}",
            all_that_is_needed(kind)
        ))),
    }
    looked
}

fn judged(kind: ForgeKind, granted: &[String], wanted: Use) -> Vec<Looked> {
    let Some(needed) = needed(kind) else {
        return Vec::new();
    };
    let mut looked = Vec::new();
    if !granted.iter().any(|scope| scope == needed) {
        looked.push(Looked::bad(format!("the token lacks the scope {needed}")));
    }
    let others = granted.iter().filter(|scope| *scope != needed);
    let (for_hooks, spare): (Vec<&String>, Vec<&String>) =
        others.partition(|scope| HOOKS.contains(&scope.as_str()));
    if !spare.is_empty() {
        let words = format!(
            "the token has scopes that nothing here needs: {}",
            list(&spare)
        );
        looked.push(Looked::bad(words));
    }
    if !for_hooks.is_empty() {
        let scopes = list(&for_hooks);
        looked.push(match wanted {
            Use::SetUp => Looked::good(format!(
                "the webhook is made, so the token needs {scopes} no longer: take it away"
            )),
            Use::Work => Looked::bad(format!(
                "the token has {scopes}, which only making the webhook takes"
            )),
        });
    }
    looked
}

fn list(scopes: &[&String]) -> String {
    let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    words.join(", ")
}

/// Scopes of a classic token of GitHub that make webhooks.
const HOOKS: [&str; 2] = ["admin:repo_hook", "write:repo_hook"];

/// The one scope that the worker's work takes, where tokens tell theirs.
fn needed(kind: ForgeKind) -> Option<&'static str> {
    match kind {
        ForgeKind::GitHub => Some("repo"),
        ForgeKind::GitLab => Some("api"),
        ForgeKind::Gitea | ForgeKind::Forgejo => None,
    }
}

fn all_that_is_needed(kind: ForgeKind) -> &'static str {
    match kind {
        ForgeKind::GitHub => {
            "pull requests and commit statuses (read and write), contents and metadata (read), for this repository alone"
        }
        ForgeKind::GitLab => "api",
        ForgeKind::Gitea | ForgeKind::Forgejo => "write:issue, write:repository and read:user",
    }
}

/// Makes the webhook, or brings the one with this address up to date; gives its address.
pub async fn set_hook(
    config: &Config,
    cluster: &ClusterName,
    address: &str,
) -> anyhow::Result<String> {
    let (_, forge) = configured(config, cluster)?;
    let hook = config.hook.as_ref();
    let secret = hook.and_then(|hook| hook.secret_files.first());
    let secret = secret.context("the configuration has no `hook.secret_files`")?;
    let text = std::fs::read_to_string(secret)
        .with_context(|| format!("cannot read {}", secret.display()))?;
    let text = text.trim();
    if text.starts_with("whsec_") {
        bail!(
            "{} holds a signing token, which is given to GitLab by hand",
            secret.display()
        );
    }
    let url = format!("{}{}", address.trim_end_matches('/'), path(forge.kind));
    let client = client(forge)?;
    let hooks = client.hooks().await?;
    let existing = hooks
        .iter()
        .find(|hook| hook.url == url)
        .map(|hook| hook.id);
    client.set_hook(existing, &url, text).await?;
    Ok(url)
}

fn path(kind: ForgeKind) -> &'static str {
    match kind {
        ForgeKind::Gitea => "/hooks/gitea",
        ForgeKind::Forgejo => "/hooks/forgejo",
        ForgeKind::GitHub => "/hooks/github",
        ForgeKind::GitLab => "/hooks/gitlab",
    }
}

fn configured<'a>(
    config: &'a Config,
    name: &ClusterName,
) -> anyhow::Result<(&'a ClusterConfig, &'a ForgeConfig)> {
    let cluster = config.clusters.iter().find(|cluster| cluster.name == *name);
    let cluster = cluster
        .with_context(|| format!("the worker's configuration watches no cluster named {name}"))?;
    let forge = cluster.forge.as_ref();
    let forge =
        forge.with_context(|| format!("the cluster {name} has no `forge` in worker.yaml"))?;
    Ok((&cluster.value, forge))
}
