//! How rolls begin, in the search of the protocol: events that look at the nodes, and open a roll or wait for the one that
//! is under way, until they take it for forsaken and end it. The first roll is followed to its end; any other is
//! no more than a higher fence on all nodes.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::carried::{Case, Doing, Log, Message, Node, enter, held, holder};
use super::network::{Net, Queued};
use super::sim::{Sim, do_it};
use super::*;
use crate::fence::{Claim, TurnId, next_generation};
use crate::ids::NodeName;
use crate::observed::AttemptPhase;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::plan::fixtures::{now, state};

/// By whom a roll is overtaken that nobody goes on with.
pub(super) const EVENT: &str = "event";

fn queued(message: Message) -> Queued {
    Queued {
        message,
        with: None,
    }
}

impl Net {
    /// Events wait in the queue. Without any a roll was opened by a worker, and its first turn waits.
    pub(super) fn new(plan: &Plan, case: Case) -> Self {
        let fresh = |node: &NodeName| {
            let mut sim = Sim::new(state(None));
            (sim.state.fence, sim.state.holder) = (0, String::new());
            let activations = 0;
            (node.clone(), Node { sim, activations })
        };
        let message = Message {
            turn: 0,
            log: Rc::new(Log::new(plan)),
        };
        let mut net = Self {
            nodes: plan.turns.keys().map(fresh).collect(),
            queue: VecDeque::new(),
            workers: vec![Doing::Nothing; case.workers],
            told: Vec::new(),
            begun: false,
            published: false,
            crashes: case.crashes,
            losses: case.losses,
            deadmen: case.deadmen,
            newer: case.newer,
        };
        for _ in 0..case.events {
            net.queue.push_back(queued(message.clone()));
        }
        if case.events == 0 {
            net.begun = true;
            let number = plan.fence;
            let mut opening = Doing::Open { message, number };
            while let Doing::Open { message, number } = opening {
                opening = net.open(0, plan, case, message, number);
            }
            let Doing::Publish(first) = opening else {
                panic!("{opening:?}");
            };
            net.published = true;
            net.queue.push_back(queued(first));
        }
        net
    }

    /// Of all claims the one with the highest fence.
    fn highest(&self) -> (u64, Option<Claim>) {
        let all = self.nodes.values().map(|node| held(&node.sim));
        let highest = all.max_by_key(|(fence, _)| *fence);
        highest.map_or((0, None), |(fence, holder)| (fence, Claim::parse(&holder)))
    }

    pub(super) fn look_around(&mut self, case: Case, message: Message) -> Doing {
        let (fence, claim) = self.highest();
        let counts = |claim: &Claim| case.opened_counts || claim.turn.number > 0;
        if claim.is_some_and(|claim| claim.is_under_way() && counts(&claim)) {
            return Doing::Wait;
        }
        let number = next_generation(fence);
        if std::mem::replace(&mut self.begun, true) {
            Doing::Take { number }
        } else {
            Doing::Open { message, number }
        }
    }

    /// One node is staged and checked.
    pub(super) fn open(
        &mut self,
        worker: usize,
        plan: &Plan,
        case: Case,
        message: Message,
        number: u64,
    ) -> Doing {
        let holder = holder(worker, 0, number, false);
        let mut log = (*message.log).clone();
        if log.state.holder.is_empty() {
            let token = |node: &NodeName| (node.clone(), format!("t-{node}"));
            let opened = RollEvent::Opened {
                holder: holder.clone(),
                tokens: plan.turns.keys().map(token).collect(),
            };
            log.note(plan, opened);
        }
        let mut waiting = self.nodes.keys();
        let next = waiting.find(|node| log.state.place(node) < Place::Ready);
        let Some(node) = next.cloned() else {
            let (turn, log) = (1, Rc::new(log));
            return Doing::Publish(Message { turn, log });
        };
        let sim = &mut self.nodes.get_mut(&node).unwrap().sim;
        if !enter(sim, number, &holder, case) {
            return Doing::Retry;
        }
        for act in [Act::Stage, Act::Check] {
            let begun = RollEvent::Begun {
                node: node.clone(),
                act,
            };
            log.note(plan, begun);
            let step = Step::Stage { node: node.clone() };
            let token = format!("t-{node}");
            log.note(plan, do_it(sim, &step, act, 0, &token, now()));
        }
        let (turn, log) = (0, Rc::new(log));
        let message = Message { turn, log };
        Doing::Open { message, number }
    }

    /// Another roll has one node after the other, and is over.
    pub(super) fn take(&mut self, worker: usize, case: Case, number: u64) -> Doing {
        let turn = TurnId {
            roll: "s".to_owned(),
            number: 0,
            after: number,
        };
        let (worker, over) = (format!("w{worker}"), true);
        let holder = Claim { worker, turn, over }.to_string();
        let mut all = self.nodes.values_mut().map(|node| &mut node.sim);
        let Some(sim) = all.find(|sim| held(sim) != (number, holder.clone())) else {
            return Doing::Acknowledge;
        };
        if enter(sim, number, &holder, case) {
            Doing::Take { number }
        } else {
            Doing::Retry
        }
    }

    /// The event has waited for so long that it ends the roll. Not while another worker makes its last claims and tells how
    /// it ended: one that sleeps there for longer than patience lasts may tell a second outcome.
    pub(super) fn loses_patience(&self, worker: usize, plan: &Plan) -> Option<Self> {
        let tells = |doing: &Doing| match doing {
            Doing::Tell { .. } => true,
            Doing::Claim {
                before, outcome, ..
            } => outcome.is_some() && !before.is_empty(),
            _ => false,
        };
        if !matches!(self.workers[worker], Doing::Wait) || self.workers.iter().any(tells) {
            return None;
        }
        let (fence, _) = self.highest();
        let mut log = Log::new(plan);
        log.state.fence = fence;
        let done = |node: &&NodeName| self.nodes[*node].sim.phase() == AttemptPhase::Confirmed;
        let (nodes, left) = self.nodes.keys().partition(done);
        let owned = |nodes: Vec<&NodeName>| nodes.into_iter().cloned().collect();
        let mut then = self.clone();
        then.workers[worker] = Doing::Claim {
            message: Message {
                turn: u32::MAX,
                log: Rc::new(log),
            },
            number: fence + 1,
            over: false,
            before: BTreeMap::new(),
            outcome: Some(Outcome::Overtaken {
                by: EVENT.to_owned(),
                nodes: owned(nodes),
                left: owned(left),
            }),
        };
        Some(then)
    }

    /// All nodes were let go; whoever ended the roll for another begins that one.
    pub(super) fn let_go(&self, message: &Message) -> Doing {
        if message.turn == u32::MAX {
            let number = next_generation(message.log.state.fence);
            return Doing::Take { number };
        }
        Doing::Acknowledge
    }
}
