//! A roll that goes from worker to worker: every call fails, is lost or is done twice; the worker dies at every call
//! and on both sides of publishing; it is stopped at every call and wakes when others have gone on.

use std::collections::BTreeSet;

use tokio::time::{Duration, sleep};
use windlass_core::outcome::Outcome;
use windlass_core::plan::{OnFailure, OnNewerCommit};

use super::node::Fault;
use super::relay::{Delivery, Relay};
use super::world::node;

async fn calls(broken: Option<&str>) -> usize {
    let mut relay = Relay::new(broken);
    relay.drain().await;
    relay.world.fleet.calls()
}

#[tokio::test(start_paused = true)]
async fn each_message_is_one_nodes_turn() {
    let mut relay = Relay::new(None);
    relay.drain().await;
    relay.check_end("all well");
    assert_eq!(relay.told.len(), 1);
    assert_eq!(relay.taken, 4, "staging, and a turn for each node");
    let log = relay.world.fleet.log();
    let acts: Vec<&str> = log.iter().map(String::as_str).collect();
    let of_turns = acts[6..].iter().filter(|act| !act.starts_with("claim"));
    let verbs = ["drain", "activate", "extend", "undrain", "confirm"];
    let wanted = ["a", "b", "c"].map(|name| verbs.map(|verb| format!("{verb} {name}")));
    assert!(of_turns.eq(wanted.concat().iter()), "{log:?}");
    let claims = acts.iter().filter(|act| act.starts_with("claim"));
    assert_eq!(
        claims.count(),
        15,
        "three turns, the end, and letting go claim three nodes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_takes_the_nodes_back_one_message_after_the_other() {
    let mut relay = Relay::new(Some("b"));
    relay.drain().await;
    relay.check_end("b is broken");
    let (_, Outcome::RolledBack { failure, nodes, .. }) = &relay.told[0] else {
        panic!("{:?}", relay.told);
    };
    assert_eq!(failure.what, "site answers on b");
    assert_eq!(*nodes, [node("a"), node("b")]);
    assert_eq!(relay.taken, 4, "staging, a, b and b back, a back");
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
                let mut relay = Relay::new(broken);
                relay.world.fleet.set_fault(call, fault);
                relay.drain().await;
                relay.check_end(&format!("{fault:?} at call {call}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_done_twice_is_as_once() {
    for broken in [None, Some("b")] {
        let mut calm = Relay::new(broken);
        calm.drain().await;
        for call in 0..calm.world.fleet.calls() {
            let mut relay = Relay::new(broken);
            relay.world.fleet.set_fault(call, Fault::Twice);
            relay.drain().await;
            relay.check_end(&format!("call {call} was done twice"));
            assert_eq!(relay.told, calm.told);
        }
    }
}

/// Takes messages until the worker hangs at the call that was chosen; what it was working on, and its work.
async fn until_it_hangs(
    relay: &mut Relay,
) -> Option<(
    Delivery,
    tokio::task::JoinHandle<Result<crate::roll::turns::Turned, crate::roll::RollError>>,
)> {
    while let Some(delivery) = relay.queue.pop_front() {
        let mut work = relay.work(&delivery);
        let fleet = std::sync::Arc::clone(&relay.world.fleet);
        tokio::select! {
            turned = &mut work => relay.publish(&delivery, turned.unwrap().unwrap()),
            () = fleet.hung() => return Some((delivery, work)),
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_worker_killed_at_any_call_is_followed_by_another() {
    for broken in [None, Some("b")] {
        let mut finished = 0;
        for call in 0..calls(broken).await {
            for fault in [Fault::HangBefore, Fault::HangAfter] {
                let mut relay = Relay::new(broken);
                relay.world.fleet.set_fault(call, fault);
                let (delivery, work) = until_it_hangs(&mut relay).await.unwrap();
                work.abort();
                relay.queue.push_front(delivery);
                relay.drain().await;
                relay.check_end(&format!("{fault:?} at call {call}"));
                finished += usize::from(relay.told[0].1.word() == "rolled out");
            }
        }
        assert_eq!(finished > 0, broken.is_none());
    }
}

/// Stopped at any call; meanwhile others carry out some turns, or all; then it wakes and does not know.
#[tokio::test(start_paused = true)]
async fn a_worker_that_wakes_at_any_call_harms_nothing() {
    for broken in [None, Some("b")] {
        for call in 0..calls(broken).await {
            for fault in [Fault::HangBefore, Fault::HangAfter] {
                for others in [1, 2, 100] {
                    let mut relay = Relay::new(broken);
                    relay.world.fleet.set_fault(call, fault);
                    let (delivery, work) = until_it_hangs(&mut relay).await.unwrap();
                    relay.queue.push_front(delivery.clone());
                    for _ in 0..others {
                        relay.step().await;
                    }
                    relay.world.fleet.wake();
                    let turned = work.await.unwrap().unwrap();
                    relay.publish(&delivery, turned);
                    relay.drain().await;
                    let what = format!("{fault:?} at call {call}, {others} others");
                    relay.check_end(&what);
                }
            }
        }
    }
}

/// The next turn is published, and the answer to this one is lost: both are delivered, in either order, before or
/// after others have gone on.
#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_once_more_is_dropped_or_does_nothing() {
    for broken in [None, Some("b")] {
        for repeated in 0..4 {
            for later in [0, 1, 2, 100] {
                let mut relay = Relay::new(broken);
                for _ in 0..repeated {
                    relay.step().await;
                }
                let again = relay.queue.front().cloned().unwrap();
                relay.step().await;
                for _ in 0..later {
                    relay.step().await;
                }
                if later == 0 {
                    relay.queue.push_front(again.clone());
                } else {
                    relay.queue.push_back(again.clone());
                }
                relay.drain().await;
                relay.check_end(&format!("turn {repeated} again after {later} others"));
            }
        }
    }
}

/// It did its turn and was stopped before it told.
#[tokio::test(start_paused = true)]
async fn what_is_published_late_changes_nothing() {
    for broken in [None, Some("b")] {
        for turn in 0..4 {
            let mut relay = Relay::new(broken);
            for _ in 0..turn {
                relay.step().await;
            }
            let delivery = relay.queue.pop_front().unwrap();
            let turned = relay.work(&delivery).await.unwrap().unwrap();
            relay.queue.push_front(delivery.clone());
            relay.drain().await;
            let acts = relay.world.fleet.log().len();
            relay.publish(&delivery, turned);
            relay.drain().await;
            relay.check_end(&format!("turn {turn} was told late"));
            let log = relay.world.fleet.log();
            // Whatever went back may be taken back once more; the node does nothing then.
            let idle = |act: &String| act.starts_with("claim") || act.starts_with("rollback");
            let changing = log[acts..].iter().find(|act| !idle(act));
            assert_eq!(changing, None, "turn {turn}");
        }
    }
}

/// A worker that is to stop ends what changes a node, and leaves the rest to others.
#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_leaves_the_roll_to_another() {
    for milliseconds in (0..14_000).step_by(150) {
        let mut relay = Relay::new(None);
        let pause = relay.pause.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(milliseconds)).await;
            pause.cancel();
        });
        while !relay.pause.is_cancelled() && relay.step().await {}
        relay.pause = tokio_util::sync::CancellationToken::new();
        relay.drain().await;
        relay.check_end(&format!("stopped after {milliseconds} ms"));
        assert_eq!(relay.told[0].1.word(), "rolled out");
    }
}

#[tokio::test(start_paused = true)]
async fn cancelling_at_any_time_leaves_all_old_or_all_new() {
    for milliseconds in (0..14_000).step_by(350) {
        let mut relay = Relay::new(None);
        let cancel = relay.world.cancel.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(milliseconds)).await;
            cancel.cancel();
        });
        relay.drain().await;
        relay.check_end(&format!("cancelled after {milliseconds} ms"));
        assert!(!relay.told[0].1.quarantines());
    }
}

