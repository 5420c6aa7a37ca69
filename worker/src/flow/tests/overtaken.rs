//! Two workers, and a roll that does not come to its end: for a newer commit, because nobody goes on with it, or because
//! no message holds it.

use std::collections::BTreeSet;

use windlass_core::ids::NodeName;
use windlass_core::outcome::Outcome;

use super::shared::Shared;
use super::world::World;
use crate::queue::{Event, EventKind, EventQueue as _};

#[tokio::test]
async fn a_mending_commit_does_not_wait_for_the_broken_one() {
    let mut shared = Shared::new();
    shared.publish(EventKind::Moved).await;
    shared.drain().await;
    shared.world.app("second", "bad", "40s");
    shared.world.commit("Break the site, with a long deadline");
    shared.publish(EventKind::Moved).await;
    shared.step().await.unwrap();
    let words = shared.drain_and_push("Mend it").await;
    // Nobody but the roll that was called off says that there is something newer.
    assert_eq!(words, ["rolled back", "rolled out"]);
    let quarantined = shared.workers.iter().map(|worker| {
        let cluster = &worker.cluster;
        worker.store.quarantined(cluster)
    });
    for quarantined in quarantined {
        assert!(quarantined.await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_newer_commit_in_the_first_of_three_turns_ends_the_roll_there() {
    let mut shared = Shared::new();
    shared.world.stops_for_newer();
    shared.world.third_node();
    shared.world.commit("Three nodes");
    shared.publish(EventKind::Moved).await;
    shared.drain().await;
    assert_eq!(shared.world.fleet.activations().len(), 3);
    shared.world.fleet.forget_when_asked();
    shared.world.app("second", "slow", "2m");
    let second = shared.world.commit("Needs a few seconds");
    shared.publish(EventKind::Moved).await;
    shared.step().await.unwrap();
    let words = shared.drain_and_push("While the first node starts").await;
    assert_eq!(words, ["overtaken", "rolled out"]);
    let third = shared.world.git(&["rev-parse", "HEAD"]);
    let told = shared.reports().await;
    let overtaken = told.iter().find(|report| report.commit == second).unwrap();
    let Outcome::Overtaken { by, nodes, left } = &overtaken.outcome else {
        panic!("{overtaken:?}");
    };
    let names = |nodes: &[NodeName]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((by, names(nodes)), (&third, vec!["one".to_owned()]));
    assert_eq!(names(left), ["three", "two"]);
    assert_eq!(shared.world.fleet.activations().len(), 3 + 1 + 3);
    let commits = shared.world.fleet.commits();
    assert!(commits.values().all(|held| *held == third), "{commits:?}");
}

/// Between two turns nobody rolls; who takes the next one looks first.
#[tokio::test]
async fn a_newer_commit_between_two_turns_ends_the_roll_there() {
    let mut shared = Shared::new();
    shared.world.stops_for_newer();
    shared.world.commit("Stop for what is newer");
    shared.publish(EventKind::Moved).await;
    shared.step().await.unwrap();
    shared.step().await.unwrap();
    shared.world.app("second", "good", "1m");
    shared.world.commit("Between two turns");
    let reports = shared.drain().await;
    let words: Vec<_> = reports.iter().map(|r| r.outcome.word()).collect();
    assert_eq!(words, ["overtaken", "rolled out"]);
    assert_eq!(shared.world.fleet.activations(), ["one", "one", "two"]);
}

/// Its next turn is lost, or comes long after others have gone on.
#[tokio::test]
async fn a_roll_that_nobody_goes_on_with_is_ended_by_the_next_one_and_told_once() {
    let mut shared = Shared::new();
    shared.publish(EventKind::Moved).await;
    shared.step().await.unwrap();
    shared.step().await.unwrap();
    let lost = shared.take().await.unwrap();
    let late = lost.event.clone();
    shared.queue.ack(lost, &[]).await.unwrap();
    let first = shared.world.git(&["rev-parse", "HEAD"]);
    shared.world.app("second", "good", "1m");
    let second = shared.world.commit("A person wants this one");
    // The one who ends it cannot write that down, and another one has to.
    let broken = shared.turn % 2;
    let full = "CREATE TRIGGER full BEFORE INSERT ON report BEGIN SELECT RAISE(ABORT, 'full'); END";
    let full = move |db: &mut rusqlite::Connection| db.execute_batch(full);
    let cluster = shared.world.deploy.cluster.clone();
    let asked = Event::new(EventKind::Asked, "/test", &cluster, "asked");
    let store = shared.workers[broken].store.clone();
    store.call(full).await.unwrap();
    shared.workers[broken].run(&asked).await.unwrap_err();
    shared.turn = 1 - broken;
    shared.publish(EventKind::Asked).await;
    shared.step().await.unwrap();
    let told = shared.reports().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let Outcome::Overtaken { by, nodes, left } = &told[0].outcome else {
        panic!("{told:?}");
    };
    assert_eq!((&told[0].commit, by), (&first, &second));
    assert_eq!((nodes[0].as_str(), left[0].as_str()), ("one", "two"));

    let empty = |db: &mut rusqlite::Connection| db.execute_batch("DROP TRIGGER full");
    store.call(empty).await.unwrap();
    let words: Vec<_> = shared.drain().await;
    assert_eq!(words.len(), 1);
    assert_eq!(words[0].outcome.word(), "rolled out");
    for worker in &shared.workers {
        let answered = worker.run(&late).await.unwrap();
        assert!(answered.then.is_none() && answered.report.is_none());
    }
    assert_eq!(shared.stored().await, 2);
    assert_eq!(shared.world.fleet.activations(), ["one", "one", "two"]);
}

#[tokio::test]
async fn a_plan_that_no_message_holds_is_refused_before_a_node_is_touched() {
    let mut shared = Shared::new();
    for worker in &mut shared.workers {
        worker.largest_message = 2000;
    }
    shared.publish(EventKind::Moved).await;
    let reports = shared.drain().await;
    assert_eq!(World::refusal(&reports[0]), BTreeSet::from(["WL417"]));
    assert!(shared.world.fleet.activations().is_empty());
    for worker in &mut shared.workers {
        worker.largest_message = 1_000_000;
    }
    shared.publish(EventKind::Asked).await;
    assert_eq!(shared.drain().await[0].outcome.word(), "rolled out");
}
