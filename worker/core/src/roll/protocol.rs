//! The way of a roll through a queue, searched to its end: two or three workers, two nodes, and messages that are
//! published, confirmed, acknowledged and delivered once more. At every step any worker may go on, die, or lose its
//! message to another and not know (it was stopped, or its connection broke), may notice a newer commit for which the
//! policy stops the roll, and a node may go back by itself.
//! `next`, `apply`, `fate` and `standing` are the real ones.
//!
//! In every state that can be reached: no node is changed twice by one turn; a node takes no order from whoever was
//! overtaken; the roll is never lost; and from everywhere the end can still be reached. At the end every node is as
//! the outcome says, and there is one outcome.

use std::collections::{BTreeMap, VecDeque};

use super::begun::EVENT;
use super::carried::{Case, Node, plan};
use super::network::{Net, Wrong};
use crate::ids::NodeName;
use crate::observed::AttemptPhase;
use crate::outcome::Outcome;

const GOOD: Case = Case {
    workers: 2,
    crashes: 1,
    losses: 1,
    deadmen: 0,
    events: 0,
    opened_counts: true,
    runs_out: false,
    newer: 0,
    broken: false,
    nodes_refuse: true,
    publish_first: true,
    drop_only_what_is_behind: true,
    decide_first: true,
};

/// Everything that can be reached; how many states that were.
fn search(case: Case) -> Result<usize, Wrong> {
    let plan = plan(case);
    let first = Net::new(&plan, case);
    let mut ids = BTreeMap::from([(first.key(), 0usize)]);
    let mut todo = VecDeque::from([(0, first)]);
    let mut from: Vec<Vec<usize>> = vec![Vec::new()];
    let mut ends = Vec::new();
    while let Some((id, net)) = todo.pop_front() {
        if net.is_over() {
            check_end(&net)?;
            ends.push(id);
        }
        for then in net.successors(&plan, case)? {
            let fresh = ids.len();
            let next = *ids.entry(then.key()).or_insert(fresh);
            if next == fresh {
                from.push(Vec::new());
                todo.push_back((next, then));
            }
            from[next].push(id);
        }
    }
    // From everywhere the end can be reached.
    let mut reaches = vec![false; ids.len()];
    while let Some(id) = ends.pop() {
        if !std::mem::replace(&mut reaches[id], true) {
            ends.extend(&from[id]);
        }
    }
    assert!(reaches.iter().all(|reaches| *reaches), "it may never end");
    Ok(ids.len())
}

fn check_end(net: &Net) -> Result<(), Wrong> {
    let Some(outcome) = net.told.first() else {
        // An event whose roll nobody was told to carry out begins another one.
        if !net.published {
            return Ok(());
        }
        return Err(net.wrong("the roll was lost"));
    };
    if net.told.iter().any(|told| told.word() != outcome.word()) {
        return Err(net.wrong("two outcomes"));
    }
    let old = [AttemptPhase::RolledBack, AttemptPhase::Staged];
    let as_told = |(name, node): (&NodeName, &Node)| match outcome {
        // The nodes left are put right by the roll that took them, or go back by themselves.
        Outcome::Overtaken { by, nodes, .. } if by == EVENT && !nodes.contains(name) => true,
        Outcome::RolledOut { .. } => node.sim.phase() == AttemptPhase::Confirmed,
        Outcome::Overtaken { nodes, .. } if nodes.contains(name) => {
            node.sim.phase() == AttemptPhase::Confirmed
        }
        _ => old.contains(&node.sim.phase()),
    };
    if net.nodes.iter().all(as_told) {
        Ok(())
    } else {
        Err(net.wrong("the nodes are not as the outcome says"))
    }
}

fn holds(case: Case) {
    match search(case) {
        Ok(states) => assert!(states > 400, "only {states} states were searched"),
        Err(Wrong(why, net)) => panic!("{why}: {net:#?}"),
    }
}

#[test]
fn one_dies_and_one_is_cut_off() {
    holds(GOOD);
}

#[test]
fn three_workers_and_one_is_cut_off() {
    let (workers, crashes) = (3, 0);
    holds(Case {
        workers,
        crashes,
        ..GOOD
    });
}

#[test]
fn a_node_goes_back_by_itself_while_a_worker_is_cut_off() {
    let (crashes, deadmen) = (0, 1);
    holds(Case {
        crashes,
        deadmen,
        ..GOOD
    });
}

#[test]
fn a_roll_that_goes_back_while_a_worker_is_cut_off() {
    let (crashes, broken) = (0, true);
    holds(Case {
        crashes,
        broken,
        ..GOOD
    });
}

#[test]
fn a_newer_commit_ends_the_roll_while_one_dies() {
    let (losses, newer) = (0, 2);
    holds(Case {
        losses,
        newer,
        ..GOOD
    });
}

/// The one may have noticed the newer commit, and the other not.
#[test]
fn a_newer_commit_ends_the_roll_while_one_is_cut_off() {
    let (crashes, newer) = (0, 2);
    holds(Case {
        crashes,
        newer,
        ..GOOD
    });
}

/// As when it could not be told for days how it ended.
#[test]
fn a_roll_whose_fences_run_out_goes_on() {
    let runs_out = true;
    for (crashes, losses) in [(1, 0), (0, 1)] {
        holds(Case {
            crashes,
            losses,
            runs_out,
            ..GOOD
        });
    }
}

/// Two events come while nothing goes wrong but patience.
#[test]
fn another_event_begins_no_roll_beside_the_first() {
    let (crashes, losses, events) = (0, 0, 2);
    holds(Case {
        crashes,
        losses,
        events,
        ..GOOD
    });
}

#[test]
fn another_event_comes_while_one_dies() {
    let (losses, events) = (0, 2);
    holds(Case {
        losses,
        events,
        ..GOOD
    });
}

#[test]
fn another_event_comes_while_one_is_cut_off() {
    let (crashes, events) = (0, 2);
    holds(Case {
        crashes,
        events,
        ..GOOD
    });
}

/// The search can find what it is there for.
#[test]
fn a_protocol_that_is_broken_is_found() {
    let wrong = |case| search(case).err().map(|Wrong(why, _)| why);
    let nobody_is_refused = Case {
        nodes_refuse: false,
        ..GOOD
    };
    let found = Some("a node took an order from who was overtaken");
    assert_eq!(wrong(nobody_is_refused), found);
    let acknowledged_first = Case {
        publish_first: false,
        ..GOOD
    };
    assert_eq!(wrong(acknowledged_first), Some("the roll was lost"));
    let dropped_when_begun = Case {
        drop_only_what_is_behind: false,
        ..GOOD
    };
    assert_eq!(wrong(dropped_when_begun), Some("the roll was lost"));
    let only_taken_turns_count = Case {
        events: 2,
        opened_counts: false,
        ..GOOD
    };
    assert_eq!(wrong(only_taken_turns_count), Some("the roll was lost"));
    let ended_before_it_was_said = Case {
        newer: 1,
        decide_first: false,
        ..GOOD
    };
    let found = wrong(ended_before_it_was_said);
    let two = Some("two outcomes");
    assert!(
        found == two || found == Some("the nodes are not as the outcome says"),
        "{found:?}"
    );
}
