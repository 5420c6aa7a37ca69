//! Workers as processes of their own: they share what is pushed, follow each other, and lose nothing while the
//! broker is away.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use windlass_tests::broker::{Broker, USER};
use windlass_tests::lab::wait_until;

use super::letters::Stranger;
use super::place::{SOON, event};
use super::service::{Repository, TOKEN, Worker};

fn queue_at(broker: &Broker) -> String {
    let address = broker.node(0).address();
    format!("queue: amqp://{USER}@{address}/v0\nbroker: {{ password_file: password }}")
}

#[test]
fn any_worker_takes_what_was_pushed_and_another_follows_when_it_dies() -> Result<()> {
    let broker = Broker::start()?;
    let repository = Repository::make()?;
    let first = repository.push("name: [")?;
    let mut workers = vec![
        Worker::start(&repository, &queue_at(&broker))?,
        Worker::start(&repository, &queue_at(&broker))?,
    ];
    let active =
        |workers: &[Worker], commit: &str| workers.iter().position(|w| w.has_refused(commit));
    wait_until(SOON, || active(&workers, &first).is_some()).context("the sweep at the start")?;

    // Whoever is told, one of them works, and it is the one that worked before.
    let one = active(&workers, &first).context("nobody")?;
    let second = repository.push("name: ]")?;
    ensure!(workers[1 - one].hook("second")? == 202);
    wait_until(SOON, || active(&workers, &second) == Some(one))
        .context("the one that is active")?;

    workers[one].kill()?;
    let mut left = workers.remove(1 - one);
    let third = repository.push("name: }")?;
    ensure!(left.hook("third")? == 202);
    wait_until(SOON, || left.has_refused(&third)).context("the one that is left")?;
    left.stop()?;
    for worker in workers.iter().chain([&left]) {
        ensure!(!worker.log().contains(windlass_tests::broker::PASSWORD));
        ensure!(!worker.log().contains("panicked"), "{}", worker.log());
    }
    Ok(())
}

#[test]
fn a_broker_that_is_away_delays_and_loses_nothing() -> Result<()> {
    let broker = Broker::start()?;
    let repository = Repository::make()?;
    repository.push("name: [")?;
    broker.node(0).stop()?;
    let mut worker = Worker::start(&repository, &queue_at(&broker))?;
    let commit = repository.push("name: ]")?;
    ensure!(
        worker.hook("1")? == 202,
        "the broker is away, the hook is not"
    );
    ensure!(
        worker.log().contains("the broker cannot be used"),
        "{}",
        worker.log()
    );
    // What was accepted is on disk: it survives the worker as well.
    worker.kill()?;
    broker.node(0).start()?;
    worker.run()?;
    wait_until(SOON, || worker.has_refused(&commit))?;
    let events = worker.json("/api/v1/events")?;
    let known = |event: &serde_json::Value| event["event"]["id"] == "hook:example:1";
    ensure!(
        events.as_array().is_some_and(|all| all.iter().any(known)),
        "{events}"
    );
    worker.stop()
}

#[test]
fn what_a_person_asks_reaches_the_worker_that_is_active() -> Result<()> {
    let broker = Broker::start()?;
    let repository = Repository::make()?;
    let commit = repository.push("name: [")?;
    let active = Worker::start(&repository, &queue_at(&broker))?;
    wait_until(SOON, || active.has_refused(&commit))?;
    let idle = Worker::start(&repository, &queue_at(&broker))?;
    idle.ask(&["accept-rewind", "example", &commit])?;
    let accepted = || {
        active
            .json("/api/v1/clusters/example")
            .is_ok_and(|c| c["accepted"] == commit)
    };
    wait_until(SOON, accepted)
}

#[test]
fn a_person_sees_the_queue_and_wakes_a_cluster() -> Result<()> {
    let broker = Broker::start()?;
    let repository = Repository::make()?;
    let commit = repository.push("name: [")?;
    let mut worker = Worker::start(&repository, &queue_at(&broker))?;
    wait_until(SOON, || worker.has_refused(&commit))?;
    let newer = repository.push("name: ]")?;
    let id = worker.ask(&["event", "send", "example"])?;
    wait_until(SOON, || worker.has_refused(&newer))?;
    let shown = worker.ask(&["event", "show", &id])?;
    ensure!(shown.contains("windlass.git.moved.v1"), "{shown}");
    ensure!(worker.ask(&["event", "list"])?.contains(&id));
    ensure!(worker.json(&format!("/api/v1/events/{id}"))?["event"]["id"] == id.as_str());
    ensure!(worker.ask(&["event", "send", "other"]).is_err());

    ensure!(worker.ask(&["event", "dead", "list"])? == "none");
    let metrics = worker.get("/metrics")?;
    for line in [
        "windlass_broker_connected 1",
        "windlass_queue_messages{queue=\"windlass.v1.dead.moved\",state=\"ready\"} 0",
        "windlass_queue_messages{queue=\"windlass.v1.cluster.example\",state=\"ready\"} 0",
    ] {
        ensure!(metrics.contains(line), "{line}: {metrics}");
    }
    worker.stop()?;
    // Without a worker it waits, and the broker is not asked.
    ensure!(
        worker
            .ask(&["event", "send", "example", "--why", "sweep"])
            .is_ok()
    );
    Ok(())
}

