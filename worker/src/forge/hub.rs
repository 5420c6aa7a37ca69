//! GitHub, and Gitea and Forgejo, whose interface was made after GitHub's.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_core::preview::{State, Status};

use super::http::Http;
use super::shape::{User, account, all, read, unseen};
use crate::ports::forge::{
    Account, Comment, ForgeError, ForgeReader, ForgeRequest, ForgeWriter, Found, Hooked, Listed,
    Scopes, Stage,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    GitHub,
    Gitea,
    Forgejo,
}

#[derive(Debug, Clone)]
pub(super) struct Hub {
    pub(super) http: Http,
    /// `owner/name`
    pub(super) project: String,
    pub(super) flavour: Flavour,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    state: String,
    user: Option<User>,
    head: Side,
    base: Side,
    #[serde(default)]
    merged: Option<bool>,
    /// A list has this alone.
    #[serde(default)]
    merged_at: Option<String>,
    merge_commit_sha: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Side {
    sha: String,
    r#ref: String,
    repo: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
}

#[derive(Deserialize)]
struct Said {
    id: u64,
    user: Option<User>,
    body: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    /// GitHub: of the request's issue. Gitea leaves it empty for requests and gives `pull_request_url`.
    #[serde(default)]
    issue_url: String,
    #[serde(default)]
    pull_request_url: String,
}

#[derive(Deserialize)]
struct Hook {
    id: u64,
    config: HookConfig,
}

#[derive(Deserialize)]
struct HookConfig {
    #[serde(default)]
    url: String,
}

impl Hub {
    pub(super) fn at(&self, rest: &str) -> String {
        format!("/repos/{}/{rest}", self.project)
    }

    /// How each wants to be asked for long pages.
    fn pages(&self) -> &'static str {
        match self.flavour {
            Flavour::GitHub => "per_page=100",
            Flavour::Gitea | Flavour::Forgejo => "limit=50",
        }
    }

    async fn listed(&self, rest: &str) -> Result<Vec<Value>, ForgeError> {
        let found = self.http.list(&self.at(rest)).await?;
        found.ok_or_else(|| unseen(&self.project))
    }
}

impl From<Pull> for ForgeRequest {
    fn from(pull: Pull) -> Self {
        let stage = match pull.state.as_str() {
            _ if pull.merged == Some(true) || pull.merged_at.is_some() => {
                Stage::Merged(pull.merge_commit_sha)
            }
            "open" => Stage::Open,
            _ => Stage::Closed,
        };
        let repositories = (
            pull.head.repo.map(|it| it.id),
            pull.base.repo.map(|it| it.id),
        );
        Self {
            number: pull.number,
            head: pull.head.sha,
            branch: pull.base.r#ref,
            reference: format!("refs/pull/{}/head", pull.number),
            author: account(pull.user),
            foreign: repositories.0.is_none() || repositories.0 != repositories.1,
            stage,
        }
    }
}

impl Said {
    /// A comment's id is not of one request: whoever names another's would have it read here.
    fn is_of(&self, request: u64) -> bool {
        let end = format!("/{request}");
        [&self.issue_url, &self.pull_request_url]
            .iter()
            .any(|url| url.ends_with(&end))
    }
}

impl From<Said> for Comment {
    fn from(said: Said) -> Self {
        Self {
            id: said.id,
            author: account(said.user),
            body: said.body.unwrap_or_default(),
            written: said.created_at.and_then(|at| at.parse().ok()),
            edited: said.updated_at.and_then(|at| at.parse().ok()),
        }
    }
}

impl ForgeReader for Hub {
    async fn whoami(&self) -> Result<Account, ForgeError> {
        let answer = self.http.get("/user").await?;
        let answer = answer.ok_or_else(|| unseen("the token's account"))?;
        Ok(read::<User>(answer.body)?.into())
    }