#[tokio::test(start_paused = true)]
async fn with_stop_the_nodes_that_are_done_stay() {
    let mut relay = Relay::new(Some("b"));
    relay.world.on_failure = OnFailure::Stop;
    relay.drain().await;
    let (_, Outcome::RolledBack { kept, nodes, .. }) = &relay.told[0] else {
        panic!("{:?}", relay.told);
    };
    assert_eq!((kept, nodes), (&vec![node("a")], &vec![node("b")]));
}

fn that_stops() -> Relay {
    let mut relay = Relay::new(None);
    relay.world.on_newer_commit = OnNewerCommit::Stop;
    relay
}

#[tokio::test(start_paused = true)]
async fn a_newer_commit_ends_the_roll_where_the_policy_stops_for_it() {
    let mut reached = BTreeSet::new();
    for milliseconds in (0..14_000).step_by(350) {
        let mut relay = that_stops();
        relay.world.push_after(milliseconds);
        relay.drain().await;
        relay.check_end(&format!("pushed after {milliseconds} ms"));
        assert_eq!(relay.told.len(), 1);
        if let (_, Outcome::Overtaken { by, nodes, .. }) = &relay.told[0] {
            assert_eq!(by, "newer");
            reached.insert(nodes.len());
        }
    }
    assert_eq!(reached, BTreeSet::from([0, 1, 2]));
}

