//! Workers as processes of their own: they share what is pushed, follow each other, and lose nothing while the
//! broker is away.

use anyhow::{Context, Result, ensure};
use windlass_tests::broker::{Broker, USER};
use windlass_tests::lab::wait_until;

use super::place::SOON;
use super::service::{Repository, Worker};

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
