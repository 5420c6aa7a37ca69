//! What the fake forge holds.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::Flavour;

#[derive(Debug, Clone)]
pub struct Account {
    pub id: u64,
    pub may_merge: bool,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub author: String,
    /// The branch of the repository that it comes from.
    pub branch: String,
    pub base: String,
    pub head: String,
    pub foreign: bool,
    pub open: bool,
    /// The merge commit.
    pub merged: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Comment {
    pub id: u64,
    pub request: u64,
    pub author: String,
    pub body: String,
    pub edits: u32,
    pub created: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub commit: String,
    /// In GitHub's words.
    pub state: String,
    pub description: String,
    pub context: String,
}

/// What becomes of one of the next questions.
#[derive(Debug, Clone)]
pub enum Weather {
    Broken,
    /// "Too many requests", with the seconds in Retry-After.
    Busy(u64),
    Slow(Duration),
    /// Answers, but the connection breaks off in the middle.
    CutOff,
}

#[derive(Debug)]
pub struct State {
    pub flavour: Flavour,
    pub token: String,
    /// Whether the token may see the project.
    pub sees: bool,
    /// Whether the token is of no use any more.
    pub expired: bool,
    /// Nothing is answered at all.
    pub away: bool,
    pub accounts: BTreeMap<String, Account>,
    pub requests: BTreeMap<u64, Request>,
    pub comments: Vec<Comment>,
    pub statuses: Vec<Status>,
    pub hooks: Vec<serde_json::Value>,
    pub weather: VecDeque<Weather>,
    /// "GET /repos/… 200", in order.
    pub asked: Vec<String>,
    /// Items on a page, however many are asked for.
    pub page: usize,
    pub(super) last_id: u64,
}

pub const BOT: &str = "windlass-bot";

impl State {
    pub(super) fn new(flavour: Flavour, token: &str) -> Self {
        let account = |id, may_merge| Account { id, may_merge };
        let accounts = [
            ("alice", account(11, true)),
            ("mallory", account(66, false)),
            (BOT, account(99, true)),
        ];
        Self {
            flavour,
            token: token.to_owned(),
            sees: true,
            expired: false,
            away: false,
            accounts: accounts.map(|(name, it)| (name.to_owned(), it)).into(),
            requests: BTreeMap::new(),
            comments: Vec::new(),
            statuses: Vec::new(),
            hooks: Vec::new(),
            weather: VecDeque::new(),
            asked: Vec::new(),
            page: 30,
            last_id: 1000,
        }
    }

    pub fn comment(&mut self, request: u64, author: &str, body: &str) -> u64 {
        self.last_id += 1;
        self.comments.push(Comment {
            id: self.last_id,
            request,
            author: author.to_owned(),
            body: body.to_owned(),
            edits: 0,
            created: Timestamp::now(),
        });
        self.last_id
    }

    /// As forges write it: another one after each comment and each edit.
    pub(super) fn updated(&self, request: u64) -> String {
        let comments = self.comments.iter().filter(|it| it.request == request);
        let count: i64 = comments.map(|it| 1 + i64::from(it.edits)).sum();
        let at = Timestamp::from_second(1_790_000_000 + count);
        at.unwrap_or_default().to_string()
    }

    /// What the worker's account said on a request.
    pub fn own(&self, request: u64) -> Vec<&Comment> {
        let comments = self.comments.iter();
        comments
            .filter(|it| it.request == request && it.author == BOT)
            .collect()
    }

    /// The newest status of a commit.
    pub fn status(&self, commit: &str) -> Option<&Status> {
        self.statuses.iter().rev().find(|it| it.commit == commit)
    }

    pub fn asked(&self, method: &str, part: &str) -> usize {
        let asked = self.asked.iter();
        asked
            .filter(|it| it.starts_with(method) && it.contains(part))
            .count()
    }
}
