//! Our comment on a request: there is one, whoever of us wrote it. It is found by its marker and by our being its author, because
//! anyone can write the marker. Two workers that begin one at the same moment both look again, and keep the older one.

use windlass_core::ids::ClusterName;
use windlass_core::preview::{Mark, Preview, Request, Verdict, marker};

use super::command::Command;
use super::look::{Previewer, Requests};
use super::trouble::of_forge;
use crate::flow::trouble::Trouble;
use crate::ports::forge::{Account, Comment, ForgeReader, ForgeRequest, ForgeWriter};
use crate::store::Store;
use crate::store::requests::KnownRequest;

/// The oldest one first; with more than one, others are too many.
pub(super) fn ours<'a>(
    comments: &'a [Comment],
    me: &Account,
    cluster: &ClusterName,
) -> Vec<&'a Comment> {
    let marker = marker(cluster);
    let mut ours: Vec<&Comment> = comments
        .iter()
        .filter(|comment| comment.author.id == me.id && comment.body.contains(&marker))
        .collect();
    ours.sort_by_key(|comment| comment.id);
    ours
}

/// Who holds a request, and the comment that said so last: as it is known, and what was typed since by people who may merge.
/// Nothing that we wrote counts: in the differences that we show, a stranger's line may read like a command.
pub(super) async fn ruled<F: ForgeReader>(
    forge: &F,
    branch: &str,
    (comments, me): (&[Comment], &Account),
    known: (Option<u64>, Option<String>),
) -> Result<(Option<u64>, Option<String>), Trouble> {
    let (mut ruled, mut held) = known;
    let since = ruled.unwrap_or_default();
    let later = |comment: &&Comment| comment.id > since && comment.author.id != me.id;
    for comment in comments.iter().filter(later) {
        let holds = match Command::typed(comment) {
            Some(Command::Hold) => true,
            Some(Command::Release) => false,
            _ => continue,
        };
        let may = forge.may_merge(&comment.author, branch).await;
        if may.map_err(of_forge)? {
            held = holds.then(|| comment.author.login.clone());
            ruled = Some(comment.id);
        }
    }
    Ok((ruled, held))
}

/// Whose comments are read.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) branch: &'a str,
    pub(super) number: u64,
}

/// What is known of a request from its comments alone: from ours, and from who rules it.
pub(super) async fn recall(
    store: &Store,
    of: Of<'_>,
    ours: Option<&Comment>,
    (ruled, held): (Option<u64>, Option<String>),
) -> Result<KnownRequest, Trouble> {
    let mut known = KnownRequest::new(of.number);
    (known.ruled, known.held) = (ruled, held);
    let Some(comment) = ours else {
        return Ok(known);
    };
    known.comment = Some(comment.id);
    if let Some(mark) = Mark::read(&comment.body, of.cluster) {
        known.waits = mark.waits;
        known.preview = Some(reviewed(store, of, mark).await?);
    }
    Ok(known)
}

/// The preview itself where it has come, else what the comment says of it.
async fn reviewed(store: &Store, of: Of<'_>, mark: Mark) -> Result<Preview, Trouble> {
    let latest = store.latest_preview(of.cluster, of.number).await?;
    let is_it = |latest: &Preview| latest.bundle == mark.bundle && latest.request.head == mark.head;
    if let Some(latest) = latest.filter(is_it) {
        return Ok(latest);
    }
    let request = Request {
        number: of.number,
        head: mark.head,
        base: mark.base,
        branch: of.branch.to_owned(),
    };
    let mut preview = Preview::new(of.cluster.clone(), request, Verdict::Checking);
    preview.bundle = mark.bundle;
    Ok(preview)
}

impl<F: ForgeWriter, P: Previewer> Requests<F, P> {
    /// What another worker wrote on a request that this one was told nothing of, or not yet, and who held it before the comment
    /// that is to be carried out.
    pub(super) async fn recalled(
        &self,
        request: &ForgeRequest,
        before: Option<u64>,
    ) -> Result<KnownRequest, Trouble> {
        let comments = self
            .forge
            .comments(request.number)
            .await
            .map_err(of_forge)?;
        let me = self.me().await?;
        let ours = ours(&comments, &me, &self.cluster).first().copied();
        let earlier = |comment: &&Comment| before.is_none_or(|before| comment.id < before);
        let earlier: Vec<Comment> = comments.iter().filter(earlier).cloned().collect();
        let ruled = ruled(&self.forge, &request.branch, (&earlier, &me), (None, None)).await?;
        let of = Of {
            cluster: &self.cluster,
            branch: &self.branch,
            number: request.number,
        };
        recall(&self.store, of, ours, ruled).await
    }

    /// After one was begun: where another worker did the same, the older one stays and says this.
    pub(super) async fn one_comment(
        &self,
        number: u64,
        text: &str,
    ) -> Result<Option<u64>, Trouble> {
        let comments = self.forge.comments(number).await.map_err(of_forge)?;
        let me = self.me().await?;
        let ours = ours(&comments, &me, &self.cluster);
        let Some((first, others)) = ours.split_first() else {
            return Ok(None);
        };
        if !others.is_empty() {
            let edited = self.forge.edit_comment(number, first.id, text).await;
            edited.map_err(of_forge)?;
        }
        for other in others {
            let deleted = self.forge.delete_comment(number, other.id).await;
            deleted.map_err(of_forge)?;
        }
        Ok(Some(first.id))
    }

    /// Whether another worker has told of a newer look meanwhile: at the base that the branch has now.
    pub(super) async fn is_overtaken(
        &self,
        known: &KnownRequest,
        preview: &Preview,
    ) -> Result<bool, Trouble> {
        let looked = &preview.request;
        if looked.base.is_empty() {
            return Ok(false);
        }
        let comment = match known.comment {
            Some(id) => self
                .forge
                .comment(known.number, id)
                .await
                .map_err(of_forge)?,
            None => None,
        };
        let mark = comment.and_then(|comment| Mark::read(&comment.body, &self.cluster));
        let told = [
            (known.head.clone(), known.base.clone()),
            mark.map(|mark| (mark.head, mark.base)).unwrap_or_default(),
        ];
        let newer = |(head, base): &&(String, String)| *head == looked.head && *base != looked.base;
        let Some((_, base)) = told.iter().find(newer) else {
            return Ok(false);
        };
        let tip = self.source.look().await;
        Ok(tip.is_ok_and(|tip| tip == *base))
    }
}
