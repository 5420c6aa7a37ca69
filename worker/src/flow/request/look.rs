//! One look at one request, from an event to what is told.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use windlass_core::ids::ClusterName;
use windlass_core::preview::{Left, Limits, Preview, Request, Verdict, left};

use super::policy::Policy;
use super::trouble::of_forge;
use crate::flow::trouble::Trouble;
use crate::git::source::Source;
use crate::ports::forge::{self, Account, ForgeRequest, ForgeWriter};
use crate::queue::{Event, EventQueue, QueueError, RequestChanged};
use crate::store::Store;
use crate::store::requests::{KnownRequest, Stage};

/// What merging would do, found out.
pub trait Previewer: Send + Sync + 'static {
    /// `None`: another look at the same request began meanwhile, and will tell.
    fn look(
        &self,
        request: &ForgeRequest,
        stop: &CancellationToken,
    ) -> impl Future<Output = Option<Preview>> + Send;
}

/// Where the events go that follow from commands.
pub trait Publish: Send + Sync {
    /// Returns when the event is durable; of those with the same id one counts.
    fn publish<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), QueueError>>;
}

impl<Q: EventQueue> Publish for Q {
    fn publish<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), QueueError>> {
        async { EventQueue::publish(self, event).await.map(drop) }.boxed()
    }
}

/// Everything that one cluster's requests need.
pub struct Requests<F, P> {
    pub cluster: ClusterName,
    /// The watched one.
    pub branch: String,
    pub forge: F,
    pub previews: P,
    pub source: Source,
    pub store: Store,
    pub queue: Arc<dyn Publish>,
    pub limits: Limits,
    pub policy: Policy,
    pub stop: CancellationToken,
    pub state: State,
}

/// What is kept between events.
#[derive(Debug, Default)]
pub struct State {
    /// One event of a request at a time talks to the forge; looks may overtake each other.
    turns: Mutex<BTreeMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

/// What follows from having read a request.
pub(super) enum Next {
    Nothing,
    Look,
}

impl<F: ForgeWriter, P: Previewer> Requests<F, P> {
    pub async fn run(&self, event: &Event) -> Result<(), Trouble> {
        let data = event.data.clone().unwrap_or_default();
        let Ok(changed) = serde_json::from_value::<RequestChanged>(data) else {
            tracing::warn!(
                event = event.id,
                "an event about a request does not say which"
            );
            return Ok(());
        };
        let turn = self.turn(changed.request);
        let request = {
            let _mine = turn.lock().await;
            match self.read(changed).await? {
                (_, Next::Nothing) => return Ok(()),
                (request, Next::Look) => request,
            }
        };
        let Some(request) = request else {
            return Ok(());
        };
        // What is rolled meanwhile is seen in parts, and looked at again when it has ended.
        let settled = self.store.settled(&self.cluster).await?;
        let Some(preview) = self.previews.look(&request, &self.stop).await else {
            return Ok(());
        };
        let _mine = turn.lock().await;
        self.tell(&request, preview, settled).await
    }

    pub(super) fn turn(&self, number: u64) -> Arc<tokio::sync::Mutex<()>> {
        let turns = self.state.turns.lock();
        let mut turns = turns.unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(number).or_default())
    }

    pub(super) async fn me(&self) -> Result<Account, Trouble> {
        // Each time: the token's file may hold another account's by now.
        self.forge.whoami().await.map_err(of_forge)
    }

    async fn read(&self, changed: RequestChanged) -> Result<(Option<ForgeRequest>, Next), Trouble> {
        let number = changed.request;
        let known = self.store.request(&self.cluster, number).await?;
        let found = self.forge.request(number).await.map_err(of_forge)?;
        let Some(request) = found else {
            return Ok((None, Next::Nothing));
        };
        if request.branch != self.branch {
            self.left(&request, known, Left::Elsewhere).await?;
            return Ok((None, Next::Nothing));
        }
        if request.stage == forge::Stage::Closed {
            self.left(&request, known, Left::Closed).await?;
            return Ok((None, Next::Nothing));
        }
        let mut known = match known {
            Some(known) => known,
            None => self.recalled(&request, changed.comment).await?,
        };
        if let Some(comment) = changed.comment {
            let next = self.command(&request, &mut known, comment).await?;
            if !matches!(next, Next::Look) {
                return Ok((None, next));
            }
        }
        let next = match &request.stage {
            forge::Stage::Merged(commit) => {
                self.merged(&request, known, commit.as_deref()).await?;
                Next::Nothing
            }
            forge::Stage::Closed => Next::Nothing,
            forge::Stage::Open => self.open(&request, known).await?,
        };
        Ok((Some(request), next))
    }

