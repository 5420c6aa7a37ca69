//! One turn at a time: the roll's state comes in a message, and leaves in the next. Whoever carries out a turn
//! first claims the roll's nodes with a higher fence, so that a worker that was cut off, or stopped for a while and
//! then went on, is refused by every node from then on, and notices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::task::JoinSet;
use windlass_core::fence::{Claim, Standing, TurnId};
use windlass_core::ids::{ClusterName, NodeName};
use windlass_core::observed::NodeState;
use windlass_core::outcome::Outcome;
use windlass_core::plan::Plan;
use windlass_core::release::Bundle;
use windlass_core::roll::{Entry, RollEvent, RollState, TurnMessage};

use super::clock::Clock;
use super::driver::{Driver, RollError, fits, tokens};
use super::journal::{Journal, JournalError, OpenRoll, RollId};
use super::observe;
use super::permit::RollPermit;
use super::run::{Run, Until};
use crate::ports::{Fence, NodeError, NodeWriter, Prober};

/// Where a turn came to.
#[derive(Debug)]
pub enum Turned {
    /// The roll has ended. Where it has a fence, the nodes are to be let go with that once somebody was told.
    Over(Outcome, Option<Fence>),
    /// All that has happened in the roll; the next message carries it.
    Next(Vec<Entry>),
    /// The message need not be worked on any more.
    Stale(Standing),
    /// Someone else is at work on the nodes: the message must be looked at again.
    Contested(String),
}

/// Keeps a roll's entries for the next message. Nothing is written down here: a worker that dies leaves the message
/// that it took, and the nodes tell what it did.
#[derive(Debug)]
pub struct Carried {
    entries: Mutex<Vec<Entry>>,
    room: usize,
}

impl Carried {
    /// Entries that take more than `room` bytes go into no message.
    pub fn new(room: usize) -> Self {
        let entries = Mutex::default();
        Self { entries, room }
    }

    fn after(&self, entries: Vec<Entry>) -> Self {
        Self {
            entries: Mutex::new(entries),
            room: self.room,
        }
    }

    fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Journal for Carried {
    fn is_full(&self) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let size = serde_json::to_vec(&*entries).map_or(usize::MAX, |text| text.len());
        size > self.room
    }

    async fn begin(&self, _: &Plan) -> Result<RollId, JournalError> {
        Ok(RollId(0))
    }

    async fn append(&self, _: RollId, entry: &Entry) -> Result<(), JournalError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(entry.clone());
        Ok(())
    }

    async fn close(&self, _: RollId, _: &Outcome) -> Result<(), JournalError> {
        Ok(())
    }

    async fn unfinished(&self, _: &ClusterName) -> Result<Option<OpenRoll>, JournalError> {
        Ok(None)
    }

    async fn forget(&self, _: RollId) -> Result<(), JournalError> {
        Ok(())
    }
}

/// The nodes are ours.
struct Taken {
    fence: Fence,
    /// Whose turn it is, and perhaps was already.
    unsure: BTreeSet<NodeName>,
}

