//! Comparing the nodes is shared out, and not multiplied by the number of workers.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use windlass_tests::broker::Broker;
use windlass_tests::lab::wait_until;

use super::place::{Place, SOON};
use super::worker::Worker;

#[test]
#[ignore = "lab: needs root"]
fn three_workers_compare_the_nodes_once_in_each_span_of_time() -> Result<()> {
    let broker = Broker::start()?;
    let place = Place::make(&["vps1"], "")?;
    place.push("one")?;
    let address = broker.node(0).address();
    let names = ["worker-a", "worker-b", "worker-c"];
    let started = names.map(|name| Worker::start_with(&place, Some(address), name, "3s"));
    let workers = started.into_iter().collect::<Result<Vec<_>>>()?;
    wait_until(SOON, || place.holds("one")).with_context(|| workers[0].log())?;
    let mut done = BTreeMap::new();
    wait_until(SOON, || {
        done = compared(&workers);
        done.len() >= 8
    })
    .with_context(|| format!("{done:?}"))?;
    for (id, by) in &done {
        ensure!(by.len() == 1, "{id} was worked on by {by:?}");
        ensure!(
            id.starts_with("timer:example:"),
            "{id} is nobody's but one worker's"
        );
    }
    let by: BTreeSet<&usize> = done.values().flatten().collect();
    ensure!(by.len() > 1, "one worker had them all: {done:?}");
    Ok(())
}

/// The comparisons that were made, and by whom.
fn compared(workers: &[Worker]) -> BTreeMap<String, Vec<usize>> {
    let mut done = BTreeMap::<String, Vec<usize>>::new();
    for (n, worker) in workers.iter().enumerate() {
        let events = worker.json("/api/v1/events?limit=500").unwrap_or_default();
        for queued in events.as_array().into_iter().flatten() {
            let event = &queued["event"];
            if event["type"] == "windlass.drift.due.v1" && queued["state"] == "done" {
                let id = event["id"].as_str().unwrap_or_default().to_owned();
                done.entry(id).or_default().push(n);
            }
        }
    }
    done
}
