//! Searches for a roll that ends badly. Random plans are carried out on simulated nodes; at every step an answer may
//! be lost, a step may fail, be refused or be done twice, a node may vanish, someone may cancel or push, and the worker may
//! die and be followed by another. Whatever happens the roll ends, and no touched node is left in between unless the
//! outcome names it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::sim::{Sim, do_it, failed, refused, seconds};
use super::*;
use crate::ids::NodeName;
use crate::model::{OnFailure, OnNewerCommit, Wave};
use crate::observed::AttemptPhase;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::plan::fixtures::{World, bundle, component, gate, now, policy, release, state};
use crate::yaml::At;

type Policies = (OnFailure, OnNewerCommit);

struct Search {
    plan: Plan,
    now: Timestamp,
    sims: BTreeMap<NodeName, Sim>,
    entries: Vec<Entry>,
    state: RollState,
    running: Vec<Step>,
    choices: std::vec::IntoIter<u8>,
}

impl Search {
    fn new(nodes: usize, serial: u32, policies: Policies, choices: Vec<u8>) -> Self {
        let names: Vec<String> = (0..nodes).map(|n| format!("n{n}")).collect();
        let part = |name: &str, content: &str| {
            let files = [("/etc/x", "x", content)];
            let mut before = gate("before", "x");
            before.before = true;
            let gates = vec![before, gate("up", "x")];
            release(name, content, &files, vec![component("x", &[])], gates)
        };
        let new = bundle("new", names.iter().map(|name| part(name, "new")).collect());
        let states = names
            .iter()
            .map(|name| (name.as_str(), state(Some(&part(name, "old")))));
        let mut world = World::new(new, states.collect());
        world.policy = policy();
        world.policy.serial = vec![At::nowhere(Wave::Count(serial)); nodes];
        (world.policy.on_failure, world.policy.on_newer_commit) = policies;
        let plan = world.plan();
        let sims = plan
            .turns
            .keys()
            .map(|name| (name.clone(), Sim::new(state(None))));
        Self {
            sims: sims.collect(),
            state: RollState::new(&plan, now()),
            plan,
            now: now(),
            entries: Vec::new(),
            running: Vec::new(),
            choices: choices.into_iter(),
        }
    }

    /// 0 means that all goes well; that is also what remains when the choices run out.
    fn choose(&mut self) -> u8 {
        self.choices.next().unwrap_or(0)
    }

    fn pass(&mut self, time: SignedDuration) {
        self.now = self.now.saturating_add(time).unwrap();
        for sim in self.sims.values_mut() {
            sim.tick(self.now);
        }
    }

    fn note(&mut self, event: RollEvent) {
        let entry = Entry {
            at: self.now,
            event,
        };
        self.state.apply(&self.plan, &entry).unwrap();
        self.entries.push(entry);
        let replayed = RollState::replay(&self.plan, now(), &self.entries).unwrap();
        assert_eq!(replayed, self.state);
        let steps = |state: &RollState| next(&self.plan, state, self.now);
        assert_eq!(steps(&replayed), steps(&self.state));
    }

    fn run(&mut self) -> Outcome {
        let token = |node: &NodeName| (node.clone(), format!("7-{node}"));
        let tokens = self.plan.turns.keys().map(token).collect();
        let holder = "w".to_owned();
        self.note(RollEvent::Opened { holder, tokens });
        for _ in 0..4000 {
            let steps = next(&self.plan, &self.state, self.now);
            if let [Step::Finish(outcome)] = steps.as_slice() {
                return outcome.clone();
            }
            self.disturb();
            self.go_on();
            self.check_rotation();
        }
        panic!(
            "the roll does not end: {:?}",
            self.entries.iter().rev().take(20).collect::<Vec<_>>()
        );
    }

    /// The worker dies, someone cancels, or pushes.
    fn disturb(&mut self) {
        match self.choose() {
            250.. => {
                self.running.clear();
                let away = u32::from(self.choose());
                self.pass(seconds(away));
                self.note(RollEvent::Resumed);
            }
            245..=249 if !self.state.cancelled => self.note(RollEvent::Cancelled),
            241..=244 if self.state.newer.is_none() => {
                let commit = "newer".to_owned();
                self.note(RollEvent::Newer { commit });
            }
            _ => {}
        }
    }

