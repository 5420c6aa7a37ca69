//! What follows from what, where a random search would not notice: who is blamed, which gates count, in which order
//! nodes go back, and that events which cannot have happened are errors.

mod resumed;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::gate::GateScope;
use crate::ids::NodeName;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::plan::fixtures::{World, bundle, component, gate, node, now, release, state};
use crate::release::Release;

fn part(name: &str, content: &str) -> Release {
    let mut lasting = gate("in sync", "x");
    lasting.scope = GateScope::Cluster;
    let mut late = gate("follows", "x");
    late.needs = vec![node("b")];
    let files = [("/etc/x", "x", content)];
    let gates = vec![gate("up", "x"), lasting, late];
    release(name, content, &files, vec![component("x", &[])], gates)
}

/// Nodes a and b have turns, c is unchanged.
fn plan() -> Plan {
    let parts = ["a", "b", "c"].map(|name| part(name, "new"));
    let states = vec![
        ("a", state(Some(&part("a", "old")))),
        ("b", state(Some(&part("b", "old")))),
        ("c", state(Some(&part("c", "new")))),
    ];
    World::new(bundle("new", parts.to_vec()), states).plan()
}

#[derive(Clone)]
struct Roll {
    plan: Plan,
    state: RollState,
    now: Timestamp,
}

impl Roll {
    fn new(plan: Plan) -> Self {
        let mut roll = Self {
            state: RollState::new(&plan, now()),
            plan,
            now: now(),
        };
        let holder = "w".to_owned();
        let tokens = std::collections::BTreeMap::new();
        roll.note(RollEvent::Opened { holder, tokens }).unwrap();
        roll
    }

    fn note(&mut self, event: RollEvent) -> Result<(), IllegalEvent> {
        let entry = Entry {
            at: self.now,
            event,
        };
        self.state.apply(&self.plan, &entry)
    }

    fn next(&self) -> Vec<Step> {
        next(&self.plan, &self.state, self.now)
    }

    fn act(&mut self, name: &str, act: Act) {
        let node = node(name);
        self.note(RollEvent::Begun {
            node: node.clone(),
            act,
        })
        .unwrap();
        self.note(RollEvent::Done { node, act }).unwrap();
    }

    fn fail(&mut self, name: &str, act: Act, culprit: Option<NodeName>) {
        let node = node(name);
        self.note(RollEvent::Begun {
            node: node.clone(),
            act,
        })
        .unwrap();
        self.note(RollEvent::Failed {
            node,
            act,
            what: "up".into(),
            message: "503".into(),
            log: Vec::new(),
            culprit,
        })
        .unwrap();
    }

    fn staged(mut self) -> Self {
        for name in ["a", "b"] {
            self.act(name, Act::Stage);
            self.act(name, Act::Check);
        }
        self
    }

    fn turn_until(&mut self, name: &str, last: Act) {
        use Act::{Activate, Confirm, Drain, Extend, Gates, Soak, Undrain};
        for act in [Drain, Activate, Extend, Gates, Undrain, Soak, Confirm] {
            if act == last {
                return;
            }
            self.act(name, act);
        }
    }

    fn acts(&self) -> Vec<(String, Option<Act>)> {
        let steps = self.next();
        let shown = |step: &Step| {
            (
                step.node().map_or(String::new(), ToString::to_string),
                step.act(),
            )
        };
        steps.iter().map(shown).collect()
    }

