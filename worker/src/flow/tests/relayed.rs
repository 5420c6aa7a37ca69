//! Two workers with databases of their own share a cluster's work through one queue, one turn in each message.

use std::time::Duration;

use super::pair::Pair;
use crate::flow::trouble::Trouble;
use crate::queue::{Event, EventKind, EventQueue as _};

#[tokio::test]
async fn two_workers_take_turns_and_one_tells() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    // Waits until the roll is over, as everything but its turns does.
    pair.publish(EventKind::Moved).await;
    let kinds = [
        EventKind::Moved,
        EventKind::Turn,
        EventKind::Turn,
        EventKind::Moved,
    ];
    for (at, wanted) in kinds.into_iter().enumerate() {
        let (kind, report) = pair.step().await.unwrap();
        assert_eq!(kind, wanted, "event {at}");
        let told = report.map(|report| (report.outcome.word(), report.trigger));
        let wanted = (at == 2).then_some(("rolled out", "push".to_owned()));
        if at < 3 {
            assert_eq!(told, wanted, "event {at}");
        }
    }
    assert!(pair.step().await.is_none());
    assert_eq!(pair.world.fleet.activations(), ["one", "two"]);
}

#[tokio::test]
async fn a_failed_roll_goes_back_from_worker_to_worker() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    pair.drain().await;
    let good = pair.world.fleet.commits();
    pair.world.app("second", "bad", "1s");
    pair.world.commit("Break the site");
    pair.publish(EventKind::Moved).await;
    let reports = pair.drain().await;
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].outcome.word(), "rolled back");
    assert_eq!(pair.world.fleet.commits(), good);
}

#[tokio::test]
async fn a_turn_that_is_delivered_after_the_end_is_forgotten_by_every_worker() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    let lease = pair.take().await.unwrap();
    let first = lease.event.clone();
    pair.queue
        .retry(lease, Duration::ZERO, "again")
        .await
        .unwrap();
    pair.drain().await;
    let stored = pair.stored().await;
    assert_eq!(stored, 1);
    for worker in &pair.workers {
        let answered = worker.run(&first).await.unwrap();
        assert!(answered.then.is_none() && answered.report.is_none());
    }
    assert_eq!(pair.stored().await, stored);
    assert_eq!(pair.world.fleet.activations(), ["one", "two"]);
}

#[tokio::test]
async fn nothing_else_begins_between_two_turns() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    pair.step().await.unwrap();
    let lease = pair.take().await.unwrap();
    assert_eq!(lease.event.kind, EventKind::Turn, "the second node's");
    pair.world.app("second", "good", "1m");
    pair.world.commit("While a roll is under way");
    let cluster = &pair.world.deploy.cluster;
    let moved = Event::new(EventKind::Moved, "/test", cluster, "early");
    for worker in &pair.workers {
        let early = worker.run(&moved).await;
        assert!(matches!(early, Err(Trouble::Later(_))), "{early:?}");
    }
    pair.queue
        .retry(lease, Duration::ZERO, "again")
        .await
        .unwrap();
    pair.publish(EventKind::Moved).await;
    let words: Vec<_> = pair.drain().await;
    let words: Vec<_> = words.iter().map(|report| report.outcome.word()).collect();
    assert_eq!(words, ["rolled out", "rolled out"]);
    assert_eq!(pair.world.fleet.activations().len(), 4);
}

/// After a change of the worker that takes a cluster's events, what a person asked for may come before the roll's turn.
#[tokio::test]
async fn a_person_who_asks_between_two_turns_ends_no_healthy_roll() {
    let mut pair = Pair::new();
    pair.world.stops_for_newer();
    pair.world.commit("Stop for what is newer");
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    pair.step().await.unwrap();
    let lease = pair.take().await.unwrap();
    let asked = Event::new(EventKind::Asked, "/cli", &lease.event.subject, "asked");
    for worker in &pair.workers {
        let early = worker.run(&asked).await;
        assert!(matches!(early, Err(Trouble::Later(_))), "{early:?}");
    }
    pair.queue
        .retry(lease, Duration::ZERO, "again")
        .await
        .unwrap();
    pair.queue.publish(&asked).await.unwrap();
    let words: Vec<_> = pair.drain().await;
    let words: Vec<_> = words.iter().map(|report| report.outcome.word()).collect();
    assert_eq!(words, ["rolled out", "unchanged"]);
    assert_eq!(pair.world.fleet.activations(), ["one", "two"]);
}