impl<N, P> Driver<N, P, Carried>
where
    N: NodeWriter + 'static,
    P: Prober + 'static,
{
    /// Begins a roll: all nodes are staged and checked, none is touched. It is under way from then on, for everybody.
    pub async fn open(
        &self,
        permit: &RollPermit,
        plan: Plan,
        bundle: Arc<Bundle>,
        worker: &str,
        roll: &str,
    ) -> Result<Turned, RollError> {
        if plan.findings.has_errors() || plan.turns.is_empty() {
            let outcome = self.drive(permit, plan, bundle, worker).await?;
            return Ok(Turned::Over(outcome, None));
        }
        fits(permit, &plan)?;
        let turn = TurnId {
            roll: roll.to_owned(),
            number: 0,
            after: plan.fence,
        };
        let fence = fence(&plan, plan.fence, worker, turn.clone(), false);
        let tokens = tokens(&plan);
        let clock = Clock::start(Timestamp::now());
        let state = RollState::new(&plan, clock.now());
        let opened = RollEvent::Opened {
            holder: fence.holder.clone(),
            tokens: tokens.clone(),
        };
        let performer = self.performer(plan.clone(), bundle, fence, tokens, clock);
        let mut run = Run::new(self, RollId(0), state, performer);
        run.note(opened).await?;
        match run.until_rest().await? {
            Until::Finished(outcome) => {
                // Nothing was touched, and whoever is given the event once more begins anew: the nodes need not be held
                // until it is told.
                let number = plan.fence.saturating_add(1);
                let over = self::fence(&plan, number, worker, turn, true);
                Ok(match self.let_go(&plan, &over).await {
                    Ok(()) => Turned::Over(outcome, None),
                    Err(why) => Turned::Contested(why),
                })
            }
            Until::Rest => Ok(Turned::Next(self.journal.take())),
            Until::Fenced(why) => Ok(Turned::Contested(why)),
        }
    }

    /// Carries out the turn that the message stands for, unless the roll has gone on without it.
    pub async fn turn(
        &self,
        permit: &RollPermit,
        message: &TurnMessage,
        worker: &str,
    ) -> Result<Turned, RollError> {
        fits(permit, &message.plan)?;
        let state = message.state()?;
        let (plan, turn) = (message.plan.clone(), message.id(&state));
        let taken = match self.take_over(&plan, &state, &turn, worker).await {
            Ok(taken) => taken,
            Err(turned) => return Ok(turned),
        };
        let over = self.journal_after(message);
        let clock = Clock::start(Timestamp::now());
        // All nodes were staged before the first message, so no release is needed any more.
        let bundle = Arc::new(Bundle::new(plan.commit.clone(), BTreeMap::new()));
        let tokens = state.tokens.clone();
        let number = taken.fence.number;
        let taken_over = RollEvent::TakenOver {
            holder: taken.fence.holder.clone(),
            fence: number,
            unsure: taken.unsure,
        };
        let performer = self.performer(plan.clone(), bundle, taken.fence, tokens, clock);
        let mut run = Run::new(&over, RollId(0), state, performer);
        run.note(taken_over).await?;
        match run.until_rest().await? {
            Until::Finished(outcome) => {
                // Who is refused has been overtaken, and may not tell how it ended.
                let number = number.saturating_add(1);
                let still = fence(&plan, number, worker, turn.clone(), false);
                Ok(match self.claim(&plan, &still).await {
                    Ok(_) => {
                        let number = number.saturating_add(1);
                        Turned::Over(outcome, Some(fence(&plan, number, worker, turn, true)))
                    }
                    Err(why) => Turned::Contested(why),
                })
            }
            Until::Rest => Ok(Turned::Next(over.journal.take())),
            Until::Fenced(why) => Ok(Turned::Contested(why)),
        }
    }

    fn journal_after(&self, message: &TurnMessage) -> Self {
        Self {
            nodes: Arc::clone(&self.nodes),
            prober: Arc::clone(&self.prober),
            journal: self.journal.after(message.entries.clone()),
            observer: Arc::clone(&self.observer),
            cancel: self.cancel.clone(),
            newer: Arc::clone(&self.newer),
            pause: self.pause.clone(),
        }
    }

    /// Looks whether the turn is still to be carried out, and claims the nodes for it.
    async fn take_over(
        &self,
        plan: &Plan,
        state: &RollState,
        turn: &TurnId,
        worker: &str,
    ) -> Result<Taken, Turned> {
        let seen = observe::all(&self.nodes, plan.turns.keys().cloned()).await;
        let held = |state: &NodeState| (state.fence, state.holder.clone());
        judge(turn, seen.states().map(held))?;
        let number = seen.highest_fence().max(turn.after).saturating_add(1);
        let fence = fence(plan, number, worker, turn.clone(), false);
        let before = self.claim(plan, &fence).await.map_err(Turned::Contested)?;
        // Someone else may have been quicker since we looked.
        judge(turn, before.values().cloned())?;
        let unsure = state.unsure(plan, &before);
        Ok(Taken { fence, unsure })
    }

    /// All nodes of the plan that answer, with who held them until then.
    async fn claim(
        &self,
        plan: &Plan,
        fence: &Fence,
    ) -> Result<BTreeMap<NodeName, (u64, String)>, String> {
        let mut claims = JoinSet::new();
        for node in plan.turns.keys().cloned() {
            let (nodes, fence) = (Arc::clone(&self.nodes), fence.clone());
            claims.spawn(async move {
                let claimed = nodes.claim(&fence, &node).await;
                (node, claimed)
            });
        }
        let mut all = BTreeMap::new();
        for (node, claimed) in claims.join_all().await {
            match claimed {
                Ok(claimed) => {
                    all.insert(node, claimed.before);
                }
                Err(error @ NodeError::Fenced { .. }) => return Err(error.to_string()),
                Err(error) => {
                    tracing::warn!(%node, %error, "could not be claimed; it is asked in its turn")
                }
            }
        }
        Ok(all)
    }

    /// Lets go what a worker holds that died when it had told how the roll ended. Where another roll holds any node by
    /// now, all are left to it.
    pub async fn release(&self, message: &TurnMessage, worker: &str) -> Result<(), RollError> {
        let (plan, turn) = (&message.plan, message.id(&message.state()?));
        let seen = observe::all(&self.nodes, plan.turns.keys().cloned()).await;
        let latest = seen.states().max_by_key(|state| state.fence);
        let latest = latest.and_then(|state| Claim::parse(&state.holder));
        if latest.is_some_and(|claim| claim.is_under_way() && claim.turn == turn) {
            let number = seen.highest_fence().saturating_add(1);
            let fence = fence(plan, number, worker, turn, true);
            if let Err(why) = self.let_go(plan, &fence).await {
                tracing::info!(roll = message.roll, why, "another roll has the nodes");
            }
        }
        Ok(())
    }

    /// Notes on the nodes that the roll is over.
    pub async fn let_go(&self, plan: &Plan, fence: &Fence) -> Result<(), String> {
        self.claim(plan, fence).await.map(drop)
    }
}

fn judge(turn: &TurnId, held: impl Iterator<Item = (u64, String)>) -> Result<(), Turned> {
    let held: Vec<(u64, String)> = held.collect();
    let nodes = held.iter().map(|(fence, holder)| (*fence, holder.as_str()));
    match turn.standing(nodes) {
        Standing::Current => Ok(()),
        standing => Err(Turned::Stale(standing)),
    }
}

fn fence(plan: &Plan, number: u64, worker: &str, turn: TurnId, over: bool) -> Fence {
    let worker = worker.to_owned();
    Fence {
        cluster: plan.cluster.clone(),
        number,
        holder: Claim { worker, turn, over }.to_string(),
    }
}
