//! A commit that comes while another one is rolled. No worker looks at the branch by itself here, for hours.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use windlass_tests::broker::Broker;
use windlass_tests::lab::wait_until;

use super::place::{Place, SOON};
use super::worker::Worker;

/// Workers that have rolled the first commit: to its end, not only to each node.
fn workers(place: &Place, broker: Option<&Broker>) -> Result<Vec<Worker>> {
    let first = place.push("one")?;
    let address = broker.map(|broker| broker.node(0).address());
    let names: &[&str] = match address {
        Some(_) => &["worker-a", "worker-b"],
        None => &["worker"],
    };
    let started = names.iter().map(|name| Worker::start(place, address, name));
    let workers = started.collect::<Result<Vec<_>>>()?;
    let told = report(&workers, &first)?;
    ensure!(told["outcome"] == "rolled-out", "{told}");
    Ok(workers)
}

fn logs(workers: &[Worker]) -> String {
    workers.iter().map(Worker::log).collect()
}

/// How the roll of a commit ended, as soon as some worker tells.
fn report(workers: &[Worker], commit: &str) -> Result<Value> {
    let mut found = None;
    wait_until(SOON, || {
        let reports = workers
            .iter()
            .flat_map(|worker| worker.reports().unwrap_or_default());
        found = reports
            .into_iter()
            .find(|report| report["commit"] == commit);
        found.is_some()
    })
    .with_context(|| logs(workers))?;
    found.context("a report")
}

/// The gate of the broken commit would be waited for three minutes.
fn mend(broker: Option<&Broker>) -> Result<()> {
    let place = Place::make(&["vps1", "vps2"], "")?;
    let workers = workers(&place, broker)?;
    let broken = place.push("broken")?;
    ensure!(workers[0].hook("broken")? == 202);
    let begun = || place.times("vps1", "activated").len() > 1;
    wait_until(SOON, begun).with_context(|| logs(&workers))?;
    // Whoever does not roll is told, where there are two.
    let other = workers.iter().find(|worker| !worker.rolls());
    place.push("mended")?;
    ensure!(other.unwrap_or(&workers[0]).hook("mended")? == 202);
    wait_until(SOON, || place.holds("mended")).with_context(|| logs(&workers))?;
    let report = report(&workers, &broken)?;
    ensure!(report["outcome"] == "rolled-back", "{report}");
    ensure!(
        report["failure"]["step"] == "cancel",
        "the gate's deadline came first: {report}"
    );
    place.check_turns()
}

#[test]
#[ignore = "lab: needs root"]
fn a_mending_commit_does_not_wait_for_the_broken_one() -> Result<()> {
    mend(None)
}

#[test]
#[ignore = "lab: needs root"]
fn a_mending_commit_that_another_worker_is_told_of_does_not_wait() -> Result<()> {
    mend(Some(&Broker::start()?))
}

/// The first node's gate holds back its turn until the newer commit was noticed.
fn stop(broker: Option<&Broker>) -> Result<()> {
    let place = Place::make(&["vps1", "vps2"], ", on_newer_commit: stop")?;
    let workers = workers(&place, broker)?;
    place.lab.node("vps1").sh("touch /run/hold")?;
    let second = place.push("two")?;
    ensure!(workers[0].hook("two")? == 202);
    let begun = || place.times("vps1", "activated").len() > 1;
    wait_until(SOON, begun).with_context(|| logs(&workers))?;
    let third = place.push("three")?;
    ensure!(workers[0].hook("three")? == 202);
    let noticed = || logs(&workers).contains("a newer commit is there");
    wait_until(SOON, noticed).with_context(|| logs(&workers))?;
    place.lab.node("vps1").sh("rm /run/hold")?;
    wait_until(SOON, || place.holds("three")).with_context(|| logs(&workers))?;
    let told = report(&workers, &second)?;
    ensure!(
        told["outcome"] == "overtaken" && told["by"] == third.as_str(),
        "{told}"
    );
    ensure!(told["nodes"] == serde_json::json!(["vps1"]), "{told}");
    ensure!(told["left"] == serde_json::json!(["vps2"]), "{told}");
    ensure!(report(&workers, &third)?["outcome"] == "rolled-out");
    // One, two and three at the first node; two never came to the second one.
    let turns = ["vps1", "vps2"].map(|node| place.times(node, "activated").len());
    ensure!(turns == [3, 2], "{turns:?}");
    place.check_turns()
}

#[test]
#[ignore = "lab: needs root"]
fn where_the_policy_stops_a_newer_commit_goes_on_from_there() -> Result<()> {
    stop(None)
}

#[test]
#[ignore = "lab: needs root"]
fn where_the_policy_stops_another_worker_goes_on_from_there() -> Result<()> {
    stop(Some(&Broker::start()?))
}