    fn go_on(&mut self) {
        let steps = next(&self.plan, &self.state, self.now);
        self.running.retain(|run| {
            let looks = run.act().is_none_or(Act::only_looks);
            !looks
                || steps
                    .iter()
                    .any(|s| s.node() == run.node() && s.act() == run.act())
        });
        for step in steps {
            if let Step::Record(event) = step {
                return self.note(event);
            }
            let busy = self.running.iter().any(|run| run.node() == step.node());
            if let (false, Some(node)) = (busy, step.node()) {
                if let Some(act) = step.act() {
                    let (node, touched) = (node.clone(), self.state.nodes[node].touched);
                    let gives_way = self.state.gives_way(&self.plan);
                    assert!(touched || !gives_way, "{node} was begun after all");
                    self.note(RollEvent::Begun { node, act });
                }
                self.running.push(step);
            }
        }
        if self.running.is_empty() {
            return;
        }
        let index = usize::from(self.choose()) % self.running.len();
        let step = self.running.remove(index);
        let event = self.perform(&step);
        self.note(event);
    }

    fn perform(&mut self, step: &Step) -> RollEvent {
        let node = step.node().unwrap().clone();
        self.pass(match step {
            Step::Hold(hold) => seconds(hold.at_least.max(5)),
            Step::Ask { not_before, .. } => not_before.duration_since(self.now).max(seconds(1)),
            _ => seconds(1),
        });
        let choice = self.choose();
        let (now, holder) = (self.now, self.state.holder.clone());
        let token = self.state.token(&node).to_owned();
        let sim = self.sims.get_mut(&node).unwrap();
        if choice == 240 {
            sim.cut_until = now.saturating_add(seconds(200)).unwrap();
        }
        let message = "cut off".to_owned();
        let Some(act) = step.act() else {
            if now < sim.cut_until || choice > 230 {
                return RollEvent::NoAnswer { node, message };
            }
            let fate = fate(&sim.state, 7, &holder, &token);
            return RollEvent::Learned { node, fate };
        };
        if act.only_looks() {
            if choice < 200 {
                return RollEvent::Done { node, act };
            }
            let other = self.state.confirmed.first().filter(|_| choice > 220);
            return failed(&node, act, other.cloned());
        }
        let lost = (201..=240).contains(&choice);
        let staging = matches!(act, Act::Stage | Act::Check);
        if now < sim.cut_until || lost && choice.is_multiple_of(2) {
            return if staging {
                refused(node)
            } else {
                RollEvent::Lost { node, act, message }
            };
        }
        let event = do_it(sim, step, act, choice, &token, now);
        if choice.is_multiple_of(3) && matches!(event, RollEvent::Done { .. }) {
            assert_eq!(
                do_it(sim, step, act, 0, &token, now),
                event,
                "twice is not once"
            );
        }
        match event {
            RollEvent::Done { .. } if lost && staging => refused(node),
            RollEvent::Done { .. } if lost => RollEvent::Lost { node, act, message },
            event => event,
        }
    }

    fn check_rotation(&self) {
        let between = self.sims.values().filter(|sim| sim.is_between()).count();
        let widest = self.plan.waves.iter().map(Vec::len).max().unwrap_or(0);
        assert!(between <= widest, "{between} nodes are out of rotation");
    }

