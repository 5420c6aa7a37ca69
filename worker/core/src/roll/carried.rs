//! What the search of the protocol is made of: a case, a message with all that it says, and a node that refuses
//! as the agent does.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use super::sim::Sim;
use super::*;
use crate::fence::{Claim, Standing, TurnId, next_generation};
use crate::ids::NodeName;
use crate::model::OnNewerCommit;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::plan::fixtures::{World, bundle, component, gate, now, policy, release, state};
use crate::yaml::At;

/// What is searched, and how the protocol is broken on purpose.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) workers: usize,
    pub(super) crashes: u8,
    /// How often a message is delivered although its worker goes on.
    pub(super) losses: u8,
    /// How often a node goes back by itself.
    pub(super) deadmen: u8,
    /// How many events may begin a roll. With none the search starts where one was opened.
    pub(super) events: u8,
    /// The numbers of the roll's generation are used up soon.
    pub(super) runs_out: bool,
    /// A roll is under way from its first staged node on.
    pub(super) opened_counts: bool,
    /// How often a worker notices that there is a newer commit, where the policy is to stop for it.
    pub(super) newer: u8,
    /// The gate of the second node does not hold.
    pub(super) broken: bool,
    pub(super) nodes_refuse: bool,
    pub(super) publish_first: bool,
    pub(super) drop_only_what_is_behind: bool,
    /// That the roll gives way stands in a message before the roll ends.
    pub(super) decide_first: bool,
}

/// A roll's entries and what they come to. Two are the same where their entries are.
#[derive(Clone)]
pub(super) struct Log {
    pub(super) state: RollState,
    pub(super) digest: u64,
}

/// Turn 0 is an event that may begin a roll.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) turn: u32,
    pub(super) log: Rc<Log>,
}

/// What a worker is about to do.
#[derive(Debug, Clone)]
pub(super) enum Doing {
    Nothing,
    Look(Message),
    /// An event found a roll under way.
    Wait,
    /// Stages one node after the other.
    Open {
        message: Message,
        number: u64,
    },
    /// Another roll takes the nodes.
    Take {
        number: u64,
    },
    Claim {
        message: Message,
        number: u64,
        over: bool,
        before: BTreeMap<NodeName, (u64, String)>,
        /// Where the claim is the last one before it is told, how the roll ended.
        outcome: Option<Outcome>,
    },
    Act {
        message: Message,
        log: Rc<Log>,
        before: Reached,
    },
    Publish(Message),
    Tell {
        message: Message,
        number: u64,
        outcome: Outcome,
    },
    Acknowledge,
    /// It was refused: the message goes back to the queue.
    Retry,
}

#[derive(Clone)]
pub(super) struct Node {
    pub(super) sim: Sim,
    pub(super) activations: u8,
}

pub(super) fn plan(case: Case) -> Plan {
    let part = |name: &str, content: &str| {
        let files = [("/etc/x", "x", content)];
        let gates = vec![gate("up", "x")];
        release(name, content, &files, vec![component("x", &[])], gates)
    };
    let names = ["a", "b"];
    let new = bundle("new", names.map(|name| part(name, "new")).into());
    let states = names.map(|name| (name, state(Some(&part(name, "old")))));
    let mut world = World::new(new, states.into());
    world.policy = policy();
    world.policy.serial = vec![At::nowhere(crate::model::Wave::Count(1)); 2];
    if case.newer > 0 {
        world.policy.on_newer_commit = OnNewerCommit::Stop;
    }
    let mut plan = world.plan();
    plan.fence = next_generation(0);
    if case.runs_out {
        plan.fence += 998;
    }
    for turn in plan.turns.values_mut() {
        turn.drain.clear();
        turn.undrain.clear();
    }
    plan
}

impl Log {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            state: RollState::new(plan, now()),
            digest: 0,
        }
    }

    pub(super) fn note(&mut self, plan: &Plan, event: RollEvent) {
        let mut hasher = DefaultHasher::new();
        (self.digest, format!("{event:?}")).hash(&mut hasher);
        self.digest = hasher.finish();
        let entry = Entry { at: now(), event };
        self.state.apply(plan, &entry).unwrap();
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.digest)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fence, holder) = held(&self.sim);
        let (phase, activations) = (self.sim.phase(), self.activations);
        write!(f, "{fence} {holder} {phase:?} {activations}")
    }
}

pub(super) fn turn_id(message: &Message) -> TurnId {
    TurnId {
        roll: "r".to_owned(),
        number: message.turn,
        after: message.log.state.fence,
    }
}

pub(super) fn holder(worker: usize, number: u32, after: u64, over: bool) -> String {
    let (worker, roll) = (format!("w{worker}"), "r".to_owned());
    let turn = TurnId {
        roll,
        number,
        after,
    };
    Claim { worker, turn, over }.to_string()
}

pub(super) fn held(sim: &Sim) -> (u64, String) {
    (sim.state.fence, sim.state.holder.clone())
}

/// The agent's guard.
pub(super) fn enter(sim: &mut Sim, fence: u64, holder: &str, case: Case) -> bool {
    let (theirs, by) = (sim.state.fence, &sim.state.holder);
    if case.nodes_refuse && (fence < theirs || (fence == theirs && holder != by)) {
        return false;
    }
    if fence >= theirs {
        (sim.state.fence, sim.state.holder) = (fence, holder.to_owned());
    }
    true
}

pub(super) fn stands(turn: &TurnId, held: &[(u64, String)], case: Case) -> Standing {
    let claimed = |(_, holder): &(u64, String)| {
        Claim::parse(holder).is_some_and(|claim| claim.turn.number >= turn.number)
    };
    if !case.drop_only_what_is_behind && held.iter().any(claimed) {
        return Standing::Repeated;
    }
    turn.standing(held.iter().map(|(fence, holder)| (*fence, holder.as_str())))
}
