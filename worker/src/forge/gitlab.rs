//! GitLab.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_core::preview::{State, Status};

use super::http::Http;
use super::shape::{User, all, escaped, read, unseen};
use crate::ports::forge::{
    Account, Comment, ForgeError, ForgeReader, ForgeRequest, ForgeWriter, Found, Hooked, Listed,
    Scopes, Stage,
};

#[derive(Debug, Clone)]
pub(super) struct GitLab {
    pub(super) http: Http,
    /// `group/name` with its slashes written as `%2F`.
    pub(super) project: String,
}

#[derive(Deserialize)]
struct Merge {
    iid: u64,
    /// Empty for a moment after it was opened.
    sha: Option<String>,
    state: String,
    author: User,
    target_branch: String,
    source_project_id: Option<u64>,
    target_project_id: u64,
    merge_commit_sha: Option<String>,
    squash_commit_sha: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    author: User,
    #[serde(default)]
    body: String,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    /// GitLab's own words: "added 1 commit".
    #[serde(default)]
    system: bool,
}

#[derive(Deserialize)]
struct Hook {
    id: u64,
    url: String,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    scopes: Vec<String>,
    expires_at: Option<String>,
}

impl GitLab {
    pub(super) fn at(&self, rest: &str) -> String {
        format!("/projects/{}/{rest}", self.project)
    }

    pub(super) async fn listed(&self, rest: &str) -> Result<Vec<Value>, ForgeError> {
        let found = self.http.list(&self.at(rest)).await?;
        found.ok_or_else(|| unseen("the project"))
    }
}

impl From<Merge> for ForgeRequest {
    fn from(merge: Merge) -> Self {
        let head = merge.sha.unwrap_or_default();
        let stage = match merge.state.as_str() {
            "opened" | "locked" => Stage::Open,
            "merged" => {
                // A fast-forward makes no commit of its own.
                let made = merge.merge_commit_sha.or(merge.squash_commit_sha);
                Stage::Merged(made.or_else(|| Some(head.clone()).filter(|head| !head.is_empty())))
            }
            _ => Stage::Closed,
        };
        Self {
            number: merge.iid,
            head,
            branch: merge.target_branch,
            reference: format!("refs/merge-requests/{}/head", merge.iid),
            author: merge.author.into(),
            foreign: merge.source_project_id != Some(merge.target_project_id),
            stage,
        }
    }
}

impl From<Note> for Comment {
    fn from(note: Note) -> Self {
        Self {
            id: note.id,
            author: note.author.into(),
            body: note.body,
            written: note.created_at.and_then(|at| at.parse().ok()),
            edited: note.updated_at.and_then(|at| at.parse().ok()),
        }
    }
}

impl ForgeReader for GitLab {
    async fn whoami(&self) -> Result<Account, ForgeError> {
        let answer = self.http.get("/user").await?;
        let answer = answer.ok_or_else(|| unseen("the token's account"))?;
        Ok(read::<User>(answer.body)?.into())
    }

    async fn open_requests(&self, branch: &str) -> Result<Vec<Listed>, ForgeError> {
        let branch = escaped(branch);
        let path = format!("merge_requests?state=opened&target_branch={branch}&per_page=100");
        let merges = all::<Merge>(self.listed(&path).await?)?.into_iter();
        let listed = merges.map(|merge| Listed {
            number: merge.iid,
            head: merge.sha.unwrap_or_default(),
            updated: merge.updated_at,
        });
        Ok(listed.collect())
    }

    async fn merged_requests(&self, branch: &str) -> Result<Vec<ForgeRequest>, ForgeError> {
        let branch = escaped(branch);
        let path = format!(
            "merge_requests?state=merged&target_branch={branch}&order_by=updated_at&sort=desc&per_page=100"
        );
        let page = self.http.page(&self.at(&path)).await?;
        let merges = all::<Merge>(page.ok_or_else(|| unseen("the project"))?)?;
        Ok(merges.into_iter().map(ForgeRequest::from).collect())
    }

