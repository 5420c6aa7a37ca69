//! A forge on paper: what is written down here is what it says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use windlass_core::preview::Status;

use crate::ports::forge::{
    Account, Comment, ForgeError, ForgeReader, ForgeRequest, ForgeWriter, Found, Hooked, Listed,
    Scopes, Stage,
};

#[derive(Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) away: bool,
    /// When it says to come back.
    pub(crate) again: Option<Duration>,
    pub(crate) requests: BTreeMap<u64, ForgeRequest>,
    pub(crate) comments: Vec<(u64, Comment)>,
    /// What another worker writes in the same moment as we write ours.
    pub(crate) rival: Option<String>,
    pub(crate) statuses: Vec<(String, Status)>,
    /// Whose token we have now, where it is not the first one's.
    pub(crate) successor: Option<&'static str>,
}

/// `alice` and we may merge, nobody else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Sheet>>);

const US: &str = "windlass-bot";
/// As little as a forge can tell.
const AFTERWARDS: Duration = Duration::from_secs(1);

pub(crate) fn account(login: &str) -> Account {
    let id = login.bytes().map(u64::from).sum();
    Account {
        id,
        login: login.to_owned(),
    }
}

impl Paper {
    pub(crate) fn sheet(&self) -> MutexGuard<'_, Sheet> {
        self.0.lock().unwrap()
    }

    pub(crate) fn open(&self, number: u64, head: &str) {
        let request = ForgeRequest {
            number,
            head: head.to_owned(),
            branch: "main".to_owned(),
            reference: format!("refs/heads/request-{number}"),
            author: account("alice"),
            foreign: false,
            stage: Stage::Open,
        };
        self.sheet().requests.insert(number, request);
    }

    pub(crate) fn merged(&self, number: u64, commit: Option<&str>) {
        let mut sheet = self.sheet();
        let request = sheet.requests.get_mut(&number).unwrap();
        request.stage = Stage::Merged(commit.map(str::to_owned));
    }

    /// Gives the comment's id.
    pub(crate) fn says(&self, request: u64, login: &str, body: &str) -> u64 {
        let mut sheet = self.sheet();
        let now = Timestamp::now();
        let id = 100 + sheet.comments.len() as u64;
        let comment = Comment {
            id,
            author: account(login),
            body: body.to_owned(),
            written: Some(now),
            edited: Some(now),
        };
        sheet.comments.push((request, comment));
        id
    }

    /// Somebody else edits what was said.
    pub(crate) fn is_changed(&self, comment: u64, body: &str) {
        let mut sheet = self.sheet();
        let mut comments = sheet.comments.iter_mut();
        let (_, found) = comments.find(|(_, it)| it.id == comment).unwrap();
        body.clone_into(&mut found.body);
        found.edited = found.written.map(|written| written + AFTERWARDS);
    }

    /// What we said on a request.
    pub(crate) fn own(&self, request: u64) -> Vec<String> {
        let sheet = self.sheet();
        let own = sheet
            .comments
            .iter()
            .filter(|(of, comment)| *of == request && comment.author.login.starts_with(US));
        own.map(|(_, comment)| comment.body.clone()).collect()
    }

    /// The status that was set last.
    pub(crate) fn status(&self) -> String {
        let sheet = self.sheet();
        let (_, status) = sheet.statuses.last().unwrap();
        format!("{:?}: {}", status.state, status.description)
    }

    fn us(&self) -> String {
        self.sheet().successor.unwrap_or(US).to_owned()
    }

    fn ask(&self) -> Result<MutexGuard<'_, Sheet>, ForgeError> {
        let sheet = self.sheet();
        if sheet.away {
            return Err(ForgeError::Away {
                why: "nobody is at home".to_owned(),
                again: sheet.again,
            });
        }
        Ok(sheet)
    }
}

impl ForgeReader for Paper {
    async fn whoami(&self) -> Result<Account, ForgeError> {
        drop(self.ask()?);
        Ok(account(&self.us()))
    }

    async fn open_requests(&self, _: &str) -> Result<Vec<Listed>, ForgeError> {
        let sheet = self.ask()?;
        let open = sheet.requests.values().filter(|it| it.stage == Stage::Open);
        Ok(open
            .map(|request| Listed {
                number: request.number,
                head: request.head.clone(),
                updated: None,
            })
            .collect())
    }

    async fn merged_requests(&self, _: &str) -> Result<Vec<ForgeRequest>, ForgeError> {
        let sheet = self.ask()?;
        let all = sheet.requests.values();
        let merged = all.filter(|it| matches!(it.stage, Stage::Merged(_)));
        Ok(merged.cloned().collect())
    }

    async fn request(&self, number: u64) -> Found<ForgeRequest> {
        Ok(self.ask()?.requests.get(&number).cloned())
    }

    async fn may_merge(&self, account: &Account, _: &str) -> Result<bool, ForgeError> {
        drop(self.ask()?);
        Ok(["alice", US].contains(&account.login.as_str()))
    }

    async fn comments(&self, request: u64) -> Result<Vec<Comment>, ForgeError> {
        let sheet = self.ask()?;
        let comments = sheet.comments.iter().filter(|(of, _)| *of == request);
        Ok(comments.map(|(_, comment)| comment.clone()).collect())
    }

    async fn comment(&self, request: u64, id: u64) -> Found<Comment> {
        let sheet = self.ask()?;
        let mut comments = sheet.comments.iter();
        let found = comments.find(|(of, comment)| *of == request && comment.id == id);
        Ok(found.map(|(_, comment)| comment.clone()))
    }

    async fn hooks(&self) -> Result<Vec<Hooked>, ForgeError> {
        Ok(Vec::new())
    }

    async fn scopes(&self) -> Result<Scopes, ForgeError> {
        Ok(Scopes::default())
    }
}

impl ForgeWriter for Paper {
    async fn write_comment(&self, request: u64, text: &str) -> Result<u64, ForgeError> {
        let rival = self.ask()?.rival.take();
        if let Some(rival) = rival {
            self.says(request, &self.us(), &rival);
        }
        Ok(self.says(request, &self.us(), text))
    }

    async fn edit_comment(&self, request: u64, id: u64, text: &str) -> Found<()> {
        let us = self.us();
        let mut sheet = self.ask()?;
        let mut comments = sheet.comments.iter_mut();
        let found = comments.find(|(of, comment)| *of == request && comment.id == id);
        let Some((_, comment)) = found else {
            return Ok(None);
        };
        if comment.author.login != us {
            return Err(ForgeError::Denied("it is somebody else's".to_owned()));
        }
        text.clone_into(&mut comment.body);
        comment.edited = Some(Timestamp::now());
        Ok(Some(()))
    }

    async fn delete_comment(&self, request: u64, id: u64) -> Found<()> {
        let mut sheet = self.ask()?;
        let before = sheet.comments.len();
        let is_it = |(of, comment): &(u64, Comment)| *of == request && comment.id == id;
        sheet.comments.retain(|entry| !is_it(entry));
        Ok((sheet.comments.len() < before).then_some(()))
    }

    async fn set_status(
        &self,
        commit: &str,
        status: &Status,
        _: Option<&str>,
    ) -> Result<(), ForgeError> {
        let mut sheet = self.ask()?;
        sheet.statuses.push((commit.to_owned(), status.clone()));
        Ok(())
    }

    async fn set_hook(&self, _: Option<u64>, _: &str, _: &str) -> Result<(), ForgeError> {
        Ok(())
    }
}
