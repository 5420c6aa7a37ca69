//! Answers to commands: one to each, whichever worker gives it and however often it is asked to. A worker may die between saying
//! and writing down that it said, and another may not have been told yet; so what counts is what stands in the request, by our
//! account and with the answer's mark.

use windlass_core::preview::{answer, answered};

use super::look::{Previewer, Requests};
use super::trouble::of_forge;
use crate::flow::trouble::Trouble;
use crate::ports::forge::{Account, Comment, ForgeWriter};
use crate::store::requests::KnownRequest;

const NO: &str =
    "Sorry, Windlass takes commands only from people who may merge here. Please ask one of them.";

/// One of our comments, and the comment that it answers.
struct Given {
    id: u64,
    to: u64,
    is_no: bool,
}

impl<F: ForgeWriter, P: Previewer> Requests<F, P> {
    /// Answers a comment, unless that was done.
    pub(super) async fn say(&self, request: u64, to: u64, words: &str) -> Result<(), Trouble> {
        let mut given = self.answers(request, to).await?;
        if given.is_empty() {
            let text = answer(&self.cluster, to, words);
            let written = self.forge.write_comment(request, &text).await;
            written.map_err(of_forge)?;
            given = self.answers(request, to).await?;
        }
        // Two workers that answered at the same moment both look again, and keep the older one.
        for other in given.iter().skip(1) {
            let deleted = self.forge.delete_comment(request, *other).await;
            deleted.map_err(of_forge)?;
        }
        Ok(())
    }

    /// Once for each person, so that nobody can have us fill a request with answers.
    pub(super) async fn decline(
        &self,
        known: &mut KnownRequest,
        comment: &Comment,
    ) -> Result<(), Trouble> {
        let author = &comment.author;
        if !known.refused.contains(&author.login) {
            if !self.has_declined(known.number, author).await? {
                self.say(known.number, comment.id, NO).await?;
            }
            known.refused.push(author.login.clone());
        }
        self.answered(known, comment.id).await
    }

    pub(super) async fn answered(
        &self,
        known: &mut KnownRequest,
        comment: u64,
    ) -> Result<(), Trouble> {
        known.answered.push(comment);
        Ok(self.store.remember_request(&self.cluster, known).await?)
    }

    /// Our answers to a comment, the oldest first.
    async fn answers(&self, request: u64, to: u64) -> Result<Vec<u64>, Trouble> {
        let comments = self.forge.comments(request).await.map_err(of_forge)?;
        let mut given = self.given(&comments).await?;
        given.retain(|given| given.to == to);
        let mut ids: Vec<u64> = given.iter().map(|given| given.id).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Whether this or another worker told somebody no in answer to any comment that is still there.
    async fn has_declined(&self, request: u64, author: &Account) -> Result<bool, Trouble> {
        let comments = self.forge.comments(request).await.map_err(of_forge)?;
        let given = self.given(&comments).await?;
        let is_theirs = |id: u64| {
            let mut theirs = comments.iter().filter(|it| it.author.id == author.id);
            theirs.any(|comment| comment.id == id)
        };
        Ok(given.iter().any(|given| given.is_no && is_theirs(given.to)))
    }

    async fn given(&self, comments: &[Comment]) -> Result<Vec<Given>, Trouble> {
        let me = self.me().await?;
        let ours = comments.iter().filter(|it| it.author.id == me.id);
        let given = ours.filter_map(|comment| {
            Some(Given {
                id: comment.id,
                to: answered(&comment.body, &self.cluster)?,
                is_no: comment.body.starts_with(NO),
            })
        });
        Ok(given.collect())
    }
}