    async fn request(&self, number: u64) -> Found<ForgeRequest> {
        let path = self.at(&format!("merge_requests/{number}"));
        let answer = self.http.get(&path).await?;
        let merge = answer
            .map(|answer| read::<Merge>(answer.body))
            .transpose()?;
        Ok(merge.map(ForgeRequest::from))
    }

    async fn may_merge(&self, account: &Account, branch: &str) -> Result<bool, ForgeError> {
        self.rights(account, branch).await
    }

    async fn comments(&self, request: u64) -> Result<Vec<Comment>, ForgeError> {
        let path =
            format!("merge_requests/{request}/notes?sort=asc&order_by=created_at&per_page=100");
        let notes = all::<Note>(self.listed(&path).await?)?.into_iter();
        Ok(notes
            .filter(|note| !note.system)
            .map(Comment::from)
            .collect())
    }

    async fn comment(&self, request: u64, id: u64) -> Found<Comment> {
        let path = self.at(&format!("merge_requests/{request}/notes/{id}"));
        let answer = self.http.get(&path).await?;
        let note = answer.map(|answer| read::<Note>(answer.body)).transpose()?;
        Ok(note.map(Comment::from))
    }

    async fn hooks(&self) -> Result<Vec<Hooked>, ForgeError> {
        let hooks = all::<Hook>(self.listed("hooks?per_page=100").await?)?.into_iter();
        let hooks = hooks.map(|hook| Hooked {
            id: hook.id,
            url: hook.url,
        });
        Ok(hooks.collect())
    }

    async fn scopes(&self) -> Result<Scopes, ForgeError> {
        let Some(answer) = self.http.get("/personal_access_tokens/self").await? else {
            return Ok(Scopes::default());
        };
        let token = read::<Token>(answer.body)?;
        Ok(Scopes {
            granted: Some(token.scopes),
            expires: token.expires_at,
        })
    }
}

impl ForgeWriter for GitLab {
    async fn write_comment(&self, request: u64, text: &str) -> Result<u64, ForgeError> {
        let path = self.at(&format!("merge_requests/{request}/notes"));
        let answer = self.http.once(&path, &json!({ "body": text })).await?;
        let answer = answer.ok_or_else(|| unseen("the request"))?;
        Ok(read::<Note>(answer.body)?.id)
    }

    async fn edit_comment(&self, request: u64, id: u64, text: &str) -> Found<()> {
        let path = self.at(&format!("merge_requests/{request}/notes/{id}"));
        let body = json!({ "body": text });
        let answer = self.http.put(Method::PUT, &path, &body).await?;
        Ok(answer.map(drop))
    }

    async fn delete_comment(&self, request: u64, id: u64) -> Found<()> {
        let path = self.at(&format!("merge_requests/{request}/notes/{id}"));
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
            State::Failure | State::Error => "failed",
        };
        let mut body = json!({
            "state": state, "description": status.description, "name": status.context,
        });
        if let Some(link) = link {
            body["target_url"] = link.into();
        }
        let path = self.at(&format!("statuses/{commit}"));
        let set = async |body: &Value| self.http.put(Method::POST, &path, body).await;
        let answer = match set(&body).await {
            // A status that is pending keeps its words as long as it is: it has to end before there is another.
            Err(ForgeError::Refused(why)) if why.contains("Cannot transition status") => {
                set(&json!({ "state": "canceled", "name": status.context })).await?;
                set(&body).await?
            }
            answered => answered?,
        };
        answer.map(drop).ok_or_else(|| unseen("the commit"))
    }

    async fn set_hook(
        &self,
        existing: Option<u64>,
        url: &str,
        secret: &str,
    ) -> Result<(), ForgeError> {
        let body = json!({
            "url": url, "token": secret, "push_events": true, "merge_requests_events": true,
            "note_events": true, "enable_ssl_verification": true,
        });
        let (method, path) = match existing {
            Some(id) => (Method::PUT, self.at(&format!("hooks/{id}"))),
            None => (Method::POST, self.at("hooks")),
        };
        let answer = self.http.put(method, &path, &body).await?;
        answer
            .map(drop)
            .ok_or_else(|| unseen("the project's webhooks"))
    }
}
