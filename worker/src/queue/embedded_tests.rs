use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

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
    let dead: i64 = queue
        .call(|connection| {
            connection.query_row(
                "SELECT count(*) FROM event WHERE state = 'dead'",
                [],
                |row| row.get(0),
            )
        })
        .await
        .unwrap();
    assert_eq!(dead, 1);
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
        assert!(
            kept.iter().any(|queued| queued.event.id == id),
            "{id} is lost"
        );
    }
}
