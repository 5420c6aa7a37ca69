//! What was said of the requests that a commit brings, asked before anything is rolled: whether one is held, and
//! whether what the nodes would get is what was reviewed. What was not is shown as a preview of its own.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use windlass_core::finding::Findings;
use windlass_core::ids::Digest;
use windlass_core::model::OnDivergence;
use windlass_core::observed::Observed;
use windlass_core::plan::{self, Inventory, Merge, Plan, Said};
use windlass_core::preview::{Against, Preview, Request, Verdict};
use windlass_core::report::diff::{self, Fingerprints};

use super::deploy::{Deploy, is_commit};
use super::fleet::Fleet;
use super::plan::old_contents;
use super::prepare::{Prepared, Rendered};
use super::preview::told;
use super::trouble::Trouble;

/// A request whose merge a commit brings.
#[derive(Debug, Clone)]
pub struct Brought {
    pub merge: Merge,
    pub head: String,
    pub branch: String,
}

/// Which commits are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    /// Held by the nodes already; what it brought is over.
    pub base: Option<&'a str>,
    pub commit: &'a str,
    /// Rather no answer than one that may lack something.
    pub strict: bool,
}

/// Who knows the requests.
pub trait Merges: Send + Sync {
    fn brought<'a>(&'a self, span: Span<'a>) -> BoxFuture<'a, Result<Vec<Brought>, Trouble>>;
}

#[derive(Clone)]
pub struct Review {
    pub merges: Arc<dyn Merges>,
    /// At which people reach this worker.
    pub address: Option<String>,
}

/// A plan, and what it was made from.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) plan: &'a Plan,
    pub(super) prepared: &'a Prepared,
    pub(super) rendered: &'a Rendered,
    pub(super) observed: &'a Observed,
}

impl<F: Fleet> Deploy<F> {
    /// What people have against rolling this now.
    pub(super) async fn reviewed(
        &self,
        asked: &Asked<'_>,
        nodes: &F::Nodes,
    ) -> Result<Findings, Trouble> {
        let plan = asked.plan;
        let (Some(review), Some(reviewed)) = (&self.review, plan.reviewed) else {
            return Ok(Findings::default());
        };
        let record = self.store.cluster(&self.cluster).await?;
        // What was rolled once is only brought to nodes that were away.
        let is_settled = record.rolled.as_ref() == Some(&plan.commit);
        if is_settled || plan.turns.is_empty() || plan.findings.has_errors() {
            return Ok(Findings::default());
        }
        let held = plan::base_commit(asked.observed).map(str::to_owned);
        let base = record.rolled.or(held).filter(|base| is_commit(base));
        let policy = asked.rendered.model.cluster.policy.on_divergence;
        let span = Span {
            base: base.as_deref(),
            commit: &plan.commit,
            strict: policy == OnDivergence::Wait,
        };
        let brought = review.merges.brought(span).await?;
        let said = Said {
            merges: brought.iter().map(|it| it.merge.clone()).collect(),
            released: record.released,
        };
        if !said.is_reviewed(reviewed) {
            self.show(asked, &brought, (nodes, reviewed)).await?;
        }
        Ok(said.findings(reviewed, policy))
    }

    /// Keeps what would be rolled now, so that each request's comment can show it.
    async fn show(
        &self,
        asked: &Asked<'_>,
        brought: &[Brought],
        (nodes, reviewed): (&F::Nodes, Digest),
    ) -> Result<(), Trouble> {
        let address = self.review.as_ref().and_then(|it| it.address.as_deref());
        let mut shown: Option<Preview> = None;
        for brought in brought {
            let number = brought.merge.request;
            let latest = self.store.latest_preview(&self.cluster, number).await?;
            if latest.is_some_and(|latest| latest.bundle == Some(reviewed)) {
                continue;
            }
            let request = Request {
                number,
                head: brought.head.clone(),
                base: asked.plan.commit.clone(),
                branch: brought.branch.clone(),
            };
            let preview = match &shown {
                Some(shown) => shown.clone(),
                None => self.preview(asked, request.clone(), nodes).await,
            };
            let preview = Preview { request, ..preview };
            self.store.add_preview(preview.clone(), address).await?;
            shown = Some(preview);
        }
        Ok(())
    }

    async fn preview(&self, asked: &Asked<'_>, request: Request, nodes: &F::Nodes) -> Preview {
        let (plan, rendered) = (asked.plan, asked.rendered);
        let held = old_contents(nodes, plan, None).await;
        let key = uuid::Uuid::new_v4().into_bytes();
        let diffs = diff::of_plan(plan, &held, &rendered.bundle, &Fingerprints(&key));
        let base = match plan::base_commit(asked.observed) {
            Some(commit) => self.inventory(commit).await,
            None => None,
        };
        let target = Inventory::of(&rendered.model);
        let mut preview = Preview::new(self.cluster.clone(), request, Verdict::Checking);
        preview.bundle = plan.reviewed;
        told::findings(&mut preview, &plan.findings, &asked.prepared.snapshot);
        let inventories = (base.as_ref(), &target);
        told::planned(&mut preview, plan, inventories, Against::Nodes, &diffs);
        preview
    }
}