    fn hold(&self) -> Hold {
        match self.next().as_slice() {
            [Step::Hold(hold)] => hold.clone(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn all_nodes_are_staged_and_checked_before_the_first_is_touched() {
    let mut roll = Roll::new(plan());
    assert_eq!(
        roll.acts(),
        [
            ("a".into(), Some(Act::Stage)),
            ("b".into(), Some(Act::Stage))
        ]
    );
    roll.act("a", Act::Stage);
    roll.act("a", Act::Check);
    assert_eq!(roll.acts(), [("b".into(), Some(Act::Stage))]);
    let begin = RollEvent::Begun {
        node: node("a"),
        act: Act::Activate,
    };
    assert!(roll.note(begin).is_err(), "a drain was skipped");
    let roll = Roll::new(plan()).staged();
    assert_eq!(roll.acts(), [("a".into(), Some(Act::Drain))]);
}

#[test]
fn gates_of_done_and_unchanged_nodes_are_watched_until_the_end() {
    let mut roll = Roll::new(plan()).staged();
    roll.turn_until("a", Act::Gates);
    let shown = |hold: &Hold| -> Vec<String> {
        let gates = hold.gates.iter();
        let word = |purpose| match purpose {
            HoldPurpose::Must { .. } => "must",
            HoldPurpose::Keep { .. } => "keep",
        };
        gates
            .map(|w| format!("{} {} {}", w.node, w.gate.label, word(w.purpose)))
            .collect()
    };
    assert_eq!(
        shown(&roll.hold()),
        ["a up must", "a in sync must", "c in sync keep"]
    );
    roll.turn_until_end("a");
    roll.turn_until("b", Act::Gates);
    let wanted = [
        "b up must",
        "b in sync must",
        "b follows must",
        "a up keep",
        "a in sync keep",
        "a follows must",
        "c in sync keep",
    ];
    assert_eq!(shown(&roll.hold()), wanted);
}

impl Roll {
    fn turn_until_end(&mut self, name: &str) {
        use Act::{Confirm, Gates, Soak, Undrain};
        for act in [Gates, Undrain, Soak, Confirm] {
            self.act(name, act);
        }
    }
}

#[test]
fn the_node_that_fails_goes_back_first_and_then_the_others() {
    let mut roll = Roll::new(plan()).staged();
    roll.turn_until("a", Act::Gates);
    roll.turn_until_end("a");
    roll.turn_until("b", Act::Gates);
    roll.fail("b", Act::Gates, None);
    assert_eq!(roll.acts(), [("b".into(), Some(Act::Rollback))]);
    roll.act("b", Act::Rollback);
    assert_eq!(roll.acts(), [("a".into(), Some(Act::Rollback))]);
    roll.act("a", Act::Rollback);
    match roll.next().as_slice() {
        [
            Step::Finish(Outcome::RolledBack {
                failure,
                nodes,
                kept,
            }),
        ] => {
            assert_eq!((failure.node.as_str(), failure.what.as_str()), ("b", "up"));
            assert_eq!(*nodes, [node("a"), node("b")]);
            assert!(kept.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_stop_only_the_guilty_go_back() {
    for (culprit, kept) in [(None, vec![node("a")]), (Some(node("a")), vec![])] {
        let mut plan = plan();
        plan.on_failure = crate::plan::OnFailure::Stop;
        let mut roll = Roll::new(plan).staged();
        roll.turn_until("a", Act::Gates);
        roll.turn_until_end("a");
        roll.turn_until("b", Act::Soak);
        roll.fail("b", Act::Soak, culprit.clone());
        roll.act("b", Act::Rollback);
        if culprit.is_some() {
            roll.act("a", Act::Rollback);
        }
        match roll.next().as_slice() {
            [Step::Finish(Outcome::RolledBack { kept: stayed, .. })] => assert_eq!(*stayed, kept),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_newer_roll_ends_this_one_at_once() {
    let mut roll = Roll::new(plan()).staged();
    let message = "fence 9".to_owned();
    roll.note(RollEvent::Fenced {
        node: node("a"),
        message: message.clone(),
    })
    .unwrap();
    assert!(matches!(
        roll.next().as_slice(),
        [Step::Finish(Outcome::Refused { .. })]
    ));
    let mut roll = Roll::new(plan()).staged();
    roll.turn_until("a", Act::Gates);
    roll.note(RollEvent::Fenced {
        node: node("a"),
        message,
    })
    .unwrap();
    match roll.next().as_slice() {
        [Step::Finish(Outcome::Stuck { nodes, .. })] => assert_eq!(nodes[0].node, node("a")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_progress_deadline_starts_anew_at_every_healthy_node() {
    let later = |roll: &mut Roll, seconds| {
        roll.now = roll
            .now
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap();
    };
    let mut roll = Roll::new(plan()).staged();
    later(&mut roll, 500);
    roll.turn_until("a", Act::Gates);
    roll.turn_until_end("a");
    later(&mut roll, 500);
    assert_eq!(roll.acts(), [("b".into(), Some(Act::Drain))]);
    later(&mut roll, 100);
    assert_eq!(roll.next(), [Step::Record(RollEvent::Overdue)]);
    roll.note(RollEvent::Overdue).unwrap();
    assert_eq!(roll.acts(), [("a".into(), Some(Act::Rollback))]);
}

#[test]
fn a_node_that_heals_itself_after_a_lost_connection_fails_the_roll() {
    let mut roll = Roll::new(plan()).staged();
    roll.turn_until("a", Act::Extend);
    let (a, act) = (node("a"), Act::Extend);
    roll.note(RollEvent::Begun {
        node: a.clone(),
        act,
    })
    .unwrap();
    let message = "timed out".to_owned();
    roll.note(RollEvent::Lost {
        node: a.clone(),
        act,
        message: message.clone(),
    })
    .unwrap();
    assert!(matches!(roll.next().as_slice(), [Step::Ask { .. }]));
    roll.note(RollEvent::NoAnswer {
        node: a.clone(),
        message,
    })
    .unwrap();
    // What the dead-man says when nobody ever came back, and when the worker came and then died.
    for (reason, condemned) in [
        ("nobody confirmed in time", true),
        ("cancelled: gone", false),
    ] {
        let mut roll = roll.clone();
        let fate = Fate::WentBack {
            reason: reason.into(),
        };
        let node_a = a.clone();
        roll.note(RollEvent::Learned { node: node_a, fate })
            .unwrap();
        match roll.next().as_slice() {
            [Step::Finish(outcome @ Outcome::RolledBack { failure, nodes, .. })] => {
                assert_eq!(failure.message, reason);
                assert_eq!(*nodes, [node("a")]);
                assert_eq!(outcome.quarantines(), condemned);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_node_that_never_answers_again_is_named_as_stuck() {
    let mut roll = Roll::new(plan()).staged();
    roll.turn_until("a", Act::Confirm);
    let (a, act) = (node("a"), Act::Confirm);
    roll.note(RollEvent::Begun {
        node: a.clone(),
        act,
    })
    .unwrap();
    roll.note(RollEvent::Lost {
        node: a.clone(),
        act,
        message: "cut".into(),
    })
    .unwrap();
    roll.now = roll
        .now
        .saturating_add(SignedDuration::from_hours(1))
        .unwrap();
    roll.note(RollEvent::Overdue).unwrap();
    assert_eq!(
        roll.next(),
        [Step::Record(RollEvent::GivenUp { node: a.clone() })]
    );
    roll.note(RollEvent::GivenUp { node: a }).unwrap();
    match roll.next().as_slice() {
        [Step::Finish(outcome @ Outcome::Stuck { nodes, .. })] => {
            assert_eq!(outcome.exit_code(), 3);
            assert!(nodes[0].why.contains("cut") && nodes[0].mend.contains("windlass rollback a"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cancelled_roll_is_not_quarantined() {
    let mut roll = Roll::new(plan());
    roll.note(RollEvent::Cancelled).unwrap();
    assert!(matches!(
        roll.next().as_slice(),
        [Step::Finish(Outcome::Refused { .. })]
    ));
    let mut roll = Roll::new(plan()).staged();
    roll.turn_until("a", Act::Gates);
    roll.note(RollEvent::Cancelled).unwrap();
    match roll.next().as_slice() {
        [Step::Rollback { reason, .. }] => assert!(reason.starts_with("cancelled"), "{reason}"),
        other => panic!("{other:?}"),
    }
    roll.act("a", Act::Rollback);
    match roll.next().as_slice() {
        [Step::Finish(outcome @ Outcome::RolledBack { .. })] => assert!(!outcome.quarantines()),
        other => panic!("{other:?}"),
    }
}
