//! Commands whose webhook was lost. What was heard of is known by the comment's number; of a request that is new
//! here, only what was written since the forge was asked last counts, so that a worker that lost its
//! database does not carry out what was typed long ago.

use jiff::Timestamp;
use windlass_core::preview::comment;

use super::command::Command;
use super::look::{Previewer, Requests, is_final};
use super::ours::ours;
use super::trouble::of_forge;
use crate::flow::trouble::Trouble;
use crate::ports::forge::{Comment, ForgeWriter};
use crate::store::requests::{KnownRequest, Stage};

/// What is in a request's comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missed {
    /// With commands that nobody has carried out, the oldest first.
    pub comments: Vec<u64>,
    /// The newest of all.
    newest: Option<u64>,
}

impl<F: ForgeWriter, P: Previewer> Requests<F, P> {
    /// Looks through the comments for what no webhook told of.
    pub async fn missed(&self, number: u64, since: Timestamp) -> Result<Missed, Trouble> {
        // What is being carried out now is known when it has ended.
        let turn = self.turn(number);
        let _mine = turn.lock().await;
        let known = self.store.request(&self.cluster, number).await?;
        let known = known.unwrap_or_else(|| KnownRequest::new(number));
        let comments = self.forge.comments(number).await.map_err(of_forge)?;
        let me = self.me().await?;
        if ours(&comments, &me, &self.cluster).len() > 1 {
            self.keep_one(known.clone()).await?;
        }
        let is_new = |comment: &Comment| match known.heard {
            Some(heard) => comment.id > heard,
            None => comment.written.is_some_and(|written| written >= since),
        };
        let missed = comments.iter().filter(|comment| {
            is_new(comment)
                && comment.author != me
                && !known.answered.contains(&comment.id)
                && Command::typed(comment).is_some()
        });
        Ok(Missed {
            comments: missed.map(|comment| comment.id).collect(),
            newest: comments.iter().map(|comment| comment.id).max(),
        })
    }

    /// A worker that was killed at the wrong moment left a second comment of ours. The one that stays is written anew.
    async fn keep_one(&self, mut known: KnownRequest) -> Result<(), Trouble> {
        let looked = known.preview.as_ref().filter(|preview| is_final(preview));
        let Some(preview) = looked.filter(|_| known.stage == Stage::Open) else {
            return Ok(());
        };
        let text = comment(preview, &self.limits);
        known.comment = self.one_comment(known.number, &text).await?;
        Ok(self.store.remember_request(&self.cluster, &known).await?)
    }

    /// They are under way: they are not looked for again.
    pub async fn heard(&self, number: u64, missed: &Missed) -> Result<(), Trouble> {
        let turn = self.turn(number);
        let _mine = turn.lock().await;
        let known = self.store.request(&self.cluster, number).await?;
        let mut known = known.unwrap_or_else(|| KnownRequest::new(number));
        if known.heard < missed.newest {
            known.heard = missed.newest;
            self.store.remember_request(&self.cluster, &known).await?;
        }
        Ok(())
    }
}
