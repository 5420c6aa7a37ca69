//! A roll that goes from worker to worker, one turn in each message. Each worker does one thing: it carries out the
//! turn, gives what follows to the queue together with its answer, and forgets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use windlass_core::codes::plan as plan_codes;
use windlass_core::fence::{Claim, Standing};
use windlass_core::finding::{Finding, Findings};
use windlass_core::observed::Observed;
use windlass_core::outcome::Outcome;
use windlass_core::plan::Plan;
use windlass_core::release::Bundle;
use windlass_core::roll::TurnMessage;

use super::deploy::{Answered, Deploy};
use super::fleet::Fleet;
use super::looked::{Ended, Flowed};
use super::trouble::Trouble;
use crate::queue::{Event, EventKind};
use crate::roll::turns::{Carried, Turned};
use crate::roll::{Driver, RollPermit};

/// RabbitMQ takes 16 MiB; what is added from turn to turn is small beside the plan.
const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Until the next turn of a roll comes, if it comes: another event that arrives before it must not begin a roll.
const TURN_PATIENCE: Duration = Duration::from_secs(60);

/// Who carries a roll on after each node's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// The worker that began it, from its own journal also after a crash. For a queue that only this worker reads.
    Never,
    /// Whoever takes the next message.
    EachTurn,
}

/// The roll that the nodes say is under way, and since when they have said the same.
#[derive(Debug, Default)]
pub struct UnderWay {
    seen: Mutex<Option<(u64, String, Instant)>>,
}

impl UnderWay {
    /// Why nothing else may begin now. A roll of which nothing is heard for a while holds nobody up: the fence
    /// keeps whoever carries it out after all.
    fn holds_up(&self, observed: &Observed, asked: bool) -> Option<String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = observed.states().max_by_key(|state| state.fence)?;
        let Some(claim) = Claim::parse(&highest.holder).filter(Claim::is_under_way) else {
            *seen = None;
            return None;
        };
        let now = Instant::now();
        let same = |(fence, holder, _): &&(u64, String, Instant)| {
            *fence == highest.fence && *holder == highest.holder
        };
        let since = seen.as_ref().filter(same).map_or(now, |(.., since)| *since);
        *seen = Some((highest.fence, highest.holder.clone(), since));
        let waits = !asked && now.duration_since(since) < TURN_PATIENCE;
        let (worker, number) = (claim.worker, claim.turn.number);
        waits.then(|| format!("a roll is under way: {worker} has turn {number}"))
    }
}

impl<F: Fleet> Deploy<F> {
    /// With an embedded queue nobody else has turns.
    pub(super) fn holds_up(&self, observed: &Observed, kind: EventKind) -> Result<(), Trouble> {
        match self.under_way.holds_up(observed, kind == EventKind::Asked) {
            Some(why) if self.handover == Handover::EachTurn => Err(Trouble::Later(why)),
            _ => Ok(()),
        }
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
            plan: plan.clone(),
            entries: Vec::new(),
        };
        let cancel = CancellationToken::new();
        self.newer.begin(&plan.commit, cancel.clone());
        let driver = self.turner(nodes, cancel);
        let bundle = Arc::clone(bundle);
        let turned = driver.open(permit, plan, bundle, &self.holder, &roll).await;
        self.newer.end();
        self.live.over(&self.cluster);
        match turned? {
            Turned::Over(outcome) => Ok(Self::over(&message, outcome)),
            Turned::Next(entries) => {
                message.entries = entries;
                let next = self.event(&message)?;
                let size = serde_json::to_vec(&next)?.len();
                if size > MAX_MESSAGE_BYTES {
                    return Ok(Self::over(&message, too_large(size)));
                }
                Ok(Flowed::Next(next))
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
        let mut message: TurnMessage =
            serde_json::from_value(data).context("a turn's roll cannot be read")?;
        if self.store.report_of(&message.roll).await?.is_some() {
            tracing::info!(cluster = %self.cluster, roll = message.roll, turn = message.turn, "the roll is over; this turn came once more");
            return Ok(Answered::default());
        }
        for entry in &message.entries {
            self.live.note(&message.plan, entry);
        }
        let model = self.model_of(&message.plan.commit).await?;
        let nodes = Arc::new(self.fleet.nodes(&model).context("ssh cannot be set up")?);
        let cancel = CancellationToken::new();
        self.newer.begin(&message.plan.commit, cancel.clone());
        let driver = self.turner(nodes, cancel);
        let turned = driver.turn(permit, &message, &self.holder).await;
        self.newer.end();
        self.live.over(&self.cluster);
        let flowed = match turned? {
            Turned::Over(outcome) => Self::over(&message, outcome),
            Turned::Next(entries) => {
                message.turn += 1;
                message.entries = entries;
                Flowed::Next(self.event(&message)?)
            }
            Turned::Stale(Standing::Overtaken) => {
                // Whoever ended this roll, or began the one after it, has told how. Another outcome beside that one
                // could only be wrong: this turn may have come once more long after the roll's end.
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
        self.answer(flowed, &trigger, message.started).await
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
        cancel: CancellationToken,
    ) -> Driver<F::Nodes, F::Prober, Carried> {
        Driver {
            nodes,
            prober: self.fleet.prober(),
            journal: Carried::default(),
            observer: self.observer(),
            cancel,
            pause: self.stop.clone(),
        }
    }
}

fn too_large(size: usize) -> Outcome {
    let message = format!(
        "the roll's plan takes {size} bytes, and a turn message may have {MAX_MESSAGE_BYTES}"
    );
    let finding = Finding::error(plan_codes::TOO_LARGE, message)
        .hint("roll it once with `windlass roll`, or push it in smaller steps");
    Outcome::Refused {
        findings: Findings::from_iter([finding]),
    }
}
