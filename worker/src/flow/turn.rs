//! A roll that goes from worker to worker, one turn in each message. Each worker does one thing: it carries out the
//! turn, gives what follows to the queue together with its answer, and forgets.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;
use windlass_core::codes::plan as plan_codes;
use windlass_core::fence::{Claim, Standing, generation};
use windlass_core::finding::{Finding, Findings};
use windlass_core::ids::NodeName;
use windlass_core::observed::{AttemptPhase, Observed, Seen};
use windlass_core::outcome::Outcome;
use windlass_core::plan::Plan;
use windlass_core::release::Bundle;
use windlass_core::roll::TurnMessage;

use super::deploy::{Answered, Deploy};
use super::fleet::Fleet;
use super::looked::{Ended, Flowed};
use super::newer::Signals;
use super::trouble::Trouble;
use crate::ports::Fence;
use crate::queue::{Event, EventKind};
use crate::roll::turns::{Carried, Turned};
use crate::roll::{Driver, RollPermit};
use crate::store::reports::Report;

/// For a roll's plan. RabbitMQ takes 16 MiB; what is added from turn to turn is small beside the plan, and may
/// take half as much again.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Until the next turn of a roll comes, if it comes: another event that arrives before it must not begin a roll.
const TURN_PATIENCE: Duration = Duration::from_secs(60);
/// How it ended is tried to be told this often: within `TURN_PATIENCE`, so that nobody takes the roll for forsaken.
const UNTOLD: Duration = Duration::from_secs(20);

/// Who carries a roll on after each node's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// The worker that began it, from its own journal also after a crash. For a queue that only this worker reads.
    Never,
    /// Whoever takes the next message.
    EachTurn,
}

/// A roll that nobody goes on with, as the nodes tell of it.
#[derive(Debug, Clone)]
pub(super) struct Forsaken {
    pub(super) claim: Claim,
    pub(super) fence: u64,
    /// Those of its nodes that answer.
    pub(super) nodes: BTreeSet<NodeName>,
    /// Those that had their turn.
    pub(super) done: BTreeSet<NodeName>,
    /// Its commit, where a node was confirmed with it.
    pub(super) commit: String,
}

/// The roll that the nodes say is under way, and since when they have said the same.
#[derive(Debug)]
pub struct UnderWay {
    seen: Mutex<Option<(u64, String, Instant)>>,
    patience: Duration,
}

impl Default for UnderWay {
    fn default() -> Self {
        Self::within(TURN_PATIENCE)
    }
}

impl UnderWay {
    pub(super) fn within(patience: Duration) -> Self {
        Self {
            seen: Mutex::default(),
            patience,
        }
    }

    /// What else is under way. `Err`: nothing may begin now, and why; a person who asks waits as well, because the roll's
    /// next turn may merely have come into the queue later. A roll of which nothing is heard for a while holds nobody up:
    /// the fence keeps whoever carries it out after all.
    fn beside(&self, observed: &Observed) -> Result<Option<Forsaken>, String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(highest) = observed.states().max_by_key(|state| state.fence) else {
            return Ok(None);
        };
        let Some(claim) = Claim::parse(&highest.holder).filter(Claim::is_under_way) else {
            *seen = None;
            return Ok(None);
        };
        let now = Instant::now();
        let same = |(fence, holder, _): &&(u64, String, Instant)| {
            *fence == highest.fence && *holder == highest.holder
        };
        let since = seen.as_ref().filter(same).map_or(now, |(.., since)| *since);
        *seen = Some((highest.fence, highest.holder.clone(), since));
        if now.duration_since(since) < self.patience {
            let (worker, number) = (claim.worker, claim.turn.number);
            let at = match number {
                0 => "stages its nodes".to_owned(),
                _ => format!("has turn {number}"),
            };
            return Err(format!("a roll is under way: {worker} {at}"));
        }
        Ok(Some(Forsaken::of(claim, highest.fence, observed)))
    }
}

