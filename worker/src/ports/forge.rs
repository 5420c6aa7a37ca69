//! What the flow needs of a Git server's own interface. Reading and writing are separate: what only looks for
//! requests is handed nothing that can comment.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use windlass_core::preview::Status;

/// An account of the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: u64,
    pub login: String,
}

/// A request in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub number: u64,
    /// The commit that is asked to be merged.
    pub head: String,
    /// Another word where anything has changed, a comment too; only to be compared.
    pub updated: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    Open,
    /// Closed without being merged.
    Closed,
    /// The commit that the merge made on the branch, where the forge tells.
    Merged(Option<String>),
}

/// A pull request or merge request as the forge has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeRequest {
    pub number: u64,
    pub head: String,
    /// The branch that it is against.
    pub branch: String,
    /// What the Git server keeps its head at: `refs/pull/12/head`.
    pub reference: String,
    pub author: Account,
    /// It comes from another repository, or from one that is gone.
    pub foreign: bool,
    pub stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    pub author: Account,
    pub body: String,
    /// When it was written first, where the forge tells.
    pub written: Option<Timestamp>,
    /// When it got the text that it has, by the same clock.
    pub edited: Option<Timestamp>,
}

impl Comment {
    /// Whether its text may be another one than its author's first: others can edit it too. A new one has both times alike.
    pub fn is_edited(&self) -> bool {
        match (self.written, self.edited) {
            (Some(written), Some(edited)) => edited > written,
            _ => true,
        }
    }
}

/// A webhook that the forge has for this project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooked {
    pub id: u64,
    pub url: String,
}

/// What the token may, as far as the forge tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    /// `None`: the forge does not tell.
    pub granted: Option<Vec<String>>,
    /// The day on which it ends, where the forge tells.
    pub expires: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    /// A person must act: the token is wrong, has expired, or may not do this.
    #[error("the forge refuses the worker: {0}")]
    Denied(String),
    /// No answer, an answer that it cannot answer now, or too many questions.
    #[error("the forge cannot be asked now: {why}")]
    Away {
        why: String,
        /// When it says to come back.
        again: Option<Duration>,
    },
    #[error("the forge did not do what it was asked: {0}")]
    Refused(String),
}

/// An answer, or `None` where there is no such thing or the token may not see it.
pub type Found<T> = Result<Option<T>, ForgeError>;

pub trait ForgeReader: Send + Sync {
    /// Whose token it is.
    fn whoami(&self) -> impl Future<Output = Result<Account, ForgeError>> + Send;
    /// All open requests against the branch.
    fn open_requests(
        &self,
        branch: &str,
    ) -> impl Future<Output = Result<Vec<Listed>, ForgeError>> + Send;
    /// Requests against the branch that were merged, those that changed last; as many as one answer holds.
    fn merged_requests(
        &self,
        branch: &str,
    ) -> impl Future<Output = Result<Vec<ForgeRequest>, ForgeError>> + Send;
    fn request(&self, number: u64) -> impl Future<Output = Found<ForgeRequest>> + Send;
    fn may_merge(
        &self,
        account: &Account,
        branch: &str,
    ) -> impl Future<Output = Result<bool, ForgeError>> + Send;
    /// All comments of a request, the oldest first.
    fn comments(
        &self,
        request: u64,
    ) -> impl Future<Output = Result<Vec<Comment>, ForgeError>> + Send;
    /// One comment, if it is of this request.
    fn comment(&self, request: u64, id: u64) -> impl Future<Output = Found<Comment>> + Send;
    fn hooks(&self) -> impl Future<Output = Result<Vec<Hooked>, ForgeError>> + Send;
    fn scopes(&self) -> impl Future<Output = Result<Scopes, ForgeError>> + Send;
}

pub trait ForgeWriter: ForgeReader {
    /// Gives the new comment's id.
    fn write_comment(
        &self,
        request: u64,
        text: &str,
    ) -> impl Future<Output = Result<u64, ForgeError>> + Send;
    /// `None`: it was deleted.
    fn edit_comment(
        &self,
        request: u64,
        id: u64,
        text: &str,
    ) -> impl Future<Output = Found<()>> + Send;
    /// `None`: somebody was faster.
    fn delete_comment(&self, request: u64, id: u64) -> impl Future<Output = Found<()>> + Send;
    fn set_status(
        &self,
        commit: &str,
        status: &Status,
        link: Option<&str>,
    ) -> impl Future<Output = Result<(), ForgeError>> + Send;
    /// Makes a webhook that sends what the worker takes, or brings the named one up to date.
    fn set_hook(
        &self,
        existing: Option<u64>,
        url: &str,
        secret: &str,
    ) -> impl Future<Output = Result<(), ForgeError>> + Send;
}
