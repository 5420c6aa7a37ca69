//! One look at a request. `through` reads like the picture in ARCHITECTURE.md up to the plan, and ends there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use windlass_core::codes::checks;
use windlass_core::finding::{Finding, Findings};
use windlass_core::ids::ClusterName;
use windlass_core::model::{self, Model};
use windlass_core::observed::Observed;
use windlass_core::plan::{self, Adopt, Inventory, Outline, Plan};
use windlass_core::preview::{Against, Preview, Request, Verdict};
use windlass_core::release::Bundle;
use windlass_core::report::diff::{self, Fingerprints};
use windlass_core::snapshot::Snapshot;

use super::base::{Answers, Base};
use super::outside::Stranger;
use super::readers::Readers;
use super::running::{Running, Superseded};
use super::secrets::keep_unchanged;
use super::stubs::Stubs;
use super::told;
use super::wire::Answer;
use crate::check::{Checker, Remembered};
use crate::flow::plan::old_contents;
use crate::git::merge::Merged;
use crate::git::source::Source;
use crate::materials::{self, Directories};
use crate::store::Store;

/// All checks of one request together.
const LONGEST_CHECKS: Duration = Duration::from_secs(300);
/// At least so many requests, also on a small machine: one whose checks only wait holds up no other.
const SIDE_BY_SIDE: usize = 4;

/// What the forge says of a request: where to look, and at what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub number: u64,
    /// `refs/pull/12/head`, `refs/merge-requests/12/head`.
    pub reference: String,
    /// The commit that is to be looked at, and no other: whether it may be was asked of this one.
    pub head: String,
    /// The watched branch, for people.
    pub branch: String,
}

/// Everything that one cluster's previews need. Nothing here is shared with what deploys: not the mirror, not what
/// checks said, not what was rendered.
pub struct Previews<R> {
    pub cluster: ClusterName,
    pub(super) source: Source,
    directories: Directories,
    pub(super) stranger: Stranger,
    checker: Checker,
    pub(super) readers: R,
    said: Remembered,
    pub(super) base: Mutex<Option<Arc<Base>>>,
    /// Makes fingerprints of what is secret.
    key: [u8; 16],
    running: Running,
    pages: Option<Pages>,
}

/// Where previews are kept for people to look at.
struct Pages {
    store: Store,
    /// At which people reach this worker.
    address: Option<String>,
}

pub(super) type Failed = String;

impl<R: Readers> Previews<R> {
    /// `source` is a mirror that nothing else uses.
    pub fn new(
        cluster: ClusterName,
        source: Source,
        directories: Directories,
        (stranger, checker): (Stranger, Checker),
        readers: R,
    ) -> Self {
        let side_by_side = std::thread::available_parallelism().map_or(SIDE_BY_SIDE, usize::from);
        Self {
            cluster,
            source,
            directories,
            stranger,
            checker,
            readers,
            said: Remembered::default(),
            base: Mutex::default(),
            key: uuid::Uuid::new_v4().into_bytes(),
            running: Running::new(side_by_side.max(SIDE_BY_SIDE)),
            pages: None,
        }
    }

    /// Keeps each preview; with the address at which people reach this worker, each names its page.
    #[must_use]
    pub fn with_pages(mut self, store: Store, address: Option<String>) -> Self {
        self.pages = Some(Pages { store, address });
        self
    }

    /// What merging would do now. Another look at the same request ends this one.
    pub async fn look(
        &self,
        asked: &Asked,
        stop: &CancellationToken,
    ) -> Result<Preview, Superseded> {
        let look = self.running.begin(asked.number, stop);
        let _place = self.running.place(&look).await?;
        let looked = tokio::select! {
            () = look.cancelled() => return Err(Superseded),
            looked = self.through(asked, &look) => looked,
        };
        look.cancel();
        Ok(self.keep(looked).await)
    }

