use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::super::Content;
use super::super::conformance;
use super::super::rows::CLUSTER_LANE;
use super::*;

#[tokio::test]
async fn it_keeps_what_every_queue_must() {
    let dir = tempfile::tempdir().unwrap();
    let made = std::sync::atomic::AtomicU32::new(0);
    conformance::run(|| async {
        let n = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let store = Store::open(&dir.path().join(format!("{n}.db"))).unwrap();
        EmbeddedQueue::new(store, Duration::from_secs(1))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn two_with_one_table_share_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.db");
    let queue = || EmbeddedQueue::new(Store::open(&path).unwrap(), Duration::from_secs(60));
    conformance::together(&queue(), &queue()).await.unwrap();
}

#[tokio::test]
async fn events_of_another_version_end_among_the_dead() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("q.db")).unwrap();
    let queue = EmbeddedQueue::new(store, Duration::from_secs(1));
    let cluster: ClusterName = "example".parse().unwrap();
    queue
        .call(|connection| {
            let strange = Queueable {
                id: "strange".to_owned(),
                cluster: "example".to_owned(),
                queue: CLUSTER_LANE,
                body: "{\"type\":\"new\"}".to_owned(),
            };
            insert(connection, &strange)
        })
        .await
        .unwrap();
    let event = Event::new(super::super::EventKind::Sweep, "/timer", &cluster, "plain");
    queue.publish(&event).await.unwrap();
    assert_eq!(queue.next(&cluster).await.unwrap().event, event);
    let dead = queue.dead_letters(10).await.unwrap();
    assert_eq!((dead.len(), dead[0].id()), (1, "strange"));
    assert_eq!(queue.show("strange").await.unwrap().as_ref(), dead.first());
    let Content::Unreadable(told) = &dead[0].event else {
        panic!("{dead:?}")
    };
    assert_eq!(
        (told.kind.as_deref(), told.queue.as_str()),
        (Some("new"), "cluster.example")
    );
    let figures = queue.figures().await;
    assert_eq!(figures.connected, None);
    let counted = |name: &str| figures.queues[name];
    assert_eq!(counted("dead.unknown").ready, Some(1));
    let own = counted("cluster.example");
    assert_eq!((own.ready, own.held), (Some(0), 1));
    let dropped = queue.discard(&Chosen::All).await.unwrap();
    assert_eq!(dropped.done, ["strange"]);
}

#[tokio::test]
async fn its_figures_name_queues_as_a_broker_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("q.db")).unwrap();
    let queue = EmbeddedQueue::new(store, Duration::from_secs(60));
    let cluster: ClusterName = "example".parse().unwrap();
    for (kind, id) in [
        (super::super::EventKind::Moved, "a"),
        (super::super::EventKind::Moved, "b"),
        (super::super::EventKind::Order, "c"),
    ] {
        let event = Event::new(kind, "/test", &cluster, id);
        queue.publish(&event).await.unwrap();
    }
    for _ in 0..2 {
        let lease = queue.next(&cluster).await.unwrap();
        queue.retry(lease, Duration::ZERO, "away").await.unwrap();
    }
    let lease = queue.next(&cluster).await.unwrap();
    queue.dead(lease, "poison").await.unwrap();
    let figures = queue.figures().await.queues;
    let own = figures["cluster.example"];
    assert_eq!((own.ready, own.held), (Some(1), 0));
    assert_eq!(figures["dead.moved"].ready, Some(1));
    assert_eq!(figures["shared.example.order"].ready, Some(1));
    let retries: u64 = figures.values().map(|queue| queue.retries).sum();
    assert_eq!((retries, own.retries), (2, 2));
    assert!(figures.values().all(|queue| queue.oldest.is_some()));
}

#[tokio::test]
async fn what_a_dead_worker_held_is_given_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.db");
    let cluster: ClusterName = "example".parse().unwrap();
    let event = Event::new(super::super::EventKind::Moved, "/timer", &cluster, "1");
    let hour = Duration::from_secs(3600);
    {
        let queue = EmbeddedQueue::new(Store::open(&path).unwrap(), hour);
        queue.publish(&event).await.unwrap();
        let _held = queue.next(&cluster).await.unwrap();
    }
    let queue = EmbeddedQueue::new(Store::open(&path).unwrap(), hour);
    assert_eq!(queue.reclaim().await.unwrap(), 1);
    let again = queue.next(&cluster).await.unwrap();
    assert_eq!((again.event, again.attempt), (event, 2));
}

const CHILD: &str = "WINDLASS_TEST_QUEUE";

/// Publishes until it is killed; the other half of the test below, and nothing by itself.
#[tokio::test]
async fn child_that_publishes_for_ever() {
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let queue = EmbeddedQueue::new(Store::open(path.as_ref()).unwrap(), Duration::from_secs(60));
    let cluster: ClusterName = "example".parse().unwrap();
    for n in 0_u64.. {
        let event = Event::new(
            super::super::EventKind::Moved,
            "/test",
            &cluster,
            n.to_string(),
        );
        queue.publish(&event).await.unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "published {n}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn what_was_published_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "queue::embedded::tests::child_that_publishes_for_ever",
        ])
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let published = lines.map(|line| line.unwrap()).filter_map(|line| {
        let (_, id) = line.split_once("published ")?;
        Some(id.to_owned())
    });
    let published: Vec<String> = published.take(50).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let queue = EmbeddedQueue::new(Store::open(&path).unwrap(), Duration::from_secs(60));
    let kept = queue.list(100_000).await.unwrap();
    for id in published {
        assert!(kept.iter().any(|queued| queued.id() == id), "{id} is lost");
    }
}
