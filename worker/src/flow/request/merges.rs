//! Which requests a commit brings, and what was said of them. Whether one is merged the forge tells, or Git where the
//! forge is a moment behind; who holds it stands in its comments.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use windlass_core::ids::ClusterName;
use windlass_core::plan::Merge;

use super::command::Command;
use super::trouble::of_forge;
use crate::flow::review::{Brought, Merges, Span};
use crate::flow::trouble::Trouble;
use crate::git::mirror::Step;
use crate::git::source::Source;
use crate::ports::forge::{Comment, ForgeReader, Listed, Stage as Told};
use crate::store::Store;
use crate::store::requests::{KnownRequest, Stage};

/// The requests of one cluster's forge.
#[derive(Debug)]
pub struct OfForge<F> {
    pub cluster: ClusterName,
    /// The watched one.
    pub branch: String,
    pub forge: F,
    pub store: Store,
    /// The mirror that is rolled from.
    pub source: Source,
}

impl<F: ForgeReader> Merges for OfForge<F> {
    fn brought<'a>(&'a self, span: Span<'a>) -> BoxFuture<'a, Result<Vec<Brought>, Trouble>> {
        self.find(span).boxed()
    }
}

impl<F: ForgeReader> OfForge<F> {
    async fn find(&self, span: Span<'_>) -> Result<Vec<Brought>, Trouble> {
        let open = self.forge.open_requests(&self.branch).await;
        let open = open.map_err(of_forge);
        let open = unless(span.strict, open, "open requests")?;
        let mut brought = Vec::new();
        for known in self.store.requests(&self.cluster).await? {
            let merged = self.merged(&known, open.as_deref()).await;
            let merged = unless(span.strict, merged, "a request's merge")?.flatten();
            let Some(commit) = merged else {
                continue;
            };
            if !self.is_new(&commit, span).await {
                continue;
            }
            let held = self.held(&known).await;
            let held = unless(span.strict, held, "a request's comments")?;
            let preview = known.preview.as_ref();
            brought.push(Brought {
                merge: Merge {
                    request: known.number,
                    reviewed: preview.and_then(|preview| preview.bundle),
                    held: held.unwrap_or(known.held),
                },
                head: known.head,
                branch: self.branch.clone(),
            });
        }
        Ok(brought)
    }

    /// The commit that the merge made, or would be found by.
    async fn merged(
        &self,
        known: &KnownRequest,
        open: Option<&[Listed]>,
    ) -> Result<Option<String>, Trouble> {
        if known.stage == Stage::Merged && known.merged.is_some() {
            return Ok(known.merged.clone());
        }
        let is_open = |open: &[Listed]| open.iter().any(|open| open.number == known.number);
        if open.is_none_or(is_open) {
            // The branch can be a moment ahead of what the forge says.
            return Ok(Some(known.head.clone()).filter(|head| !head.is_empty()));
        }
        let request = self.forge.request(known.number).await.map_err(of_forge)?;
        Ok(request.and_then(|request| match request.stage {
            Told::Merged(Some(commit)) => Some(commit),
            Told::Merged(None) => Some(request.head),
            Told::Open | Told::Closed => None,
        }))
    }

    async fn is_new(&self, merged: &str, span: Span<'_>) -> bool {
        let holds = async |commit: &str| {
            let step = self.source.step(merged, commit).await;
            matches!(step, Ok(Step::Same | Step::Forward))
        };
        if !holds(span.commit).await {
            return false;
        }
        match span.base {
            Some(base) => !holds(base).await,
            None => true,
        }
    }

    /// As it was carried out last, and what was typed since then.
    async fn held(&self, known: &KnownRequest) -> Result<Option<String>, Trouble> {
        let comments = self.forge.comments(known.number).await.map_err(of_forge)?;
        let since = known.ruled.unwrap_or_default();
        let rules = |comment: &Comment| match Command::of(&comment.body) {
            Some(Command::Hold) => Some(true),
            Some(Command::Release) => Some(false),
            _ => None,
        };
        let mut held = known.held.clone();
        for comment in comments.iter().filter(|comment| comment.id > since) {
            let Some(holds) = rules(comment) else {
                continue;
            };
            let may = self.forge.may_merge(&comment.author, &self.branch).await;
            if may.map_err(of_forge)? {
                held = holds.then(|| comment.author.login.clone());
            }
        }
        Ok(held)
    }
}

/// Where the forge is away, a cluster that does not insist on reviews is rolled all the same.
fn unless<T>(strict: bool, asked: Result<T, Trouble>, what: &str) -> Result<Option<T>, Trouble> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(Trouble::Later(why) | Trouble::Again(_, why)) if !strict => {
            tracing::warn!(
                what,
                why,
                "the forge was not asked before rolling; what is known here counts"
            );
            Ok(None)
        }
        Err(trouble) => Err(trouble),
    }
}