impl Forsaken {
    fn of(claim: Claim, fence: u64, observed: &Observed) -> Self {
        let mut forsaken = Self {
            fence,
            nodes: BTreeSet::new(),
            done: BTreeSet::new(),
            commit: String::new(),
            claim,
        };
        for (node, seen) in &observed.nodes {
            let Seen::State(state) = seen else { continue };
            let held = Claim::parse(&state.holder);
            if held.is_none_or(|held| held.turn.roll != forsaken.claim.turn.roll) {
                continue;
            }
            forsaken.nodes.insert(node.clone());
            let attempt = state.attempt.as_ref().filter(|attempt| {
                attempt.phase == AttemptPhase::Confirmed
                    && generation(attempt.fence) == generation(forsaken.claim.turn.after)
            });
            if let (Some(_), Some(current)) = (attempt, &state.current) {
                forsaken.done.insert(node.clone());
                forsaken.commit.clone_from(&current.commit);
            }
        }
        forsaken
    }
}

impl<F: Fleet> Deploy<F> {
    /// With an embedded queue nobody else has turns.
    pub(super) fn beside(&self, observed: &Observed) -> Result<Option<Forsaken>, Trouble> {
        if self.handover == Handover::Never {
            return Ok(None);
        }
        self.under_way.beside(observed).map_err(Trouble::Later)
    }

    /// Begins a roll whose turns are carried in messages.
    pub(super) async fn open(
        &self,
        permit: &RollPermit,
        nodes: Arc<F::Nodes>,
        plan: Plan,
        bundle: &Arc<Bundle>,
        event: &Event,
    ) -> Result<Flowed, Trouble> {
        let roll = Uuid::new_v4().to_string();
        let mut message = TurnMessage {
            roll: roll.clone(),
            turn: 1,
            trigger: event.kind.word().to_owned(),
            started: Timestamp::now(),
            plan: plan.clone().without_secret_digests(),
            entries: Vec::new(),
        };
        // Before any node hears of it. What is added when they are staged is small.
        let size = serde_json::to_vec(&self.event(&message)?)?.len();
        if size > self.largest_message {
            let outcome = too_large(size, self.largest_message);
            return Ok(Self::over(&message, outcome));
        }
        let signals = Signals::default();
        let driver = self.turner(nodes, &signals, usize::MAX);
        let opening = driver.open(
            permit,
            plan.clone(),
            Arc::clone(bundle),
            &self.holder,
            &roll,
        );
        match self.looking(&plan, &signals, opening).await? {
            Turned::Over(outcome, _) => Ok(Self::over(&message, outcome)),
            Turned::Next(entries) => {
                message.entries = entries;
                Ok(Flowed::Next(self.event(&message)?))
            }
            Turned::Contested(why) => Err(Trouble::Later(why)),
            Turned::Stale(standing) => Err(Trouble::Later(format!("{standing:?}"))),
        }
    }

    /// Carries out one turn.
    pub(super) async fn turn(
        &self,
        permit: &RollPermit,
        event: &Event,
    ) -> Result<Answered, Trouble> {
        let data = event.data.clone().context("a turn without its roll")?;
        let message: TurnMessage =
            serde_json::from_value(data).context("a turn's roll cannot be read")?;
        if let Some(told) = self.store.report_of(&message.roll).await? {
            return Ok(self.told_before(&message, &told, event).await);
        }
        for entry in &message.entries {
            self.live.note(&message.plan, entry);
        }
        let model = self.model_of(&message.plan.commit).await?;
        let nodes = Arc::new(self.fleet.nodes(&model).context("ssh cannot be set up")?);
        let signals = Signals::default();
        let planned = serde_json::to_vec(&message.plan)?.len();
        let room = (self.largest_message / 2 * 3).saturating_sub(planned);
        let driver = self.turner(nodes, &signals, room);
        let turning = async {
            self.look_before_turn(&message.plan).await;
            driver.turn(permit, &message, &self.holder).await
        };
        let turned = self.looking(&message.plan, &signals, turning).await?;
        let flowed = match turned {
            Turned::Over(outcome, fence) => {
                let told = Self::over(&message, outcome);
                return self.tell(told, event, &message, &driver, fence).await;
            }
            Turned::Next(entries) => {
                let next = message.followed_by(entries);
                Flowed::Next(self.event(&next.map_err(anyhow::Error::from)?)?)
            }
            Turned::Stale(Standing::Overtaken) => {
                // Whoever ended this roll, or took its nodes before they began another, has told how. Another outcome
                // beside that one could only be wrong: this turn may have come once more long after the roll's end.
                tracing::warn!(cluster = %self.cluster, roll = message.roll, turn = message.turn, "another roll has taken the nodes; this turn is dropped");
                Flowed::Nothing
            }
            Turned::Stale(_) => {
                tracing::info!(cluster = %self.cluster, roll = message.roll, turn = message.turn, "the roll has gone on without this turn");
                Flowed::Nothing
            }
            Turned::Contested(why) => return Err(Trouble::Later(why)),
        };
        let trigger = message.trigger.clone();
        self.answer(flowed, event, &trigger, message.started).await
    }

