//! The driver's outside: begins rolls, and takes up those that a dead worker left.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;
use windlass_core::ids::{ClusterName, NodeName};
use windlass_core::outcome::Outcome;
use windlass_core::plan::Plan;
use windlass_core::release::Bundle;
use windlass_core::roll::{Entry, IllegalEvent, RollEvent, RollState};

use super::clock::Clock;
use super::journal::{Journal, JournalError};
use super::perform::Performer;
use super::permit::RollPermit;
use super::run::Run;
use crate::ports::{Fence, NodeWriter, Prober};

#[derive(Debug, thiserror::Error)]
pub enum RollError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the roll's journal does not fit together")]
    Illegal(#[from] IllegalEvent),
    #[error("a step of the roll broke off")]
    Task(#[from] tokio::task::JoinError),
    #[error("the permit is for the cluster {permit}, the plan for {plan}")]
    Permit {
        permit: ClusterName,
        plan: ClusterName,
    },
}

/// Hears of everything that happens in a roll: the live table, the API, the log.
pub trait Observer: Send + Sync {
    fn happened(&self, plan: &Plan, state: &RollState, entry: &Entry);
    /// A node's turn waits for a gate (its own or that of another node); what was seen last.
    fn waiting(&self, _node: &NodeName, _gate_of: &NodeName, _gate: &str, _seen: &str) {}
    /// Gates were probed: whether one of them has not held for so long that a newer commit should not wait for it.
    fn stalls(&self, _stalls: bool) {}
}

/// Hears nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn happened(&self, _: &Plan, _: &RollState, _: &Entry) {}
}

pub struct Driver<N, P, J> {
    pub nodes: Arc<N>,
    pub prober: Arc<P>,
    pub journal: J,
    pub observer: Arc<dyn Observer>,
    /// Puts the node whose turn it is back, and what the policy says of the others.
    pub cancel: CancellationToken,
    /// The newer commit of the watched branch, once there is one that contains the plan's.
    pub newer: Arc<SetOnce<String>>,
    /// Leaves what is merely waited for to another worker. Only a roll that is carried in messages can be left.
    pub pause: CancellationToken,
}

impl<N, P, J> Driver<N, P, J>
where
    N: NodeWriter + 'static,
    P: Prober + 'static,
    J: Journal,
{
    /// Carries a plan out. `holder` names this worker; the nodes remember it beside the fence.
    pub async fn drive(
        &self,
        permit: &RollPermit,
        plan: Plan,
        bundle: Arc<Bundle>,
        holder: &str,
    ) -> Result<Outcome, RollError> {
        if plan.findings.has_errors() {
            return Ok(Outcome::Refused {
                findings: plan.findings,
            });
        }
        if plan.turns.is_empty() {
            return Ok(Outcome::Unchanged {
                skipped: plan.skipped,
            });
        }
        fits(permit, &plan)?;
        let roll = self.journal.begin(&plan).await?;
        let tokens = tokens(&plan);
        let clock = Clock::start(Timestamp::now());
        let state = RollState::new(&plan, clock.now());
        let opened = RollEvent::Opened {
            holder: holder.to_owned(),
            tokens: tokens.clone(),
        };
        let fence = fence(&plan, holder);
        let performer = self.performer(plan, bundle, fence, tokens, clock);
        let mut run = Run::new(self, roll, state, performer);
        run.note(opened).await?;
        run.finish().await
    }

    /// Takes up the roll that a worker of this cluster left when it died: goes on with it, or goes back. `None` where
    /// there is none, or where it had touched nothing and is simply planned anew.
    pub async fn resume(
        &self,
        permit: &RollPermit,
        cluster: &ClusterName,
    ) -> Result<Option<Outcome>, RollError> {
        let Some(open) = self.journal.unfinished(cluster).await? else {
            return Ok(None);
        };
        fits(permit, &open.plan)?;
        let clock = Clock::start(Timestamp::now());
        let begun = open
            .entries
            .first()
            .map_or_else(|| clock.now(), |entry| entry.at);
        let state = RollState::replay(&open.plan, begun, &open.entries)?;
        if state.is_untouched() {
            self.journal.forget(open.id).await?;
            return Ok(None);
        }
        // All nodes were staged before the first was touched, so no release is needed any more.
        let bundle = Arc::new(Bundle::new(open.plan.commit.clone(), BTreeMap::new()));
        let (holder, tokens) = (state.holder.clone(), state.tokens.clone());
        let fence = fence(&open.plan, &holder);
        let performer = self.performer(open.plan, bundle, fence, tokens, clock);
        let mut run = Run::new(self, open.id, state, performer);
        run.note(RollEvent::Resumed).await?;
        run.finish().await.map(Some)
    }

    pub(super) fn performer(
        &self,
        plan: Plan,
        bundle: Arc<Bundle>,
        fence: Fence,
        tokens: BTreeMap<NodeName, String>,
        clock: Clock,
    ) -> Performer<N, P> {
        Performer {
            nodes: Arc::clone(&self.nodes),
            prober: Arc::clone(&self.prober),
            observer: Arc::clone(&self.observer),
            fence,
            plan,
            bundle,
            tokens,
            clock,
        }
    }
}

fn fence(plan: &Plan, holder: &str) -> Fence {
    Fence {
        cluster: plan.cluster.clone(),
        number: plan.fence,
        holder: holder.to_owned(),
    }
}

pub(super) fn fits(permit: &RollPermit, plan: &Plan) -> Result<(), RollError> {
    if *permit.cluster() == plan.cluster {
        return Ok(());
    }
    Err(RollError::Permit {
        permit: permit.cluster().clone(),
        plan: plan.cluster.clone(),
    })
}

/// Nobody can confirm an attempt whose token they were not given.
pub(super) fn tokens(plan: &Plan) -> BTreeMap<NodeName, String> {
    let token = |node: &NodeName| {
        let random = uuid::Uuid::new_v4().simple();
        (node.clone(), format!("{}-{node}-{random}", plan.fence))
    };
    plan.turns.keys().map(token).collect()
}