    async fn open_requests(&self, branch: &str) -> Result<Vec<Listed>, ForgeError> {
        // Gitea takes no base: what is against other branches is left out here.
        let path = format!("pulls?state=open&{}", self.pages());
        let pulls = all::<Pull>(self.listed(&path).await?)?.into_iter();
        let ours = pulls.filter(|pull| pull.base.r#ref == branch);
        let listed = ours.map(|pull| Listed {
            number: pull.number,
            head: pull.head.sha,
            updated: pull.updated_at,
        });
        Ok(listed.collect())
    }

    async fn merged_requests(&self, branch: &str) -> Result<Vec<ForgeRequest>, ForgeError> {
        let order = match self.flavour {
            Flavour::GitHub => "sort=updated&direction=desc",
            Flavour::Gitea | Flavour::Forgejo => "sort=recentupdate",
        };
        let path = self.at(&format!("pulls?state=closed&{order}&{}", self.pages()));
        let page = self.http.page(&path).await?;
        let pulls = all::<Pull>(page.ok_or_else(|| unseen(&self.project))?)?;
        let ours = pulls.into_iter().filter(|pull| pull.base.r#ref == branch);
        let ours = ours.map(ForgeRequest::from);
        Ok(ours
            .filter(|it| matches!(it.stage, Stage::Merged(_)))
            .collect())
    }

    async fn request(&self, number: u64) -> Found<ForgeRequest> {
        let answer = self.http.get(&self.at(&format!("pulls/{number}"))).await?;
        let pull = answer.map(|answer| read::<Pull>(answer.body)).transpose()?;
        Ok(pull.map(ForgeRequest::from))
    }

    async fn may_merge(&self, account: &Account, branch: &str) -> Result<bool, ForgeError> {
        self.rights(account, branch).await
    }

    async fn comments(&self, request: u64) -> Result<Vec<Comment>, ForgeError> {
        let path = format!("issues/{request}/comments?{}", self.pages());
        let said = all::<Said>(self.listed(&path).await?)?;
        Ok(said.into_iter().map(Comment::from).collect())
    }

    async fn comment(&self, request: u64, id: u64) -> Found<Comment> {
        let path = self.at(&format!("issues/comments/{id}"));
        let answer = self.http.get(&path).await?;
        let said = answer.map(|answer| read::<Said>(answer.body)).transpose()?;
        Ok(said.filter(|said| said.is_of(request)).map(Comment::from))
    }

    async fn hooks(&self) -> Result<Vec<Hooked>, ForgeError> {
        let hooks = all::<Hook>(self.listed(&format!("hooks?{}", self.pages())).await?)?;
        let hooks = hooks.into_iter().map(|hook| Hooked {
            id: hook.id,
            url: hook.config.url,
        });
        Ok(hooks.collect())
    }

    async fn scopes(&self) -> Result<Scopes, ForgeError> {
        let answer = self.http.get("/user").await?;
        let answer = answer.ok_or_else(|| unseen("the token's account"))?;
        let header = |name: &str| {
            let value = answer.headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let scopes = header("x-oauth-scopes").map(|scopes| {
            let scopes = scopes.split(',').map(str::trim);
            scopes
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned)
                .collect()
        });
        Ok(Scopes {
            granted: scopes,
            expires: header("github-authentication-token-expiration"),
        })
    }
}

impl ForgeWriter for Hub {
    async fn write_comment(&self, request: u64, text: &str) -> Result<u64, ForgeError> {
        let path = self.at(&format!("issues/{request}/comments"));
        let answer = self.http.once(&path, &json!({ "body": text })).await?;
        let answer = answer.ok_or_else(|| unseen("the request"))?;
        Ok(read::<Said>(answer.body)?.id)
    }

    async fn edit_comment(&self, _request: u64, id: u64, text: &str) -> Found<()> {
        let path = self.at(&format!("issues/comments/{id}"));
        let body = json!({ "body": text });
        let answer = self.http.put(Method::PATCH, &path, &body).await?;
        Ok(answer.map(drop))
    }

    async fn delete_comment(&self, _request: u64, id: u64) -> Found<()> {
        let path = self.at(&format!("issues/comments/{id}"));
        Ok(self.http.delete(&path).await?.map(drop))
    }

    async fn set_status(
        &self,
        commit: &str,
        status: &Status,
        link: Option<&str>,
    ) -> Result<(), ForgeError> {
        let state = match status.state {
            State::Pending => "pending",
            State::Success => "success",
            State::Failure => "failure",
            State::Error => "error",
        };
        let mut body = json!({
            "state": state, "description": status.description, "context": status.context,
        });
        if let Some(link) = link {
            body["target_url"] = link.into();
        }
        let path = self.at(&format!("statuses/{commit}"));
        let answer = self.http.put(Method::POST, &path, &body).await?;
        answer.map(drop).ok_or_else(|| unseen("the commit"))
    }

    async fn set_hook(
        &self,
        existing: Option<u64>,
        url: &str,
        secret: &str,
    ) -> Result<(), ForgeError> {
        let events = match self.flavour {
            Flavour::GitHub => json!(["push", "pull_request", "issue_comment"]),
            Flavour::Gitea | Flavour::Forgejo => json!([
                "push",
                "pull_request",
                "pull_request_sync",
                "issue_comment",
                "pull_request_comment"
            ]),
        };
        let mut body = json!({
            "active": true, "events": events,
            "config": { "url": url, "content_type": "json", "secret": secret },
        });
        let kind = match self.flavour {
            Flavour::GitHub => "web",
            Flavour::Gitea => "gitea",
            Flavour::Forgejo => "forgejo",
        };
        let (method, path) = match existing {
            Some(id) => (Method::PATCH, self.at(&format!("hooks/{id}"))),
            None => {
                let key = if self.flavour == Flavour::GitHub {
                    "name"
                } else {
                    "type"
                };
                body[key] = kind.into();
                (Method::POST, self.at("hooks"))
            }
        };
        let answer = self.http.put(method, &path, &body).await?;
        answer
            .map(drop)
            .ok_or_else(|| unseen("the project's webhooks"))
    }
}
