//! Which requests a commit brings, and what was said of them. Whether one is merged the forge tells, or Git where the
//! forge is a moment behind; who holds it and what was reviewed stands in its comments, which every worker can read: another
//! one may have looked at the request, and what it learnt may still be on its way.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::plan::Merge;
use windlass_core::preview::Mark;

use super::ours::{Of, ours, recall, ruled};
use super::trouble::of_forge;
use crate::flow::review::{Brought, Merges, Span};
use crate::flow::trouble::Trouble;
use crate::git::mirror::Step;
use crate::git::source::Source;
use crate::ports::forge::{Comment, ForgeReader, ForgeRequest, Listed, Stage as Told};
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

/// What stands in a request's comments.
#[derive(Debug, Default)]
struct Said {
    ruled: Option<u64>,
    held: Option<String>,
    ours: Option<Comment>,
}

/// A request, and the commit that its merge made or would be found by.
#[derive(Debug)]
struct Found {
    known: Option<KnownRequest>,
    head: String,
    commit: String,
}

impl<F: ForgeReader> Merges for OfForge<F> {
    fn brought<'a>(&'a self, span: Span<'a>) -> BoxFuture<'a, Result<Vec<Brought>, Trouble>> {
        self.find(span).boxed()
    }
}

impl<F: ForgeReader> OfForge<F> {
    async fn find(&self, span: Span<'_>) -> Result<Vec<Brought>, Trouble> {
        let mut brought = Vec::new();
        for (number, found) in self.all(span).await? {
            if !self.is_new(&found.commit, span).await {
                continue;
            }
            let known = found.known.as_ref();
            let said = self.said(number, known).await;
            let said = unless(span.strict, said, "a request's comments")?;
            let said = said.unwrap_or_else(|| Said {
                held: known.and_then(|known| known.held.clone()),
                ..Said::default()
            });
            let mark = said.ours.as_ref();
            let mark = mark.and_then(|ours| Mark::read(&ours.body, &self.cluster));
            if known.is_none() {
                if said.ours.is_none() && said.held.is_none() {
                    // No worker has ever heard of it.
                    continue;
                }
                self.keep(number, &said).await?;
            }
            brought.push(Brought {
                merge: Merge {
                    request: number,
                    reviewed: reviewed(mark.as_ref(), known),
                    held: said.held,
                },
                head: found.head,
                branch: self.branch.clone(),
            });
        }
        Ok(brought)
    }

    /// The requests that are known here, and those that the forge has beside them.
    async fn all(&self, span: Span<'_>) -> Result<BTreeMap<u64, Found>, Trouble> {
        let open = self.forge.open_requests(&self.branch).await;
        let open = unless(span.strict, open.map_err(of_forge), "open requests")?;
        let merged = self.forge.merged_requests(&self.branch).await;
        let merged = unless(span.strict, merged.map_err(of_forge), "merged requests")?;
        let mut all = BTreeMap::new();
        for known in self.store.requests(&self.cluster).await? {
            let commit = self.merged(&known, open.as_deref()).await;
            let commit = unless(span.strict, commit, "a request's merge")?.flatten();
            if let Some(commit) = commit {
                let found = Found {
                    head: known.head.clone(),
                    known: Some(known.clone()),
                    commit,
                };
                all.insert(known.number, found);
            }
        }
        let open = open.unwrap_or_default().into_iter();
        let open = open.map(|open| (open.number, open.head.clone(), open.head));
        let merged = merged.unwrap_or_default().into_iter();
        let merged = merged.map(|merged| (merged.number, merged.head.clone(), made(merged)));
        for (number, head, commit) in open.chain(merged) {
            if commit.is_empty() || all.contains_key(&number) {
                continue;
            }
            // One that is known and was left out is over.
            if self.store.request(&self.cluster, number).await?.is_none() {
                let found = Found {
                    known: None,
                    head,
                    commit,
                };
                all.insert(number, found);
            }
        }
        Ok(all)
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
        Ok(request
            .filter(|request| matches!(request.stage, Told::Merged(_)))
            .map(made))
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

    async fn said(&self, number: u64, known: Option<&KnownRequest>) -> Result<Said, Trouble> {
        let comments = self.forge.comments(number).await.map_err(of_forge)?;
        let me = self.forge.whoami().await.map_err(of_forge)?;
        let ours = ours(&comments, &me, &self.cluster);
        let known = known.map_or((None, None), |known| (known.ruled, known.held.clone()));
        let (ruled, held) = ruled(&self.forge, &self.branch, (&comments, &me), known).await?;
        Ok(Said {
            ruled,
            held,
            ours: ours.first().copied().cloned(),
        })
    }

    /// From now on it is known here, so that its comment tells how it was rolled also where no webhook said that it was merged.
    async fn keep(&self, number: u64, said: &Said) -> Result<(), Trouble> {
        let of = Of {
            cluster: &self.cluster,
            branch: &self.branch,
            number,
        };
        let ruled = (said.ruled, said.held.clone());
        let known = recall(&self.store, of, said.ours.as_ref(), ruled).await?;
        Ok(self.store.remember_request(&self.cluster, &known).await?)
    }
}

/// The comment counts: it is what people saw. It was never begun where merging was to change nothing, and someone may
/// have deleted it.
fn reviewed(mark: Option<&Mark>, known: Option<&KnownRequest>) -> Option<Digest> {
    match mark {
        Some(mark) => mark.bundle,
        None => known.and_then(|known| known.preview.as_ref()?.bundle),
    }
}

/// The commit that a merge made, where the forge tells.
fn made(request: ForgeRequest) -> String {
    match request.stage {
        Told::Merged(Some(commit)) => commit,
        Told::Merged(None) | Told::Open | Told::Closed => request.head,
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
