//! Two workers, and a roll that does not come to its end: for a newer commit, because nobody goes on with it, or because
//! no message holds it.

use std::collections::BTreeSet;
use std::time::Duration;

use windlass_core::ids::NodeName;
use windlass_core::outcome::Outcome;

use super::pair::Pair;
use super::world::World;
use crate::flow::trouble::Trouble;
use crate::flow::turn::UnderWay;
use crate::queue::{Event, EventKind, EventQueue as _, Published};

#[tokio::test]
async fn a_mending_commit_does_not_wait_for_the_broken_one() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    pair.drain().await;
    pair.world.app("second", "bad", "40s");
    pair.world.commit("Break the site, with a long deadline");
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    let words = pair.drain_and_push("Mend it").await;
    // Nobody but the roll that was called off says that there is something newer.
    assert_eq!(words, ["rolled back", "rolled out"]);
    let quarantined = pair.workers.iter().map(|worker| {
        let cluster = &worker.cluster;
        worker.store.quarantined(cluster)
    });
    for quarantined in quarantined {
        assert!(quarantined.await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_newer_commit_in_the_first_of_three_turns_ends_the_roll_there() {
    let mut pair = Pair::new();
    pair.world.stops_for_newer();
    pair.world.third_node();
    pair.world.commit("Three nodes");
    pair.publish(EventKind::Moved).await;
    pair.drain().await;
    assert_eq!(pair.world.fleet.activations().len(), 3);
    pair.world.fleet.forget_when_asked();
    pair.world.app("second", "slow", "2m");
    let second = pair.world.commit("Needs a few seconds");
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    let words = pair.drain_and_push("While the first node starts").await;
    assert_eq!(words, ["overtaken", "rolled out"]);
    let third = pair.world.git(&["rev-parse", "HEAD"]);
    let told = pair.reports().await;
    let overtaken = told.iter().find(|report| report.commit == second).unwrap();
    let Outcome::Overtaken { by, nodes, left } = &overtaken.outcome else {
        panic!("{overtaken:?}");
    };
    let names = |nodes: &[NodeName]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((by, names(nodes)), (&third, vec!["one".to_owned()]));
    assert_eq!(names(left), ["three", "two"]);
    assert_eq!(pair.world.fleet.activations().len(), 3 + 1 + 3);
    let commits = pair.world.fleet.commits();
    assert!(commits.values().all(|held| *held == third), "{commits:?}");
}

/// Between two turns nobody rolls; who takes the next one looks first.
#[tokio::test]
async fn a_newer_commit_between_two_turns_ends_the_roll_there() {
    let mut pair = Pair::new();
    pair.world.stops_for_newer();
    pair.world.commit("Stop for what is newer");
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    pair.step().await.unwrap();
    pair.world.app("second", "good", "1m");
    pair.world.commit("Between two turns");
    let reports = pair.drain().await;
    let words: Vec<_> = reports.iter().map(|r| r.outcome.word()).collect();
    assert_eq!(words, ["overtaken", "rolled out"]);
    assert_eq!(pair.world.fleet.activations(), ["one", "one", "two"]);
}

/// Who told how it ended died before the broker had its answer.
#[tokio::test]
async fn what_follows_a_roll_that_was_called_off_follows_however_often_its_turn_comes() {
    let mut pair = Pair::new();
    pair.world.stops_for_newer();
    pair.world.commit("Stop for what is newer");
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    pair.step().await.unwrap();
    pair.world.app("second", "good", "1m");
    pair.world.commit("Between two turns");
    let (lease, told) = loop {
        let lease = pair.take().await.unwrap();
        let answered = pair.workers[0].run(&lease.event).await.unwrap();
        if answered.report.is_some() {
            break (lease, answered);
        }
        let then: Vec<Event> = answered.then.into_iter().collect();
        pair.queue.ack(lease, &then).await.unwrap();
    };
    let follows = told.then.unwrap();
    assert_eq!(follows.kind, EventKind::Moved);
    // The one has told it and stops, the other knows nothing of it.
    pair.workers[0].stop.cancel();
    for worker in &pair.workers {
        let again = worker.run(&lease.event).await.unwrap();
        assert_eq!(again.then.map(|then| then.id), Some(follows.id.clone()));
    }
    pair.workers[0].stop = Default::default();
    let then = std::slice::from_ref(&follows);
    pair.queue.ack(lease, then).await.unwrap();
    let again = pair.queue.publish(&follows).await.unwrap();
    assert_eq!(again, Published::Known);
    let words: Vec<_> = pair.drain().await;
    let words: Vec<_> = words.iter().map(|report| report.outcome.word()).collect();
    assert_eq!(words, ["rolled out"]);
}

/// Its first turn is lost, or comes when it is over.
#[tokio::test]
async fn a_roll_that_was_merely_opened_is_told_of_when_another_begins() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    let lost = pair.take().await.unwrap();
    let late = lost.event.clone();
    assert_eq!(late.kind, EventKind::Turn);
    pair.queue.ack(lost, &[]).await.unwrap();
    let cluster = pair.world.deploy.cluster.clone();
    let asked = Event::new(EventKind::Asked, "/test", &cluster, "asked");
    for worker in &pair.workers {
        let early = worker.run(&asked).await;
        assert!(matches!(early, Err(Trouble::Later(_))), "{early:?}");
    }
    for worker in &mut pair.workers {
        worker.under_way = UnderWay::within(Duration::ZERO);
    }
    pair.world.app("second", "good", "1m");
    let second = pair.world.commit("A person wants this one");
    pair.publish(EventKind::Asked).await;
    pair.step().await.unwrap();
    let told = pair.reports().await;
    let Outcome::Overtaken { by, nodes, left } = &told[0].outcome else {
        panic!("{told:?}");
    };
    assert_eq!((by, nodes.len(), left.len()), (&second, 0, 2));
    for worker in &pair.workers {
        assert!(worker.run(&late).await.unwrap().report.is_none());
    }
    let words: Vec<_> = pair.drain().await;
    assert_eq!(words[0].outcome.word(), "rolled out");
    assert_eq!(pair.stored().await, 2);
    assert_eq!(pair.world.fleet.activations(), ["one", "two"]);
}

/// Its next turn is lost, or comes long after others have gone on.
#[tokio::test]
async fn a_roll_that_nobody_goes_on_with_is_ended_by_the_next_one_and_told_once() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    pair.step().await.unwrap();
    let lost = pair.take().await.unwrap();
    let late = lost.event.clone();
    pair.queue.ack(lost, &[]).await.unwrap();
    for worker in &mut pair.workers {
        worker.under_way = UnderWay::within(Duration::ZERO);
    }
    let first = pair.world.git(&["rev-parse", "HEAD"]);
    pair.world.app("second", "good", "1m");
    let second = pair.world.commit("A person wants this one");
    // The one who ends it cannot write that down, and another one has to.
    let broken = pair.turn % 2;
    let full = "CREATE TRIGGER full BEFORE INSERT ON report BEGIN SELECT RAISE(ABORT, 'full'); END";
    let full = move |db: &mut rusqlite::Connection| db.execute_batch(full);
    let cluster = pair.world.deploy.cluster.clone();
    let asked = Event::new(EventKind::Asked, "/test", &cluster, "asked");
    let store = pair.workers[broken].store.clone();
    store.call(full).await.unwrap();
    pair.workers[broken].run(&asked).await.unwrap_err();
    pair.turn = 1 - broken;
    pair.publish(EventKind::Asked).await;
    pair.step().await.unwrap();
    let told = pair.reports().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let Outcome::Overtaken { by, nodes, left } = &told[0].outcome else {
        panic!("{told:?}");
    };
    assert_eq!((&told[0].commit, by), (&first, &second));
    assert_eq!((nodes[0].as_str(), left[0].as_str()), ("one", "two"));

    let empty = |db: &mut rusqlite::Connection| db.execute_batch("DROP TRIGGER full");
    store.call(empty).await.unwrap();
    let words: Vec<_> = pair.drain().await;
    assert_eq!(words.len(), 1);
    assert_eq!(words[0].outcome.word(), "rolled out");
    for worker in &pair.workers {
        let answered = worker.run(&late).await.unwrap();
        let wakes = |then: Event| then.kind == EventKind::Moved;
        assert!(answered.report.is_none() && answered.then.is_none_or(wakes));
    }
    assert_eq!(pair.stored().await, 2);
    assert_eq!(pair.world.fleet.activations(), ["one", "one", "two"]);
}

#[tokio::test]
async fn a_plan_that_no_message_holds_is_refused_before_a_node_is_touched() {
    let mut pair = Pair::new();
    for worker in &mut pair.workers {
        worker.largest_message = 2000;
    }
    pair.publish(EventKind::Moved).await;
    let reports = pair.drain().await;
    assert_eq!(World::refusal(&reports[0]), BTreeSet::from(["WL417"]));
    assert!(pair.world.fleet.activations().is_empty());
    for worker in &mut pair.workers {
        worker.largest_message = 1_000_000;
    }
    pair.publish(EventKind::Asked).await;
    assert_eq!(pair.drain().await[0].outcome.word(), "rolled out");
}
