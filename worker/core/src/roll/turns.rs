//! A roll cut into turns that are carried from worker to worker. A turn ends where every node is at rest: in rotation
//! with its old release or its new one, and nothing of it in doubt. The message that follows holds all that there
//! is to know of the roll, so whoever takes it needs nothing but the nodes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::Entry;
use super::next::must_go_back;
use super::state::{IllegalEvent, Place, RollState};
use super::step::Step;
use crate::fence::TurnId;
use crate::ids::NodeName;
use crate::plan::Plan;

/// The next turn of a roll: its plan, and everything that has happened in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnMessage {
    /// Names the roll; the event's id is this and the turn's number.
    pub roll: String,
    /// 1 once all nodes are staged and checked.
    pub turn: u32,
    /// What woke the worker that planned it.
    pub trigger: String,
    #[schemars(with = "String")]
    pub started: Timestamp,
    pub plan: Plan,
    pub entries: Vec<Entry>,
}

/// More turns than a roll has.
const GIVING_WAY: u32 = 1_000_000;

/// How far a roll has come, as far as that makes another message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    places: Vec<Place>,
    gives_way: bool,
}

impl TurnMessage {
    /// The roll as it was when the message was published. What the clocks of other workers said does not count.
    pub fn state(&self) -> Result<RollState, IllegalEvent> {
        let at = self.entries.first().map_or(self.started, |entry| entry.at);
        RollState::replay(&self.plan, at, &self.entries)
    }

    /// The message that follows; `entries` are all that have happened by now.
    pub fn followed_by(&self, entries: Vec<Entry>) -> Result<Self, IllegalEvent> {
        let mut next = Self {
            entries,
            ..self.clone()
        };
        next.turn = next.state()?.turn_after(&next.plan, self.turn);
        Ok(next)
    }

    pub fn id(&self, state: &RollState) -> TurnId {
        TurnId {
            roll: self.roll.clone(),
            number: self.turn,
            after: state.fence,
        }
    }
}

impl RollState {
    /// Whether another worker can go on from here without asking.
    pub fn is_at_rest(&self, plan: &Plan) -> bool {
        self.nodes.iter().all(|(name, node)| {
            let at_rest = if self.is_going_back() {
                node.place == Place::Confirmed || !must_go_back(plan, self, name)
            } else if self.gives_way(plan) {
                !node.is_under_way() && node.place >= Place::Ready
            } else {
                matches!(node.place, Place::Ready | Place::Confirmed)
            };
            at_rest && node.begun.is_none() && !node.is_in_doubt()
        })
    }

    /// Whether every node has its release and found it good: no release is needed any more.
    pub fn is_staged(&self) -> bool {
        self.nodes.values().all(|node| node.place >= Place::Ready)
    }

    /// What has been reached; a turn that ends with the same was none.
    pub fn reached(&self, plan: &Plan) -> Reached {
        Reached {
            places: self.nodes.values().map(|node| node.place).collect(),
            gives_way: self.gives_way(plan),
        }
    }

    /// Whether this turn ends before `steps`, and the next message carries the rest. That the roll gives way to a newer
    /// commit must stand in a message before the roll ends for it: another worker that is given the same turn once
    /// more, and has not heard of the commit, would come to another end.
    pub fn ends_turn(&self, plan: &Plan, before: &Reached, steps: &[Step]) -> bool {
        let finishes = matches!(steps, [Step::Finish(_)]);
        let now = self.reached(plan);
        let decides = now.gives_way && !before.gives_way;
        self.is_at_rest(plan) && now != *before && (!finishes || decides)
    }

    /// The number of the message that follows on this turn. A worker that died between publishing and answering leaves two
    /// ways in which the roll may go on. Where one of them gives way, its messages are ahead of the other's: those are
    /// dropped once it has the nodes, and come to no other end.
    pub fn turn_after(&self, plan: &Plan, turn: u32) -> u32 {
        let next = turn.saturating_add(1);
        if self.gives_way(plan) && next < GIVING_WAY {
            next.saturating_add(GIVING_WAY)
        } else {
            next
        }
    }

    /// The nodes that are changed next, where the roll goes forward. Whatever goes back may be taken back again. Where it
    /// gives way, whoever has not heard of the newer commit may have gone on with any node.
    fn on_turn<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a NodeName> {
        let wave = self.wave(plan).filter(|_| !self.is_going_back());
        let waves = match wave {
            Some(_) if self.gives_way(plan) => plan.waves.as_slice(),
            Some(wave) => plan.waves.get(wave..=wave).unwrap_or_default(),
            None => &[],
        };
        let nodes = waves.iter().flatten();
        nodes.filter(|node| self.place(node) != Place::Confirmed)
    }

    /// Of which nodes it is not known whether someone else has begun with this turn: all that say, when they are
    /// claimed, that they were claimed by others than whoever published it, or say nothing.
    pub fn unsure(
        &self,
        plan: &Plan,
        before: &BTreeMap<NodeName, (u64, String)>,
    ) -> BTreeSet<NodeName> {
        let sure = |node: &NodeName| {
            let before = before.get(node);
            before.is_some_and(|(fence, holder)| *fence == self.fence && *holder == self.holder)
        };
        let unsure = self.on_turn(plan).filter(|node| !sure(node));
        unsure.cloned().collect()
    }

    /// Another worker was let in, and this one was refused: why, in words.
    pub fn fenced(&self) -> Option<&str> {
        self.fenced.as_deref()
    }
}
