//! One look at one request, from an event to what is told.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use windlass_core::ids::ClusterName;
use windlass_core::preview::{Limits, Preview, Request, Verdict};

use super::policy::Policy;
use super::trouble::of_forge;
use crate::flow::trouble::Trouble;
use crate::git::source::Source;
use crate::ports::forge::{self, Account, ForgeRequest, ForgeWriter};
use crate::queue::{Event, RequestChanged};
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

/// Everything that one cluster's requests need.
pub struct Requests<F, P> {
    pub cluster: ClusterName,
    /// The watched one.
    pub branch: String,
    pub forge: F,
    pub previews: P,
    pub source: Source,
    pub store: Store,
    pub limits: Limits,
    pub policy: Policy,
    pub stop: CancellationToken,
    pub state: State,
}

/// What is kept between events.
#[derive(Debug, Default)]
pub struct State {
    me: OnceCell<Account>,
    /// One event of a request at a time talks to the forge; looks may overtake each other.
    turns: Mutex<BTreeMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

/// What follows from having read a request.
pub(super) enum Next {
    Nothing,
    Look,
    Then(Box<Event>),
}

impl<F: ForgeWriter, P: Previewer> Requests<F, P> {
    /// Gives what is to be published.
    pub async fn run(&self, event: &Event) -> Result<Option<Event>, Trouble> {
        let data = event.data.clone().unwrap_or_default();
        let Ok(changed) = serde_json::from_value::<RequestChanged>(data) else {
            tracing::warn!(
                event = event.id,
                "an event about a request does not say which"
            );
            return Ok(None);
        };
        let turn = self.turn(changed.request);
        let request = {
            let _mine = turn.lock().await;
            match self.read(changed).await? {
                (_, Next::Nothing) => return Ok(None),
                (_, Next::Then(event)) => return Ok(Some(*event)),
                (request, Next::Look) => request,
            }
        };
        let Some(request) = request else {
            return Ok(None);
        };
        let Some(preview) = self.previews.look(&request, &self.stop).await else {
            return Ok(None);
        };
        let _mine = turn.lock().await;
        self.tell(&request, preview).await
    }

    pub(super) fn turn(&self, number: u64) -> Arc<tokio::sync::Mutex<()>> {
        let turns = self.state.turns.lock();
        let mut turns = turns.unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(number).or_default())
    }

    pub(super) async fn me(&self) -> Result<Account, Trouble> {
        let asked = self.state.me.get_or_try_init(|| self.forge.whoami()).await;
        asked.cloned().map_err(of_forge)
    }

    async fn read(&self, changed: RequestChanged) -> Result<(Option<ForgeRequest>, Next), Trouble> {
        let number = changed.request;
        let known = self.store.request(&self.cluster, number).await?;
        let found = self.forge.request(number).await.map_err(of_forge)?;
        let Some(request) = found else {
            return Ok((None, Next::Nothing));
        };
        if request.branch != self.branch {
            return Ok((None, self.left(known).await?));
        }
        let mut known = known.unwrap_or_else(|| KnownRequest::new(number));
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
            forge::Stage::Closed => {
                known.stage = Stage::Over;
                self.store.remember_request(&self.cluster, &known).await?;
                Next::Nothing
            }
            forge::Stage::Open => self.open(&request, known).await?,
        };
        Ok((Some(request), next))
    }

    /// It is against another branch now.
    async fn left(&self, known: Option<KnownRequest>) -> Result<Next, Trouble> {
        if let Some(mut known) = known {
            known.stage = Stage::Over;
            self.store.remember_request(&self.cluster, &known).await?;
        }
        Ok(Next::Nothing)
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
        let base = self.source.look().await;
        let base = base.map_err(|error| Trouble::Later(error.to_string()))?;
        let same = known.head == request.head && known.base == base;
        if let Some(preview) = known.preview.clone().filter(|it| same && is_final(it)) {
            // It was told; but a comment may have been deleted since.
            self.post(request, known, preview).await?;
            return Ok(Next::Nothing);
        }
        let checking = self.blank(request, Verdict::Checking);
        self.status(&request.head, &mut known, &checking).await?;
        self.store.remember_request(&self.cluster, &known).await?;
        Ok(Next::Look)
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

    /// The end of a look. What has moved on since is left to the event that tells of it.
    async fn tell(
        &self,
        request: &ForgeRequest,
        preview: Preview,
    ) -> Result<Option<Event>, Trouble> {
        let number = request.number;
        let known = self.store.request(&self.cluster, number).await?;
        let known = known.unwrap_or_else(|| KnownRequest::new(number));
        if known.stage != Stage::Open {
            return Ok(None);
        }
        let failed = match &preview.verdict {
            Verdict::Failed { why } => Some(why.clone()),
            _ => None,
        };
        let request = ForgeRequest {
            // The Git server may be a push ahead of what the forge said.
            head: Some(preview.request.head.clone())
                .filter(|head| !head.is_empty())
                .unwrap_or_else(|| request.head.clone()),
            ..request.clone()
        };
        self.post(&request, known, preview).await?;
        match failed {
            Some(why) => Err(Trouble::Later(why)),
            None => Ok(None),
        }
    }
}

/// Whether it is worth being told once more, or is to be looked at again.
fn is_final(preview: &Preview) -> bool {
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