/// The newer commit comes in some turn, and the worker dies or sleeps at some call.
#[tokio::test(start_paused = true)]
async fn a_roll_that_gives_way_has_one_end_whoever_dies_or_wakes() {
    for milliseconds in [1500, 5000] {
        let mut calm = that_stops();
        calm.world.push_after(milliseconds);
        calm.drain().await;
        // Not while nodes are staged: a worker that wakes there ends a roll of its own, which touched nothing.
        for call in 6..calm.world.fleet.calls() {
            for (fault, others) in [
                (Fault::HangBefore, 0),
                (Fault::HangAfter, 0),
                (Fault::HangBefore, 1),
                (Fault::HangAfter, 100),
            ] {
                let mut relay = that_stops();
                relay.world.push_after(milliseconds);
                relay.world.fleet.set_fault(call, fault);
                let (delivery, work) = until_it_hangs(&mut relay).await.unwrap();
                relay.queue.push_front(delivery.clone());
                if others == 0 {
                    work.abort();
                } else {
                    for _ in 0..others {
                        relay.step().await;
                    }
                    relay.world.fleet.wake();
                    let turned = work.await.unwrap().unwrap();
                    relay.publish(&delivery, turned);
                }
                relay.drain().await;
                let what = format!("{fault:?} at call {call}, {others} others");
                relay.check_end(&what);
            }
        }
    }
}

/// However little fits into a message: no larger one is published, and the nodes are whole.
#[tokio::test(start_paused = true)]
async fn a_roll_that_outgrows_its_messages_goes_back() {
    let mut words = BTreeSet::new();
    for broken in [None, Some("b")] {
        for room in (2_000..16_000).step_by(500) {
            let mut relay = Relay::new(broken);
            relay.room = room;
            while relay.step().await {
                for delivery in &relay.queue {
                    if let Delivery::Turn(message) = delivery {
                        let size = serde_json::to_vec(&message.entries).unwrap().len();
                        assert!(size <= room || message.turn == 1, "{size} of {room} bytes");
                    }
                }
            }
            relay.check_end(&format!("{room} bytes"));
            assert_eq!(relay.told.len(), 1);
            let outcome = &relay.told[0].1;
            words.insert((broken, outcome.word()));
            if let (None, Outcome::RolledBack { failure, .. }) = (broken, outcome) {
                assert_eq!(failure.step, "hand-over");
                assert!(outcome.quarantines());
            }
        }
    }
    let wanted = [
        (None, "rolled back"),
        (None, "rolled out"),
        (Some("b"), "rolled back"),
    ];
    assert_eq!(words, BTreeSet::from(wanted));
}
