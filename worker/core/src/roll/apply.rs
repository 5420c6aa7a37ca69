//! One event after the other, each checked: what cannot follow is an error and changes nothing that matters,
//! because the caller stops there.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::event::{Act, Entry, Fate, RollEvent};
use super::next::{forward, must_go_back};
use super::state::{Doubt, IllegalEvent, NodeRoll, Place, RollState};
use crate::ids::NodeName;
use crate::outcome::Failure;
use crate::plan::{CANCELLED, Plan};

impl RollState {
    pub fn apply(&mut self, plan: &Plan, entry: &Entry) -> Result<(), IllegalEvent> {
        let event = &entry.event;
        if self.opened == matches!(event, RollEvent::Opened { .. }) {
            return Err(illegal(event, "a roll is opened once, and first"));
        }
        match event {
            RollEvent::Opened { holder, tokens } => {
                self.opened = true;
                self.holder.clone_from(holder);
                self.tokens.clone_from(tokens);
                self.progress_at = entry.at;
            }
            RollEvent::Cancelled => {
                self.cancelled = true;
                self.fail_current(plan, "cancel", "cancelled", "someone stopped the roll");
            }
            RollEvent::Newer { commit } => self.newer(plan, commit),
            RollEvent::Overdue => {
                let message = "no node became healthy in time";
                self.fail_current(plan, "progress", "progress deadline", message);
            }
            RollEvent::Overgrown => {
                let message = "what happened in this roll does not fit into one message any more; roll it with `windlass roll`, or push it in smaller steps";
                self.fail_current(plan, "hand-over", "the message's size", message);
            }
            RollEvent::Resumed => self.resume(entry.at),
            RollEvent::TakenOver {
                holder,
                fence,
                unsure,
            } => {
                if *fence <= self.fence {
                    return Err(illegal(event, "a fence only grows"));
                }
                self.holder.clone_from(holder);
                self.fence = *fence;
                self.taken_over(unsure, entry.at);
            }
            _ => self.of_node(plan, entry)?,
        }
        Ok(())
    }

    fn of_node(&mut self, plan: &Plan, entry: &Entry) -> Result<(), IllegalEvent> {
        let event = &entry.event;
        let known = event.node().filter(|node| self.nodes.contains_key(*node));
        let Some(name) = known.cloned() else {
            return Err(illegal(event, "the node has no turn in this roll"));
        };
        match event {
            RollEvent::Begun { act, .. } => self.begun(plan, &name, *act),
            RollEvent::Done { act, .. } => self
                .ended(&name, *act)
                .map(|()| self.done(&name, *act, entry.at)),
            RollEvent::Failed {
                act,
                what,
                message,
                log,
                culprit,
                ..
            } => self.ended(&name, *act).map(|()| {
                let failure = Failure {
                    node: culprit.clone().unwrap_or_else(|| name.clone()),
                    step: act.word().to_owned(),
                    what: what.clone(),
                    message: message.clone(),
                    log: log.clone(),
                };
                self.failed(&name, *act, failure);
            }),
            RollEvent::Declined { act, message, .. } => self
                .ended(&name, *act)
                .map(|()| self.declined(&name, *act, message, entry.at)),
            RollEvent::Refused { findings, .. } => {
                self.refused.extend(findings.clone());
                self.change(&name, |node| node.begun = None);
                Ok(())
            }
            RollEvent::Lost { act, message, .. } => self
                .ended(&name, *act)
                .map(|()| self.doubt(&name, message, entry.at)),
            RollEvent::Learned { fate, .. } => self
                .in_doubt(&name)
                .map(|()| self.learned(plan, &name, fate, entry.at)),
            RollEvent::NoAnswer { .. } => {
                self.in_doubt(&name).map(|()| self.asked(&name, entry.at))
            }
            RollEvent::GivenUp { .. } => self.in_doubt(&name).map(|()| self.given_up(&name)),
            RollEvent::Stuck { message, .. } => {
                self.stuck(&name, message);
                Ok(())
            }
            RollEvent::Fenced { message, .. } => {
                self.fenced = Some(message.clone());
                self.change(&name, |node| node.begun = None);
                Ok(())
            }
            // What is of no node has a place of its own, above.
            _ => Ok(()),
        }
        .map_err(|why| illegal(event, why))
    }

