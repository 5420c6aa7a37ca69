//! Every fault at every step, and death at every write.

use std::collections::BTreeSet;

use windlass_core::observed::AttemptPhase;
use windlass_core::outcome::Outcome;
use windlass_core::plan::{OnFailure, OnNewerCommit};

use super::node::Fault;
use super::world::{World, node};
use crate::roll::RollPermit;

#[tokio::test(start_paused = true)]
async fn nodes_take_their_turns_one_after_the_other() {
    let world = World::new(None);
    let outcome = world.roll().await.unwrap();
    assert_eq!(outcome.word(), "rolled out");
    world.check_end(Some(&outcome), "all well");
    let log = world.fleet.log();
    let turns: Vec<&str> = log.iter().map(String::as_str).skip(6).collect();
    let verbs = ["drain", "activate", "extend", "undrain", "confirm"];
    let wanted = ["a", "b", "c"].map(|name| verbs.map(|verb| format!("{verb} {name}")));
    assert_eq!(turns, wanted.concat(), "{log:?}");
    assert!(
        log[..6]
            .iter()
            .all(|call| call.starts_with("stage") || call.starts_with("check"))
    );
    assert_eq!(world.resume().await, None, "nothing is left to do");
}

#[tokio::test(start_paused = true)]
async fn a_failed_gate_takes_every_node_back_and_brings_the_log() {
    let world = World::new(Some("b"));
    let outcome = world.roll().await.unwrap();
    world.check_end(Some(&outcome), "b is broken");
    let Outcome::RolledBack { failure, nodes, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(failure.node, node("b"));
    assert_eq!(failure.what, "site answers on b");
    assert_eq!(failure.message, "503 Service Unavailable");
    assert_eq!(failure.log, ["haproxy.service: last words"]);
    assert_eq!(nodes, [node("a"), node("b")]);
    assert_eq!(
        world.phase("c"),
        Some(AttemptPhase::Staged),
        "c was never touched"
    );
    let log = world.fleet.log();
    assert_eq!(log[log.len() - 2..], ["rollback b", "rollback a"]);
}

#[tokio::test(start_paused = true)]
async fn with_stop_the_nodes_that_are_done_stay() {
    let mut world = World::new(Some("b"));
    world.on_failure = OnFailure::Stop;
    let outcome = world.roll().await.unwrap();
    let Outcome::RolledBack { kept, nodes, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((kept, nodes), (vec![node("a")], vec![node("b")]));
}

/// How many calls a roll makes in which nothing goes wrong, or in which node b is broken.
async fn calls(broken: Option<&str>) -> usize {
    let world = World::new(broken);
    world.roll().await.unwrap();
    world.fleet.calls()
}

#[tokio::test(start_paused = true)]
async fn any_fault_at_any_call_leaves_all_old_or_all_new() {
    let faults = [
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Fails,
        Fault::Refuses,
        Fault::Cut,
    ];
    for broken in [None, Some("b")] {
        for call in 0..calls(broken).await {
            for fault in faults {
                let world = World::new(broken);
                world.fleet.set_fault(call, fault);
                let outcome = world.roll().await.unwrap();
                world.check_end(Some(&outcome), &format!("{fault:?} at call {call}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_done_twice_is_as_once() {
    for broken in [None, Some("b")] {
        let calm = World::new(broken);
        let wanted = calm.roll().await.unwrap();
        for call in 0..calm.fleet.calls() {
            let world = World::new(broken);
            world.fleet.set_fault(call, Fault::Twice);
            let outcome = world.roll().await.unwrap();
            assert_eq!(outcome, wanted, "call {call} was done twice");
            world.check_end(Some(&outcome), "twice");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_killed_at_any_write_is_followed_by_one_that_finishes_or_goes_back() {
    for broken in [None, Some("b")] {
        let calm = World::new(broken);
        calm.roll().await.unwrap();
        let mut finished = 0;
        for writes in 0..calm.writes() {
            let world = World::new(broken);
            world.die_after(writes);
            world.roll().await.unwrap_err();
            let outcome = world.resume().await;
            world.check_end(outcome.as_ref(), &format!("killed after {writes} writes"));
            assert_eq!(world.resume().await, None, "it was over");
            finished += usize::from(matches!(outcome, Some(Outcome::RolledOut { .. })));
        }
        assert_eq!(finished > 0, broken.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn killed_again_and_again_it_still_ends() {
    let world = World::new(None);
    world.die_after(20);
    world.roll().await.unwrap_err();
    for writes in [1, 2, 3, 1, 5, 2] {
        world.die_after(writes);
        assert!(
            world.resume_and_die().await,
            "it ended after {writes} writes"
        );
    }
    let outcome = world.resume().await;
    world.check_end(outcome.as_ref(), "killed seven times");
}

#[tokio::test(start_paused = true)]
async fn cancelling_at_any_time_leaves_all_old_or_all_new() {
    for milliseconds in (0..20_000).step_by(350) {
        let world = World::new(None);
        let cancel = world.cancel.clone();
        tokio::spawn(async move {
            tokio::time::sleep(tokio::time::Duration::from_millis(milliseconds)).await;
            cancel.cancel();
        });
        let outcome = world.roll().await.unwrap();
        world.check_end(
            Some(&outcome),
            &format!("cancelled after {milliseconds} ms"),
        );
        assert!(!outcome.quarantines());
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_roll_is_not_fought() {
    let world = World::new(None);
    world.fleet.overtake(9000);
    let outcome = world.roll().await.unwrap();
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    let log = world.fleet.log();
    assert!(log.iter().all(|call| call.starts_with("stage")), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_permit_for_the_cluster_nothing_is_driven() {
    let world = World::new(None);
    let dir = tempfile::tempdir().unwrap();
    let other = RollPermit::take(dir.path(), &"other".parse().unwrap())
        .unwrap()
        .unwrap();
    assert!(world.roll_with(&other).await.is_err());
    assert_eq!(world.fleet.calls(), 0);
}

fn that_stops() -> World {
    let mut world = World::new(None);
    world.on_newer_commit = OnNewerCommit::Stop;
    world
}

#[tokio::test(start_paused = true)]
async fn a_newer_commit_waits_for_the_end_unless_the_policy_stops_for_it() {
    let world = World::new(None);
    world.push_at(20);
    assert_eq!(world.roll().await.unwrap().word(), "rolled out");

    let calm = World::new(None);
    calm.roll().await.unwrap();
    let mut reached = BTreeSet::new();
    for pushed in 1..calm.writes() {
        let world = that_stops();
        world.push_at(pushed);
        let outcome = world.roll().await.unwrap();
        world.check_end(Some(&outcome), &format!("pushed after {pushed} writes"));
        assert!(!outcome.quarantines());
        if let Outcome::Overtaken { nodes, left, .. } = &outcome {
            assert_eq!(nodes.len() + left.len(), 3);
            reached.insert(nodes.len());
        } else {
            assert_eq!(outcome.word(), "rolled out");
        }
        assert_eq!(world.resume().await, None, "it is over");
    }
    assert_eq!(reached, BTreeSet::from([0, 1, 2]));
}

/// Before, while and after the newer commit is written down.
#[tokio::test(start_paused = true)]
async fn a_worker_killed_at_any_write_while_the_roll_gives_way_is_followed_by_one_that_ends_it() {
    for pushed in [2, 18, 30, 45] {
        let calm = that_stops();
        calm.push_at(pushed);
        calm.roll().await.unwrap();
        let mut words = BTreeSet::new();
        for writes in 0..calm.writes() {
            let world = that_stops();
            world.push_at(pushed);
            world.die_after(writes);
            world.roll().await.unwrap_err();
            let outcome = world.resume().await;
            let what = format!("pushed after {pushed} writes, killed after {writes} writes");
            world.check_end(outcome.as_ref(), &what);
            assert_eq!(world.resume().await, None, "{what}: it was over");
            words.extend(outcome.map(|outcome| outcome.word()));
        }
        let touched = pushed > 2;
        assert_eq!(words.contains("overtaken"), touched, "{words:?}");
    }
}