    /// A worker that dies when it has told how a roll ended still holds its nodes, and may not have published what follows.
    async fn told_before(&self, message: &TurnMessage, told: &Report, event: &Event) -> Answered {
        tracing::info!(cluster = %self.cluster, roll = message.roll, turn = message.turn, "the roll is over; this turn came once more");
        if let Err(why) = self.release(message).await {
            tracing::warn!(cluster = %self.cluster, roll = message.roll, %why, "its nodes could not be let go");
        }
        Answered {
            report: None,
            then: self.follows(told, event),
        }
    }

    async fn release(&self, message: &TurnMessage) -> Result<(), Trouble> {
        let model = self.model_of(&message.plan.commit).await?;
        let nodes = Arc::new(self.fleet.nodes(&model)?);
        let driver = self.turner(nodes, &Signals::default(), 0);
        Ok(driver.release(message, &self.holder).await?)
    }

    /// What was told is on the disk before the nodes are let go: until then nobody begins another roll, and the turn
    /// comes once more.
    async fn tell(
        &self,
        ended: Flowed,
        event: &Event,
        message: &TurnMessage,
        driver: &Driver<F::Nodes, F::Prober, Carried>,
        fence: Option<Fence>,
    ) -> Result<Answered, Trouble> {
        let (trigger, started) = (&message.trigger, message.started);
        let answered = self.answer(ended, event, trigger, started).await;
        let answered = answered.map_err(|trouble| {
            let why = format!("how the roll ended cannot be told: {trouble}");
            Trouble::Again(UNTOLD, why)
        })?;
        if let Some(fence) = fence
            && let Err(why) = driver.let_go(&message.plan, &fence).await
        {
            tracing::warn!(cluster = %self.cluster, roll = message.roll, why, "another roll has taken the nodes since this one was told");
        }
        Ok(answered)
    }

    fn over(message: &TurnMessage, outcome: Outcome) -> Flowed {
        Flowed::Ended(Ended {
            roll: Some(message.roll.clone()),
            commit: message.plan.commit.clone(),
            subject: message.plan.subject.clone(),
            bundle: Some(message.plan.bundle),
            reviewed: message.plan.reviewed,
            outcome,
        })
    }

    fn event(&self, message: &TurnMessage) -> Result<Event, Trouble> {
        let id = format!("{}-{}", message.roll, message.turn);
        let event = Event::new(EventKind::Turn, "/roll", &self.cluster, id);
        Ok(event.with(serde_json::to_value(message)?))
    }

    fn turner(
        &self,
        nodes: Arc<F::Nodes>,
        signals: &Signals,
        room: usize,
    ) -> Driver<F::Nodes, F::Prober, Carried> {
        Driver {
            nodes,
            prober: self.fleet.prober(),
            journal: Carried::new(room),
            observer: self.observer(),
            cancel: signals.call_off.clone(),
            newer: Arc::clone(&signals.newer),
            pause: self.stop.clone(),
        }
    }
}

fn too_large(size: usize, most: usize) -> Outcome {
    let message =
        format!("the roll's plan takes {size} bytes, and a roll's first message may have {most}");
    let finding = Finding::error(plan_codes::TOO_LARGE, message)
        .hint("roll it once with `windlass roll`, or push it in smaller steps");
    Outcome::Refused {
        findings: Findings::from_iter([finding]),
    }
}