    fn begun(&mut self, plan: &Plan, name: &NodeName, act: Act) -> Result<(), &'static str> {
        let (Some(turn), Some(node)) = (plan.turns.get(name), self.nodes.get(name)) else {
            return Err("the node has no turn in this roll");
        };
        let free = node
            .begun
            .is_none_or(|before| before == act || before.only_looks());
        let due = if self.is_going_back() {
            (act == Act::Rollback && must_go_back(plan, self, name)) || node.begun == Some(act)
        } else if self.gives_way(plan) && node.is_perhaps_drained() {
            act == Act::Rollback
        } else {
            forward(turn, node) == Some(act) && (node.touched || !self.gives_way(plan))
        };
        if !free {
            return Err("something else was begun on the node");
        }
        if node.is_in_doubt() || !due {
            return Err("it is not the node's next step");
        }
        self.change(name, |node| {
            node.begun = Some(act);
            node.touched |= matches!(act, Act::Drain | Act::Activate);
        });
        Ok(())
    }

    fn ended(&mut self, name: &NodeName, act: Act) -> Result<(), &'static str> {
        match self.nodes.get_mut(name) {
            Some(node) if node.begun == Some(act) => {
                node.begun = None;
                Ok(())
            }
            _ => Err("it was not begun"),
        }
    }

    fn in_doubt(&self, name: &NodeName) -> Result<(), &'static str> {
        match self.nodes.get(name) {
            Some(node) if node.is_in_doubt() => Ok(()),
            _ => Err("nobody doubted the node"),
        }
    }

    fn done(&mut self, name: &NodeName, act: Act, at: Timestamp) {
        self.change(name, |node| {
            node.doubt = None;
            node.place = match act {
                Act::Stage => Place::Staged,
                Act::Check => Place::Ready,
                Act::Before => Place::Admitted,
                Act::Drain => Place::Drained,
                Act::Activate => Place::Active,
                Act::Extend => Place::Reached,
                Act::Gates => Place::Healthy,
                Act::Undrain => Place::InRotation,
                Act::Soak => Place::Soaked,
                Act::Confirm => Place::Confirmed,
                Act::Rollback => Place::Back,
            };
        });
        if act == Act::Confirm {
            self.confirmed.push(name.clone());
        }
        if matches!(act, Act::Confirm | Act::Check) {
            self.progress_at = at;
        }
    }

    fn failed(&mut self, name: &NodeName, act: Act, failure: Failure) {
        if act == Act::Rollback {
            self.stuck(name, &failure.message);
        }
        if failure.node != *name {
            self.condemned.insert(failure.node.clone());
        }
        self.failure.get_or_insert(failure);
    }

    fn declined(&mut self, name: &NodeName, act: Act, message: &str, at: Timestamp) {
        if !matches!(act, Act::Drain | Act::Activate) {
            return self.doubt(name, message, at);
        }
        let failure = failure(name, act.word(), "the node refused", message);
        self.failure.get_or_insert(failure);
    }

    fn doubt(&mut self, name: &NodeName, message: &str, at: Timestamp) {
        self.change(name, |node| {
            let since = node.doubt.as_ref().map_or(at, |doubt| doubt.since);
            node.doubt = Some(Doubt::new(since, message));
        });
    }

    fn asked(&mut self, name: &NodeName, at: Timestamp) {
        self.change(name, |node| {
            if let Some(doubt) = &mut node.doubt {
                doubt.asked = Some(at);
            }
        });
    }

    fn learned(&mut self, plan: &Plan, name: &NodeName, fate: &Fate, at: Timestamp) {
        if *fate == Fate::Busy {
            return self.asked(name, at);
        }
        self.change(name, |node| {
            if let Some(doubt) = &mut node.doubt {
                doubt.open = false;
            }
        });
        match fate {
            Fate::Untouched => self.untouched(name),
            Fate::Activated => self.change(name, |node| {
                node.place = node.place.max(Place::Active);
            }),
            Fate::Confirmed => {
                if !self.confirmed.contains(name) {
                    self.done(name, Act::Confirm, at);
                }
            }
            Fate::WentBack { reason } => {
                self.change(name, |node| node.place = Place::Back);
                let cancelled = reason.starts_with(CANCELLED);
                if cancelled && self.gives_way(plan) {
                    return;
                }
                // Its worker was gone, and nothing speaks against the release.
                let failure = if cancelled {
                    failure(name, "cancel", CANCELLED, reason)
                } else {
                    failure(name, "confirm", "went back by itself", reason)
                };
                self.failure.get_or_insert(failure);
            }
            Fate::Stuck { message } => self.stuck(name, message),
            Fate::Fenced { message } => self.fenced = Some(message.clone()),
            Fate::Busy => {}
        }
    }

    /// Lost before it arrived: it can simply be sent again. A node that had answered before and now knows nothing
    /// of it is another matter.
    fn untouched(&mut self, name: &NodeName) {
        let forgot = self.place(name) >= Place::Active;
        if forgot {
            let message = "it no longer knows of this attempt";
            let failure = failure(name, "confirm", "the node forgot", message);
            self.failure.get_or_insert(failure);
        }
    }

    fn given_up(&mut self, name: &NodeName) {
        let why = self.nodes.get(name).and_then(|node| node.doubt.as_ref());
        let why = why.map_or_else(String::new, |doubt| doubt.message.clone());
        self.stuck(name, &format!("it does not answer any more: {why}"));
    }

    fn stuck(&mut self, name: &NodeName, message: &str) {
        self.change(name, |node| {
            node.place = Place::Stuck;
            node.begun = None;
            node.doubt = None;
            node.touched = true;
            node.stuck = Some(message.to_owned());
        });
        let failure = failure(name, "rollback", "stuck", message);
        self.failure.get_or_insert(failure);
    }

    /// Another process goes on: whatever was in the middle must be asked for.
    fn resume(&mut self, at: Timestamp) {
        self.progress_at = at;
        for node in self.nodes.values_mut() {
            // Also one that was done, on its way back: an old doubt would know of a time that nobody waited.
            let done = node.place == Place::Confirmed && !node.is_in_doubt();
            let middle = node.begun.take().is_some() || !done;
            if node.touched && middle && !node.is_over() {
                node.doubt = Some(Doubt::new(at, "the worker was restarted"));
            }
        }
    }

    /// As above. That a node was not touched cannot be known where someone may have begun before; it may be drained.
    fn taken_over(&mut self, unsure: &BTreeSet<NodeName>, at: Timestamp) {
        self.progress_at = at;
        for (name, node) in &mut self.nodes {
            node.begun = None;
            let confirmed = node.place == Place::Confirmed && !node.is_in_doubt();
            let done = node.is_over() || confirmed;
            if !done && (node.touched || unsure.contains(name)) {
                node.touched = true;
                node.doubt = Some(Doubt::new(at, "another worker takes over"));
            }
        }
    }

    /// Where the roll gives way, a node that was only looked at before its turn has none any more.
    fn newer(&mut self, plan: &Plan, commit: &str) {
        self.newer.get_or_insert_with(|| commit.to_owned());
        if !self.gives_way(plan) {
            return;
        }
        for node in self.nodes.values_mut().filter(|node| !node.touched) {
            // What is being staged ends, or is broken off with the roll.
            node.begun = node.begun.filter(|act| !act.only_looks());
            node.place = node.place.min(Place::Ready);
        }
    }

    fn fail_current(&mut self, plan: &Plan, step: &str, what: &str, message: &str) {
        let wave = self.wave(plan).and_then(|wave| plan.waves.get(wave));
        let done = |node: &&NodeName| self.place(node) != Place::Confirmed;
        let current = wave.into_iter().flatten().find(done).cloned();
        if let Some(node) = current {
            let failure = failure(&node, step, what, message);
            self.failure.get_or_insert(failure);
        }
    }

    fn change(&mut self, name: &NodeName, change: impl FnOnce(&mut NodeRoll)) {
        if let Some(node) = self.nodes.get_mut(name) {
            change(node);
        }
    }
}

fn failure(node: &NodeName, step: &str, what: &str, message: &str) -> Failure {
    Failure {
        node: node.clone(),
        step: step.to_owned(),
        what: what.to_owned(),
        message: message.to_owned(),
        log: Vec::new(),
    }
}

fn illegal(event: &RollEvent, why: &'static str) -> IllegalEvent {
    let event = format!("{event:?}").chars().take(200).collect();
    IllegalEvent { event, why }
}
