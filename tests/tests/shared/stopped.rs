//! A worker that is stopped in the middle of a turn for longer than the broker waits, and wakes.

use anyhow::{Context, Result, ensure};
use windlass_tests::broker::Broker;
use windlass_tests::lab::wait_until;

use super::place::{Place, SOON};
use super::worker::Worker;

#[test]
#[ignore = "lab: needs root"]
fn a_worker_that_wakes_in_mid_turn_is_refused_by_the_node() -> Result<()> {
    let broker = Broker::start()?;
    let place = Place::make(&["vps1", "vps2"], "")?;
    let first = place.push("one")?;
    let address = broker.node(0).address();
    let workers = [
        Worker::start(&place, Some(address), "worker-a")?,
        Worker::start(&place, Some(address), "worker-b")?,
    ];
    wait_until(SOON, || workers.iter().any(|worker| told(worker, &first)))
        .with_context(|| workers[0].log())?;

    place.lab.node("vps1").sh("touch /run/hold")?;
    let commit = place.push("two")?;
    ensure!(workers[0].hook("two")? == 202);
    let before = place.times("vps1", "activated").len();
    wait_until(SOON, || place.times("vps1", "activated").len() > before)
        .context("the first node's turn")?;
    let stopped = workers.iter().position(Worker::rolls).context("nobody")?;
    let (stopped, other) = (&workers[stopped], &workers[1 - stopped]);
    stopped.signal("STOP")?;

    wait_until(SOON, || other.rolls()).context("the other takes over")?;
    place.lab.node("vps1").sh("rm /run/hold")?;
    wait_until(SOON, || place.holds("two")).with_context(|| other.log())?;
    wait_until(SOON, || told(other, &commit)).context("the roll's end")?;

    stopped.signal("CONT")?;
    let refused = || stopped.log().contains("is behind");
    wait_until(SOON, refused).with_context(|| stopped.log())?;
    ensure!(!ended(stopped, &commit), "one of them ends it");
    ensure!(ended(other, &commit), "{}", other.log());
    // What the other one ended this one hears of, as the same.
    wait_until(SOON, || told(stopped, &commit)).context("it hears how it ended")?;
    place.check_turns()?;
    ensure!(place.holds("two"));
    for worker in &workers {
        ensure!(!worker.log().contains("panicked"), "{}", worker.log());
    }
    Ok(())
}

/// Whether it said itself how this commit's roll ended.
fn ended(worker: &Worker, commit: &str) -> bool {
    let log = worker.log();
    let mut lines = log.lines();
    lines.any(|line| line.contains(&commit[..12]) && line.contains("outcome="))
}

/// Whether it knows.
fn told(worker: &Worker, commit: &str) -> bool {
    let reports = worker.reports().unwrap_or_default();
    reports.iter().any(|report| report["commit"] == commit)
}
