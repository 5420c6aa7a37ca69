//! What the fake forge holds.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Flavour;

#[derive(Debug, Clone)]
pub struct Account {
    pub id: u64,
    /// In GitLab's numbers: 20 reads, 30 writes, 40 maintains, 50 owns.
    pub level: u64,
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
    pub updated: Timestamp,
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
    /// GitHub's "secondary rate limit": forbidden, with nothing to tell it by but its words.
    Burst,
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
    /// What the token may do, where the forge tells; `None`: a kind of token that tells nothing.
    pub scopes: Option<Vec<String>>,
    /// Nothing is answered at all.
    pub away: bool,
    pub accounts: BTreeMap<String, Account>,
    pub requests: BTreeMap<u64, Request>,
    pub comments: Vec<Comment>,
    pub statuses: Vec<Status>,
    pub hooks: Vec<Value>,
    /// GitLab's protected branches; GitHub's restrictions of `main`, Gitea's rule for it, where there is one.
    pub protection: Vec<Value>,
    /// GitHub's rules that apply to `main`.
    pub rules: Vec<Value>,
    /// Whether the token may read how branches are protected.
    pub shows: bool,
    /// By number, with their names and members.
    pub teams: BTreeMap<u64, (String, Vec<String>)>,
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
        let account = |id, level| Account { id, level };
        let accounts = [
            ("alice", account(11, 40)),
            ("mallory", account(66, 20)),
            ("dora", account(33, 30)),
            (BOT, account(99, 40)),
        ];
        // GitLab protects a project's first branch by itself.
        let protection = match flavour {
            Flavour::GitLab => vec![json!({
                "name": "main", "merge_access_levels": [{ "access_level": 40, "user_id": null, "group_id": null }],
            })],
            _ => Vec::new(),
        };
        Self {
            flavour,
            token: token.to_owned(),
            sees: true,
            expired: false,
            scopes: match flavour {
                Flavour::GitLab => Some(vec!["api".to_owned()]),
                _ => None,
            },
            away: false,
            accounts: accounts.map(|(name, it)| (name.to_owned(), it)).into(),
            requests: BTreeMap::new(),
            comments: Vec::new(),
            statuses: Vec::new(),
            hooks: Vec::new(),
            protection,
            rules: Vec::new(),
            shows: true,
            teams: BTreeMap::new(),
            weather: VecDeque::new(),
            asked: Vec::new(),
            page: 30,
            last_id: 1000,
        }
    }

    pub fn comment(&mut self, request: u64, author: &str, body: &str) -> u64 {
        self.last_id += 1;
        let now = Timestamp::now();
        self.comments.push(Comment {
            id: self.last_id,
            request,
            author: author.to_owned(),
            body: body.to_owned(),
            edits: 0,
            created: now,
            updated: now,
        });
        self.last_id
    }

    pub(super) fn edit(&mut self, index: usize, body: String) {
        let comment = &mut self.comments[index];
        comment.body = body;
        comment.edits += 1;
        comment.updated = Timestamp::now();
    }

    /// Whether this account is in this team.
    pub(super) fn is_member(&self, team: u64, login: &str) -> bool {
        let team = self.teams.get(&team);
        team.is_some_and(|(_, members)| members.iter().any(|member| member == login))
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