    /// What was told of it holds no more; where nothing was told, nothing is.
    async fn left(
        &self,
        request: &ForgeRequest,
        known: Option<KnownRequest>,
        why: Left,
    ) -> Result<(), Trouble> {
        let Some(mut known) = known.filter(|known| known.stage != Stage::Over) else {
            return Ok(());
        };
        if known.comment.is_some() || known.status.is_some() {
            let (text, status) = left(&self.cluster, why);
            self.say_in_place(&mut known, &text, true).await?;
            self.set_status(&request.head, &mut known, status, None)
                .await?;
        }
        known.stage = Stage::Over;
        Ok(self.store.remember_request(&self.cluster, &known).await?)
    }

    async fn open(&self, request: &ForgeRequest, mut known: KnownRequest) -> Result<Next, Trouble> {
        if request.head.is_empty() {
            return Err(Trouble::Later(
                "the forge does not know its head yet".to_owned(),
            ));
        }
        known.stage = Stage::Open;
        let withheld = self.policy.withholds(&self.forge, request, &known).await?;
        if let Some(why) = withheld {
            let preview = self.blank(request, Verdict::Withheld { why });
            self.post(request, known, preview).await?;
            return Ok(Next::Nothing);
        }
        let told = known.preview.clone();
        let told = told.filter(|it| known.head == request.head && is_final(it) && is_whole(it));
        if let Some(preview) = told
            && !self.is_behind(request, &known).await?
        {
            // It was told; but a comment may have been deleted since.
            self.post(request, known, preview).await?;
            return Ok(Next::Nothing);
        }
        let checking = self.blank(request, Verdict::Checking);
        self.status(&request.head, &mut known, &checking).await?;
        self.store.remember_request(&self.cluster, &known).await?;
        Ok(Next::Look)
    }

    async fn is_behind(
        &self,
        request: &ForgeRequest,
        known: &KnownRequest,
    ) -> Result<bool, Trouble> {
        let base = self.source.look().await;
        let base = base.map_err(|error| Trouble::Later(error.to_string()))?;
        let settled = self.store.settled(&self.cluster).await?;
        Ok(known.is_behind(&request.head, &base, settled))
    }

    pub(super) fn blank(&self, request: &ForgeRequest, verdict: Verdict) -> Preview {
        let asked = Request {
            number: request.number,
            head: request.head.clone(),
            base: String::new(),
            branch: self.branch.clone(),
        };
        Preview::new(self.cluster.clone(), asked, verdict)
    }

    /// The end of a look. What has moved on since, here or at another worker, is left to the event that tells of it.
    async fn tell(
        &self,
        request: &ForgeRequest,
        preview: Preview,
        settled: Option<Timestamp>,
    ) -> Result<(), Trouble> {
        let number = request.number;
        let known = self.store.request(&self.cluster, number).await?;
        let mut known = known.unwrap_or_else(|| KnownRequest::new(number));
        let now = self.forge.request(number).await.map_err(of_forge)?;
        let is_looked = |now: &ForgeRequest| {
            let heads = [&request.head, &preview.request.head];
            now.stage == forge::Stage::Open
                && now.branch == self.branch
                && heads.contains(&&now.head)
        };
        if known.stage != Stage::Open
            || !now.is_some_and(|now| is_looked(&now))
            || self.is_overtaken(&known, &preview).await?
        {
            return Ok(());
        }
        let failed = match &preview.verdict {
            Verdict::Failed { why } => Some(why.clone()),
            _ => None,
        };
        known.settled = settled;
        self.post(request, known, preview).await?;
        match failed {
            Some(why) => Err(Trouble::Later(why)),
            None => Ok(()),
        }
    }
}

/// Whether its differences are at hand, as far as they were kept.
fn is_whole(preview: &Preview) -> bool {
    preview.left_out == 0 || !preview.diffs.is_empty()
}

/// Whether it is worth being told once more, or is to be looked at again.
pub(super) fn is_final(preview: &Preview) -> bool {
    match preview.verdict {
        Verdict::Checking
        | Verdict::Withheld { .. }
        | Verdict::Failed { .. }
        | Verdict::NotRun { .. } => false,
        Verdict::NoChange
        | Verdict::WouldChange { .. }
        | Verdict::Refused
        | Verdict::Conflicted { .. } => true,
    }
}
