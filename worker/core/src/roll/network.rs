//! Workers, nodes and a queue, as one state from which others follow: whatever a worker does next that others can see,
//! or what befalls it.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use jiff::Timestamp;

use super::carried::{Case, Doing, Log, Message, Node, enter, held, holder, stands, turn_id};
use super::sim::{do_it, failed};
use super::*;
use crate::fence::Standing;
use crate::ids::NodeName;
use crate::observed::AttemptPhase;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::plan::fixtures::now;

#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) message: Message,
    /// To whom the broker has delivered it.
    pub(super) with: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Net {
    pub(super) nodes: BTreeMap<NodeName, Node>,
    pub(super) queue: VecDeque<Queued>,
    pub(super) workers: Vec<Doing>,
    pub(super) told: Vec<Outcome>,
    /// An event has begun the roll, and its first message is with the broker.
    pub(super) begun: bool,
    pub(super) published: bool,
    pub(super) crashes: u8,
    pub(super) losses: u8,
    pub(super) deadmen: u8,
    pub(super) newer: u8,
}

#[derive(Debug)]
pub(super) struct Wrong(pub(super) &'static str, pub(super) Box<Net>);

impl Net {
    pub(super) fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{self:?}").hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn is_over(&self) -> bool {
        self.queue.is_empty() && self.workers.iter().all(|w| matches!(w, Doing::Nothing))
    }

    /// Every state that may follow.
    pub(super) fn successors(&self, plan: &Plan, case: Case) -> Result<Vec<Self>, Wrong> {
        let mut all = Vec::new();
        for worker in 0..self.workers.len() {
            if matches!(self.workers[worker], Doing::Nothing) {
                for at in 0..self.queue.len() {
                    // The broker gives one message at a time to one worker, and delivers again in any order.
                    if self.queue.iter().all(|queued| queued.with.is_none()) {
                        let mut then = self.clone();
                        then.queue[at].with = Some(worker);
                        then.workers[worker] = Doing::Look(then.queue[at].message.clone());
                        all.push(then);
                    }
                }
                continue;
            }
            all.extend(self.noticed(worker, plan));
            all.extend(self.loses_patience(worker, plan));
            let mut then = self.clone();
            then.go_on(worker, plan, case)?;
            all.push(then);
            if self.crashes > 0 {
                let mut then = self.clone();
                then.crashes -= 1;
                then.workers[worker] = Doing::Nothing;
                then.give_back(worker);
                all.push(then);
            }
            if self.losses > 0 && self.queue.iter().any(|queued| queued.with == Some(worker)) {
                let mut then = self.clone();
                then.losses -= 1;
                then.give_back(worker);
                all.push(then);
            }
        }
        for node in self.nodes.keys().filter(|_| self.deadmen > 0) {
            let mut then = self.clone();
            let sim = &mut then.nodes.get_mut(node).unwrap().sim;
            if sim.phase() == AttemptPhase::Activated {
                sim.tick(Timestamp::MAX);
                then.deadmen -= 1;
                all.push(then);
            }
        }
        Ok(all)
    }

    /// The worker notices that there is a newer commit.
    fn noticed(&self, worker: usize, plan: &Plan) -> Option<Self> {
        let Doing::Act { log, .. } = &self.workers[worker] else {
            return None;
        };
        if self.newer == 0 || log.state.newer.is_some() {
            return None;
        }
        let mut noted = (**log).clone();
        let commit = "newer".to_owned();
        noted.note(plan, RollEvent::Newer { commit });
        let mut then = self.clone();
        then.newer -= 1;
        if let Doing::Act { log, .. } = &mut then.workers[worker] {
            *log = Rc::new(noted);
        }
        Some(then)
    }

    fn give_back(&mut self, worker: usize) {
        for queued in &mut self.queue {
            if queued.with == Some(worker) {
                queued.with = None;
            }
        }
    }

    fn acknowledge(&mut self, worker: usize) {
        self.queue.retain(|queued| queued.with != Some(worker));
    }

    pub(super) fn wrong(&self, why: &'static str) -> Wrong {
        Wrong(why, Box::new(self.clone()))
    }

    /// One thing that others can see.
    fn go_on(&mut self, worker: usize, plan: &Plan, case: Case) -> Result<(), Wrong> {
        let doing = std::mem::replace(&mut self.workers[worker], Doing::Nothing);
        let next = match doing {
            Doing::Nothing => Doing::Nothing,
            Doing::Look(message) if message.turn == 0 => self.look_around(case, message),
            Doing::Look(message) => self.look(case, message),
            Doing::Wait => Doing::Retry,
            Doing::Open { message, number } => self.open(worker, plan, case, message, number),
            Doing::Take { number } => self.take(worker, case, number),
            Doing::Claim {
                message,
                number,
                over,
                before,
                outcome,
            } => self.claim(worker, plan, case, message, number, over, before, outcome),
            Doing::Act {
                message,
                log,
                before,
            } => self.act(plan, case, message, &log, before)?,
            Doing::Publish(message) => self.publish(worker, case, message),
            Doing::Tell {
                message,
                number,
                outcome,
            } => self.tell(message, number, outcome),
            Doing::Acknowledge => {
                self.acknowledge(worker);
                Doing::Nothing
            }
            Doing::Retry => {
                self.give_back(worker);
                Doing::Nothing
            }
        };
        if let (Doing::Publish(_), false) = (&next, case.publish_first) {
            self.acknowledge(worker);
        }
        self.workers[worker] = next;
        Ok(())
    }

    fn publish(&mut self, worker: usize, case: Case, message: Message) -> Doing {
        if !case.publish_first {
            self.acknowledge(worker);
        }
        self.published = true;
        self.queue.push_back(Queued {
            message,
            with: None,
        });
        Doing::Acknowledge
    }

    /// Who ends a roll that nobody goes on with knows what was told.
    fn tell(&mut self, message: Message, number: u64, outcome: Outcome) -> Doing {
        if message.turn != u32::MAX || self.told.is_empty() {
            self.told.push(outcome);
        }
        Doing::Claim {
            message,
            number: number + 1,
            over: true,
            before: BTreeMap::new(),
            outcome: None,
        }
    }

    fn look(&self, case: Case, message: Message) -> Doing {
        let turn = turn_id(&message);
        let held: Vec<_> = self.nodes.values().map(|node| held(&node.sim)).collect();
        if stands(&turn, &held, case) != Standing::Current {
            return Doing::Acknowledge;
        }
        let highest = held.iter().map(|(fence, _)| *fence).max().unwrap();
        Doing::Claim {
            message,
            number: highest.max(turn.after) + 1,
            over: false,
            before: BTreeMap::new(),
            outcome: None,
        }
    }

    /// One node after the other, as they answer; the order is fixed, since claims of one worker do not meet.
    #[expect(clippy::too_many_arguments, reason = "the parts of one state")]
    fn claim(
        &mut self,
        worker: usize,
        plan: &Plan,
        case: Case,
        message: Message,
        number: u64,
        over: bool,
        mut before: BTreeMap<NodeName, (u64, String)>,
        outcome: Option<Outcome>,
    ) -> Doing {
        let turn = turn_id(&message);
        let holder = holder(worker, turn.number, turn.after, over);
        let next = self.nodes.keys().find(|node| !before.contains_key(*node));
        if let Some(node) = next.cloned() {
            let sim = &mut self.nodes.get_mut(&node).unwrap().sim;
            before.insert(node, held(sim));
            if !enter(sim, number, &holder, case) {
                // It was told, and whoever has the nodes now goes on.
                return if over {
                    Doing::Acknowledge
                } else {
                    Doing::Retry
                };
            }
            return Doing::Claim {
                message,
                number,
                over,
                before,
                outcome,
            };
        }
        if let Some(outcome) = outcome {
            return Doing::Tell {
                message,
                number,
                outcome,
            };
        }
        if over {
            return self.let_go(&message);
        }
        let held: Vec<_> = before.values().cloned().collect();
        if stands(&turn, &held, case) != Standing::Current {
            return Doing::Acknowledge;
        }
        let mut log = (*message.log).clone();
        let unsure = log.state.unsure(plan, &before);
        let reached = log.state.reached(plan);
        let taken = RollEvent::TakenOver {
            holder,
            fence: number,
            unsure,
        };
        log.note(plan, taken);
        let log = Rc::new(log);
        Doing::Act {
            message,
            log,
            before: reached,
        }
    }

    /// What the worker does for itself, and then one call of a node.
    fn act(
        &mut self,
        plan: &Plan,
        case: Case,
        message: Message,
        log: &Log,
        before: Reached,
    ) -> Result<Doing, Wrong> {
        let mut log = log.clone();
        loop {
            let steps = next(plan, &log.state, now());
            if log.state.fenced().is_some() {
                return Ok(Doing::Retry);
            }
            let finishes = matches!(steps.as_slice(), [Step::Finish(_)]);
            let hasty = finishes && !case.decide_first;
            if !hasty && log.state.ends_turn(plan, &before, &steps) {
                let turn = log.state.turn_after(plan, message.turn);
                let log = Rc::new(log);
                return Ok(Doing::Publish(Message { turn, log }));
            }
            let step = steps.into_iter().next().unwrap();
            if let Step::Finish(outcome) = step {
                return Ok(Doing::Claim {
                    message,
                    number: log.state.fence + 1,
                    over: false,
                    before: BTreeMap::new(),
                    outcome: Some(outcome),
                });
            }
            let (event, seen) = self.perform(case, &log.state, &step)?;
            if let (Some(act), Some(node)) = (step.act(), step.node().cloned()) {
                log.note(plan, RollEvent::Begun { node, act });
            }
            log.note(plan, event);
            if seen {
                let log = Rc::new(log);
                return Ok(Doing::Act {
                    message,
                    log,
                    before,
                });
            }
        }
    }

    /// What came of it, and whether others can see it.
    fn perform(
        &mut self,
        case: Case,
        state: &RollState,
        step: &Step,
    ) -> Result<(RollEvent, bool), Wrong> {
        if let Step::Record(event) = step {
            return Ok((event.clone(), false));
        }
        let node = step.node().unwrap().clone();
        if let Some(act) = step.act().filter(|act| act.only_looks()) {
            let breaks = case.broken && node.as_str() == "b" && act == Act::Gates;
            let event = if breaks {
                failed(&node, act, None)
            } else {
                RollEvent::Done { node, act }
            };
            return Ok((event, false));
        }
        let (fence, holder, token) = (state.fence, &state.holder, state.token(&node).to_owned());
        let Node { sim, activations } = self.nodes.get_mut(&node).unwrap();
        let overtaken = sim.state.fence > fence;
        if !enter(sim, fence, holder, case) {
            let message = "overtaken".to_owned();
            return Ok((RollEvent::Fenced { node, message }, true));
        }
        if overtaken {
            return Err(self.wrong("a node took an order from who was overtaken"));
        }
        let Some(act) = step.act() else {
            let fate = fate(&sim.state, fence, holder, &token);
            return Ok((RollEvent::Learned { node, fate }, true));
        };
        let before = sim.phase();
        let event = do_it(sim, step, act, 0, &token, now());
        if before == AttemptPhase::Staged && sim.phase() == AttemptPhase::Activated {
            *activations += 1;
        }
        if *activations > 1 {
            return Err(self.wrong("a turn ran twice on a node"));
        }
        Ok((event, true))
    }
}