    fn check_end(&mut self, outcome: &Outcome) {
        let between: Vec<&NodeName> = self
            .sims
            .iter()
            .filter(|(_, sim)| sim.is_between())
            .map(|(name, _)| name)
            .collect();
        let new: Vec<&NodeName> = self
            .sims
            .iter()
            .filter(|(_, sim)| sim.phase() == AttemptPhase::Confirmed)
            .map(|(name, _)| name)
            .collect();
        match outcome {
            Outcome::RolledOut { nodes, .. } => {
                assert_eq!(new.len(), self.sims.len());
                assert_eq!(nodes.len(), self.sims.len());
                assert!(between.is_empty());
            }
            Outcome::RolledBack { kept, .. } => {
                assert!(between.is_empty(), "{between:?} left in between");
                assert_eq!(kept.iter().collect::<Vec<_>>(), new);
                assert!(kept.is_empty() || self.plan.on_failure == OnFailure::Stop);
            }
            Outcome::Overtaken { by, nodes, left } => {
                assert_eq!(by, "newer");
                assert!(between.is_empty(), "{between:?} left in between");
                let told: BTreeSet<&NodeName> = nodes.iter().collect();
                assert_eq!(told, new.iter().copied().collect());
                assert!(!left.is_empty() && left.len() + nodes.len() == self.sims.len());
                assert_eq!(self.plan.on_newer_commit, OnNewerCommit::Stop);
            }
            Outcome::Refused { .. } => assert!(between.is_empty() && new.is_empty()),
            Outcome::Stuck { nodes, .. } => {
                let named = |name: &NodeName| nodes.iter().any(|stuck| stuck.node == *name);
                assert!(
                    between.iter().all(|name| named(name)),
                    "{between:?} not named"
                );
                if self.plan.on_failure == OnFailure::RollbackAll {
                    assert!(new.iter().all(|name| named(name)), "{new:?} not named");
                }
            }
            Outcome::Unchanged { .. } | Outcome::TakenBack { .. } => {
                panic!("there was something to do")
            }
        }
    }
}

fn policies(stop: bool, give_way: bool) -> Policies {
    let on_failure = if stop {
        OnFailure::Stop
    } else {
        OnFailure::RollbackAll
    };
    let on_newer_commit = if give_way {
        OnNewerCommit::Stop
    } else {
        OnNewerCommit::Wait
    };
    (on_failure, on_newer_commit)
}

/// A newer commit at every choice, and then another fault at every later one.
#[test]
fn a_fault_after_a_newer_commit_leaves_no_node_in_between() {
    let mut words = BTreeMap::new();
    for at in 0..45 {
        for then in 0..45 {
            for fault in [180, 190, 201, 202, 221, 245, 250] {
                let mut choices = vec![0; at];
                choices.push(241);
                choices.extend(vec![0; then]);
                choices.push(fault);
                let mut search = Search::new(3, 2, policies(false, true), choices);
                let outcome = search.run();
                search.check_end(&outcome);
                *words.entry(outcome.word()).or_insert(0) += 1;
            }
        }
    }
    for word in ["rolled out", "rolled back", "overtaken"] {
        assert!(words.contains_key(word), "nothing led to {word}: {words:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_roll_ends_and_leaves_no_node_in_between(
        nodes in 1usize..5,
        serial in 1u32..3,
        stop: bool,
        give_way: bool,
        choices in proptest::collection::vec(prop_oneof![6 => Just(0u8), 1 => any::<u8>()], 0..120),
    ) {
        let mut search = Search::new(nodes, serial, policies(stop, give_way), choices);
        let outcome = search.run();
        search.check_end(&outcome);
    }
}

/// One disturbance of every kind at every single choice of a roll over two nodes.
#[test]
fn one_fault_anywhere_leaves_no_node_in_between() {
    let mut words = BTreeMap::new();
    for (stop, give_way) in [(false, false), (true, false), (false, true)] {
        for at in 0..90 {
            for fault in [180, 181, 190, 201, 202, 210, 221, 239, 240, 241, 245, 250] {
                let mut choices = vec![0; at];
                choices.push(fault);
                let mut search = Search::new(2, 1, policies(stop, give_way), choices);
                let outcome = search.run();
                search.check_end(&outcome);
                *words.entry(outcome.word()).or_insert(0) += 1;
            }
        }
    }
    for word in ["rolled out", "rolled back", "refused", "overtaken"] {
        assert!(
            words.contains_key(word),
            "no fault led to {word}: {words:?}"
        );
    }
}