/// A disk is full in the moment in which a roll ends.
#[tokio::test]
async fn until_it_is_written_down_how_a_roll_ended_no_other_begins() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    pair.step().await.unwrap();
    let lease = pair.take().await.unwrap();
    let last = lease.event.clone();
    assert_eq!(last.kind, EventKind::Turn, "the second node's");
    let broken = &pair.workers[pair.turn % 2];
    let full = "CREATE TRIGGER full BEFORE INSERT ON report BEGIN SELECT RAISE(ABORT, 'full'); END";
    let full = move |db: &mut rusqlite::Connection| db.execute_batch(full);
    broken.store.call(full).await.unwrap();
    let untold = broken.run(&last).await;
    assert!(matches!(untold, Err(Trouble::Again(..))), "{untold:?}");
    let first = pair.world.git(&["rev-parse", "HEAD"]);
    pair.world.app("second", "good", "1m");
    pair.world.commit("While nobody knows how it ended");
    let cluster = &pair.world.deploy.cluster;
    let moved = Event::new(EventKind::Moved, "/test", cluster, "early");
    for worker in &pair.workers {
        let early = worker.run(&moved).await;
        assert!(matches!(early, Err(Trouble::Later(_))), "{early:?}");
    }
    let empty = |db: &mut rusqlite::Connection| db.execute_batch("DROP TRIGGER full");
    broken.store.call(empty).await.unwrap();
    let told = broken.run(&last).await.unwrap().report.unwrap();
    assert_eq!((told.outcome.word(), told.commit), ("rolled out", first));

    // It died when it had told, and before it let the nodes go: the turn comes once more.
    pair.world.fleet.hold_again();
    let early = broken.run(&moved).await;
    assert!(matches!(early, Err(Trouble::Later(_))), "{early:?}");
    let again = broken.run(&last).await.unwrap();
    assert!(again.then.is_none() && again.report.is_none());

    // Come once more in the middle of another roll, it leaves that one's nodes alone.
    pair.world.fleet.hold_again();
    let lent = pair.world.fleet.clone();
    let before = lent.holders();
    lent.lend_one_to("00000000-0000-4000-8000-000000000000");
    let held = lent.holders();
    assert_ne!(held, before);
    broken.run(&last).await.unwrap();
    assert_eq!(lent.holders(), held);
    lent.take_again(&before);
    broken.run(&last).await.unwrap();
    pair.queue.ack(lease, &[moved]).await.unwrap();
    let words: Vec<_> = pair.drain().await;
    let words: Vec<_> = words.iter().map(|report| report.outcome.word()).collect();
    assert_eq!(words, ["rolled out"]);
}

/// A disk stays full for days: the numbers of the roll's generation are used up.
#[tokio::test]
async fn a_roll_is_told_however_often_that_was_tried() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    pair.step().await.unwrap();
    let last = pair.take().await.unwrap().event;
    let (broken, other) = (&pair.workers[0], &pair.workers[1]);
    let full = "CREATE TRIGGER full BEFORE INSERT ON report BEGIN SELECT RAISE(ABORT, 'full'); END";
    let full = move |db: &mut rusqlite::Connection| db.execute_batch(full);
    broken.store.call(full).await.unwrap();
    broken.run(&last).await.unwrap_err();
    pair.world.fleet.raise(990);
    for _ in 0..10 {
        let untold = broken.run(&last).await;
        assert!(matches!(untold, Err(Trouble::Again(..))), "{untold:?}");
    }
    let fences = pair.world.fleet.fences();
    assert!(fences.iter().all(|fence| *fence > 2000), "{fences:?}");
    let told = other.run(&last).await.unwrap().report.unwrap();
    assert_eq!(told.outcome.word(), "rolled out");
    assert_eq!(pair.world.fleet.activations(), ["one", "two"]);
}

#[tokio::test]
async fn a_worker_that_stops_leaves_its_turn_to_the_other() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    pair.drain().await;
    pair.world.app("second", "bad", "3s");
    pair.world.commit("Wait for a while");
    pair.publish(EventKind::Moved).await;
    pair.step().await.unwrap();
    let stop = pair.workers[pair.turn % 2].stop.clone();
    let fleet = pair.world.fleet.clone();
    let stopping = async {
        while fleet.activations().len() < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.cancel();
    };
    let deadline = Duration::from_secs(60);
    let both = async { tokio::join!(pair.step(), stopping) };
    let (left, ()) = tokio::time::timeout(deadline, both).await.unwrap();
    assert!(left.unwrap().1.is_none(), "it is not taken back");
    let (_, report) = pair.step().await.unwrap();
    assert_eq!(
        report.unwrap().outcome.word(),
        "rolled back",
        "its gate fails"
    );
    assert_eq!(pair.world.fleet.activations().len(), 3);
}

/// What one worker was told, or remembers, must not mislead the other.
#[tokio::test]
async fn the_nodes_and_not_a_stale_database_tell_what_was_rolled() {
    let mut pair = Pair::new();
    let first = pair.world.git(&["rev-parse", "HEAD"]);
    pair.world.app("second", "good", "1m");
    let second = pair.world.commit("Second");
    pair.publish(EventKind::Moved).await;
    pair.drain().await;
    for worker in &pair.workers {
        worker.store.rolled(&worker.cluster, &second).await.unwrap();
    }
    pair.world.git(&["reset", "--quiet", "--hard", &first]);
    pair.publish(EventKind::Sweep).await;
    let refused = pair.drain().await;
    assert_eq!(refused[0].outcome.word(), "refused", "{refused:?}");

    // A person says yes to one of them, and the other goes on from there.
    let told = &pair.workers[pair.turn % 2];
    told.store.accept(&told.cluster, &first).await.unwrap();
    pair.publish(EventKind::Sweep).await;
    assert_eq!(pair.drain().await[0].outcome.word(), "rolled out");
    for n in 0..2 {
        pair.world.app(&format!("third {n}"), "good", "1m");
        pair.world.commit("Forward from the first");
        pair.publish(EventKind::Moved).await;
        assert_eq!(pair.drain().await[0].outcome.word(), "rolled out");
    }
}

#[tokio::test]
async fn what_was_rolled_back_is_known_to_every_worker() {
    let mut pair = Pair::new();
    pair.publish(EventKind::Moved).await;
    pair.drain().await;
    pair.world.app("second", "bad", "1s");
    pair.world.commit("Break the site");
    pair.publish(EventKind::Moved).await;
    assert_eq!(pair.drain().await[0].outcome.word(), "rolled back");
    let activations = pair.world.fleet.activations().len();
    for _ in 0..2 {
        pair.publish(EventKind::Sweep).await;
        let reports = pair.drain().await;
        assert_eq!(reports[0].outcome.word(), "refused", "{reports:?}");
    }
    assert_eq!(pair.world.fleet.activations().len(), activations);
}