#[test]
fn what_was_given_up_waits_for_a_person() -> Result<()> {
    let broker = Broker::start()?;
    let repository = Repository::make()?;
    let commit = repository.push("name: [")?;
    let worker = Worker::start(&repository, &queue_at(&broker))?;
    wait_until(SOON, || worker.has_refused(&commit))?;
    let mut lost = event("lost");
    lost.subject = "another".parse()?;
    let body = serde_json::to_string(&lost)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let stranger = Stranger::at(&broker.url("v0")).await?;
        stranger.send("cluster.example.moved", &body).await
    })?;
    let dead = || worker.ask(&["event", "dead", "list"]).unwrap_or_default();
    wait_until(SOON, || dead().contains("it is about the cluster another"))?;
    ensure!(worker.ask(&["event", "list"])?.starts_with("dead"));
    let metric = "windlass_queue_messages{queue=\"windlass.v1.dead.moved\",state=\"ready\"} 1";
    wait_until(SOON, || {
        worker.get("/metrics").is_ok_and(|all| all.contains(metric))
    })?;
    // Once more it ends where it was, because nothing was mended.
    worker.ask(&["event", "dead", "replay", "lost"])?;
    wait_until(SOON, || dead().contains("it is about the cluster another"))?;
    worker.ask(&["event", "dead", "drop", "--all"])?;
    ensure!(dead() == "none");
    let unknown = worker.ask(&["event", "dead", "drop", "lost"]).unwrap_err();
    ensure!(unknown.to_string().contains("no event lost"), "{unknown}");
    Ok(())
}

#[test]
fn over_the_api_a_cluster_is_woken_and_dead_events_are_answered_by_who_has_the_token() -> Result<()>
{
    let broker = Broker::start()?;
    let repository = Repository::make()?;
    let commit = repository.push("name: [")?;
    let mut worker = Worker::start(&repository, &queue_at(&broker))?;
    wait_until(SOON, || worker.has_refused(&commit))?;
    let newer = repository.push("name: ]")?;
    let wake = json!({"cluster": "example"});
    let wrong = "a token that somebody guessed";
    ensure!(worker.api("/api/v1/events", wrong, Some(&wake))?.0 == 401);
    let (status, woken) = worker.api("/api/v1/events", TOKEN, Some(&wake))?;
    ensure!(status == 202, "{woken}");
    wait_until(SOON, || worker.has_refused(&newer)).context("it was not woken")?;

    tokio::runtime::Runtime::new()?.block_on(async {
        let stranger = Stranger::at(&broker.url("v0")).await?;
        stranger.send("cluster.example.moved", "[]").await
    })?;
    let dead = || {
        worker
            .api("/api/v1/dead", TOKEN, None)
            .map(|(_, dead)| dead)
    };
    let count = || dead().ok().and_then(|dead| dead.as_array().map(Vec::len));
    wait_until(SOON, || count() == Some(1))?;
    let id = dead()?[0]["event"]["id"].clone();
    let line = worker.ask(&["event", "dead", "list"])?;
    ensure!(line.contains(id.as_str().context("no id")?), "{line}");
    ensure!(line.contains("in windlass.v1.dead.moved"), "{line}");
    let ids = json!({ "ids": [id] });
    for path in ["/api/v1/dead/replay", "/api/v1/dead/drop"] {
        ensure!(worker.api(path, wrong, Some(&ids))?.0 == 401);
    }
    ensure!(worker.api("/api/v1/dead", wrong, None)?.0 == 401);
    let (status, replayed) = worker.api("/api/v1/dead/replay", TOKEN, Some(&ids))?;
    ensure!(
        status == 200 && replayed["done"] == ids["ids"],
        "{replayed}"
    );
    wait_until(SOON, || count() == Some(1)).context("it is as unreadable as before")?;
    let (status, dropped) = worker.api("/api/v1/dead/drop", TOKEN, Some(&ids))?;
    ensure!(status == 200 && dropped["done"] == ids["ids"], "{dropped}");
    ensure!(worker.api("/api/v1/dead/drop", TOKEN, Some(&ids))?.0 == 404);
    worker.stop()?;
    let log = worker.log();
    ensure!(log.contains("woken over the API"), "{log}");
    ensure!(!log.contains(TOKEN) && !log.contains(wrong), "{log}");
    Ok(())
}
