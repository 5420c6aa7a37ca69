//! Our comment and our status on a request: one of each, found again and edited in place.

use windlass_core::preview::{Preview, Status, Verdict, comment, status};

use super::look::{Previewer, Requests};
use super::ours::ours;
use super::trouble::of_forge;
use crate::flow::trouble::Trouble;
use crate::ports::forge::{Account, Comment, ForgeRequest, ForgeWriter};
use crate::store::requests::KnownRequest;

impl<F: ForgeWriter, P: Previewer> Requests<F, P> {
    /// Tells what merging would do, and remembers it.
    pub(super) async fn post(
        &self,
        request: &ForgeRequest,
        mut known: KnownRequest,
        mut preview: Preview,
    ) -> Result<(), Trouble> {
        preview.held.clone_from(&known.held);
        let text = comment(&preview, &self.limits);
        let quiet = match preview.verdict {
            // No change, no noise; but what stands there already must not stay wrong.
            Verdict::NoChange | Verdict::Checking | Verdict::Failed { .. } => known.held.is_none(),
            _ => false,
        };
        self.say_in_place(&mut known, &text, quiet).await?;
        self.status(&request.head, &mut known, &preview).await?;
        known.head.clone_from(&request.head);
        known.base.clone_from(&preview.request.base);
        known.preview = Some(preview);
        Ok(self.store.remember_request(&self.cluster, &known).await?)
    }

    pub(super) async fn status(
        &self,
        commit: &str,
        known: &mut KnownRequest,
        preview: &Preview,
    ) -> Result<(), Trouble> {
        self.set_status(commit, known, status(preview), preview.page.as_deref())
            .await
    }

    pub(super) async fn set_status(
        &self,
        commit: &str,
        known: &mut KnownRequest,
        status: Status,
        link: Option<&str>,
    ) -> Result<(), Trouble> {
        let told = Some((commit.to_owned(), status));
        if known.status == told {
            return Ok(());
        }
        if let Some((commit, status)) = &told {
            let set = self.forge.set_status(commit, status, link).await;
            set.map_err(of_forge)?;
        }
        known.status = told;
        Ok(())
    }

    /// Edits our comment, or writes one: also where someone deleted it. With `quiet` none is begun.
    pub(super) async fn say_in_place(
        &self,
        known: &mut KnownRequest,
        text: &str,
        quiet: bool,
    ) -> Result<(), Trouble> {
        let me = self.me().await?;
        let found = match known.comment {
            Some(id) => self
                .forge
                .comment(known.number, id)
                .await
                .map_err(of_forge)?,
            None => None,
        };
        // One of an account that we were before cannot be edited any more.
        let found = match found.filter(|comment| comment.author.id == me.id) {
            Some(comment) => Some(comment),
            None => self.search(known.number, &me).await?,
        };
        known.comment = found.as_ref().map(|comment| comment.id);
        if let Some(comment) = found {
            // Forges may write line ends their own way.
            if same(&comment.body, text) {
                return Ok(());
            }
            let edited = self
                .forge
                .edit_comment(known.number, comment.id, text)
                .await;
            if edited.map_err(of_forge)?.is_some() {
                return Ok(());
            }
        }
        if !quiet {
            let written = self.forge.write_comment(known.number, text).await;
            let written = written.map_err(of_forge)?;
            let kept = self.one_comment(known.number, text).await?;
            known.comment = kept.or(Some(written));
        }
        Ok(())
    }

    async fn search(&self, number: u64, me: &Account) -> Result<Option<Comment>, Trouble> {
        let comments = self.forge.comments(number).await.map_err(of_forge)?;
        let ours = ours(&comments, me, &self.cluster);
        Ok(ours.first().copied().cloned())
    }
}

fn same(one: &str, other: &str) -> bool {
    one.trim_end().lines().eq(other.trim_end().lines())
}