    /// A preview that cannot be kept is told all the same, without its page.
    async fn keep(&self, preview: Preview) -> Preview {
        let Some(Pages { store, address }) = &self.pages else {
            return preview;
        };
        match store.add_preview(preview.clone(), address.as_deref()).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%error, "a preview could not be kept");
                preview
            }
        }
    }

    async fn through(&self, asked: &Asked, look: &CancellationToken) -> Preview {
        let request = Request {
            number: asked.number,
            head: String::new(),
            base: String::new(),
            branch: asked.branch.clone(),
        };
        let mut preview = Preview::new(self.cluster.clone(), request, Verdict::Checking);
        if let Err(why) = self.fill(&mut preview, asked, look).await {
            preview.verdict = Verdict::Failed { why };
        }
        preview
    }

    async fn fill(
        &self,
        preview: &mut Preview,
        asked: &Asked,
        look: &CancellationToken,
    ) -> Result<(), Failed> {
        let early = self.ask_early();
        let (fetched, available, begun) = tokio::join!(
            self.fetch(asked),
            self.stranger.available(),
            self.stranger.begin()
        );
        let (base, head) = fetched?;
        preview.request.base.clone_from(&base);
        preview.request.head.clone_from(&head);
        if let Err(why) = available {
            preview.verdict = Verdict::NotRun { why };
            return Ok(());
        }
        let snapshot = match self.source.merge(&base, &head).await.map_err(words)? {
            Merged::Conflicted { files } => {
                told::conflicted(preview, files);
                return Ok(());
            }
            Merged::Clean { tree, snapshot } => {
                preview.tree = Some(tree);
                snapshot
            }
        };
        let stubs = Stubs::of(&self.directories).map_err(words)?;
        // A base that is broken is mended by a request, so what is wrong with it is not told here.
        let (asked, rendered) = tokio::join!(
            self.ask(early, &base, &stubs),
            self.stranger
                .render(begun.map_err(words)?, &snapshot, &stubs)
        );
        let answers = asked?;
        let Answer { findings, bundle } = rendered.map_err(words)?;
        told::findings(preview, &findings, &snapshot);
        let Some(head) = bundle.filter(|_| !preview.has_errors()) else {
            preview.verdict = Verdict::Refused;
            return Ok(());
        };
        preview.bundle = Some(head.reviewed());
        self.plan(preview, answers, &head, &snapshot, look).await
    }

    async fn fetch(&self, asked: &Asked) -> Result<(String, String), Failed> {
        let fetched = self.source.fetch_request(&asked.reference).await;
        let (base, head) = fetched.map_err(words)?;
        if head != asked.head {
            return Err("it was pushed to in this moment".to_owned());
        }
        Ok((base, head))
    }

    async fn plan(
        &self,
        preview: &mut Preview,
        mut answers: Answers<R::Nodes>,
        head: &Bundle,
        snapshot: &Snapshot,
        look: &CancellationToken,
    ) -> Result<(), Failed> {
        // It was loaded to its end in the sandbox, from the same bytes.
        let (mut findings, model, observed) =
            tokio::join!(self.check(head, look), load(snapshot), answers.of(head));
        let (model, observed) = (model?, observed?);
        let base = &answers.base;
        findings.extend(self.examine(&model)?);
        let kept = match &base.bundle {
            Some(bundle) => keep_unchanged(head, bundle, &observed),
            None => head.clone(),
        };
        let inventories = (Inventory::of(&base.model), Inventory::of(&model));
        let plan = make(&model, &kept, snapshot, &observed, &inventories.0);
        findings.extend(plan.findings.clone());
        told::findings(preview, &findings.sorted(), snapshot);
        let (against, diffs) = if told::all_answered(&observed) {
            let held = old_contents(answers.nodes.as_ref(), &plan, base.bundle.as_ref()).await;
            (
                Against::Nodes,
                diff::of_plan(&plan, &held, &kept, &Fingerprints(&self.key)),
            )
        } else {
            let diffs = told::against_base(base.bundle.as_ref(), head, &self.key);
            (Against::Base, diffs)
        };
        let inventories = (Some(&inventories.0), &inventories.1);
        told::planned(preview, &plan, inventories, against, &diffs);
        Ok(())
    }

    async fn check(&self, head: &Bundle, look: &CancellationToken) -> Findings {
        let quiet = |_| {};
        let checks = self.checker.run(head, &self.said, &quiet, look);
        match tokio::time::timeout(LONGEST_CHECKS, checks).await {
            Ok(Ok(findings)) => findings,
            // Nobody waits for the result any more.
            Ok(Err(_)) => Findings::default(),
            Err(_) => {
                let seconds = LONGEST_CHECKS.as_secs();
                let message =
                    format!("the checks of the request took more than {seconds} s together");
                [Finding::error(checks::CHECK_TIMED_OUT, message)]
                    .into_iter()
                    .collect()
            }
        }
    }

    /// Whether the certificates that the worker has fit what the request wants; no template sees them.
    fn examine(&self, model: &Model) -> Result<Findings, Failed> {
        let (mut materials, mut findings) = materials::load(&self.directories).map_err(words)?;
        findings.extend(materials::by_secret(model, &mut materials));
        findings.extend(materials::ordered(&self.directories, model, &mut materials));
        findings.extend(materials::examine(model, &materials, Timestamp::now()));
        Ok(findings)
    }
}

fn make(
    model: &Model,
    bundle: &Bundle,
    snapshot: &Snapshot,
    observed: &Observed,
    base: &Inventory,
) -> Plan {
    plan::make(&plan::Input {
        outline: &Outline::of(model),
        bundle,
        incomplete: !bundle.incomplete.is_empty(),
        subject: &snapshot.subject,
        observed,
        base: Some(base),
        quarantined: &BTreeSet::new(),
        tried: None,
        settled: false,
        retry: false,
        adopt: &Adopt::default(),
        now: Timestamp::now(),
    })
}

pub(super) async fn load(snapshot: &Snapshot) -> Result<Arc<Model>, Failed> {
    let snapshot = snapshot.clone();
    let loading = tokio::task::spawn_blocking(move || model::load(&snapshot));
    let loaded = loading.await.map_err(words)?;
    loaded
        .model
        .ok_or_else(|| "its base defines no cluster that can be read".to_owned())
}

pub(super) fn words(error: impl std::fmt::Display) -> Failed {
    format!("{error:#}")
}
