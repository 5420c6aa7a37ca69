//! Everything at once: the leader of a broker of three is killed again and again, three workers run and one of them is
//! killed now and then, and two hundred pushes arrive meanwhile. `WINDLASS_CHAOS_SEED` plays the same choices again.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use windlass_tests::broker::Broker;
use windlass_tests::lab::wait_until;

use super::place::{Place, SOON};
use super::worker::Worker;

const PUSHES: u64 = 200;
const QUEUE: &str = "windlass.v1.cluster.example";

/// Choices that follow from a seed.
struct Choices {
    seed: u64,
    made: u64,
}

impl Choices {
    fn below(&mut self, limit: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.made).hash(&mut hasher);
        self.made += 1;
        hasher.finish() % limit
    }
}

/// Kills the node that leads the cluster's queue, again and again, until it is told to stop.
fn kill_leaders(broker: &Broker, enough: &AtomicBool) -> Result<usize> {
    let mut killed = 0;
    while !enough.load(Ordering::Relaxed) {
        sleep(Duration::from_secs(5));
        let Ok(Some(leader)) = broker.leader("v0", QUEUE) else {
            continue;
        };
        leader.kill()?;
        sleep(Duration::from_secs(3));
        leader.start()?;
        killed += 1;
    }
    Ok(killed)
}

/// Pushes, tells one of the workers, and kills one of them with -9 now and then.
fn push_and_kill(place: &Place, workers: &mut [Worker], choices: &mut Choices) -> Result<usize> {
    let (mut accepted, mut killed) = (0, None);
    for push in 1..=PUSHES {
        place.push(&format!("version {push}"))?;
        let mut told = usize::try_from(choices.below(3))?;
        if killed == Some(told) {
            told = (told + 1) % 3;
        }
        let status = workers[told].hook(&format!("push-{push}"))?;
        ensure!(status == 202, "push {push}: {status}");
        accepted += 1;
        if choices.below(20) == 0 {
            match killed.take() {
                Some(dead) => workers[dead].run()?,
                None => {
                    workers[told].kill()?;
                    killed = Some(told);
                }
            }
        }
        sleep(Duration::from_millis(choices.below(300)));
    }
    if let Some(dead) = killed {
        workers[dead].run()?;
    }
    Ok(accepted)
}

#[test]
#[ignore = "lab: needs root"]
fn the_newest_commit_arrives_once_whatever_dies() -> Result<()> {
    let seed = match std::env::var("WINDLASS_CHAOS_SEED") {
        Ok(seed) => seed.parse().context("WINDLASS_CHAOS_SEED")?,
        Err(_) => u64::from(std::process::id()),
    };
    println!("WINDLASS_CHAOS_SEED={seed}");
    let mut choices = Choices { seed, made: 0 };
    let broker = Broker::cluster_of(3)?;
    let place = Place::make(&["vps1", "vps2"])?;
    place.push("version 0")?;
    let workers = (0..3).map(|n| {
        let address = broker.node(n).address();
        Worker::start(&place, address, &format!("worker-{n}"))
    });
    let mut workers = workers.collect::<Result<Vec<_>>>()?;
    wait_until(SOON, || place.holds("version 0")).with_context(|| workers[0].log())?;

    let enough = AtomicBool::new(false);
    let (killed, accepted) = scope(|scope| {
        let killing = scope.spawn(|| kill_leaders(&broker, &enough));
        let accepted = push_and_kill(&place, &mut workers, &mut choices);
        enough.store(true, Ordering::Relaxed);
        let killed = killing.join().expect("the killer of leaders");
        anyhow::Ok((killed?, accepted?))
    })?;
    println!("{killed} leaders were killed, {accepted} hooks accepted");
    ensure!(killed >= 2, "only {killed} leaders were killed");

    let newest = format!("version {PUSHES}");
    let everything = || workers.iter().map(Worker::log).collect::<String>();
    wait_until(2 * SOON, || place.holds(&newest)).with_context(everything)?;
    wait_until(SOON, || quiet(&workers)).with_context(everything)?;
    place.check_turns()?;
    check_outcomes(&workers)?;
    for worker in &workers {
        ensure!(!worker.log().contains("panicked"), "{}", worker.log());
    }
    Ok(())
}

/// No worker rolls, and no event waits, was lost on the way to the broker or was given up.
fn quiet(workers: &[Worker]) -> bool {
    workers.iter().all(|worker| {
        let events = worker.json("/api/v1/events").unwrap_or_default();
        let waits = |event: &serde_json::Value| {
            let state = event["state"].as_str().unwrap_or_default();
            event["event"]["type"] != "windlass.sweep.v1"
                && matches!(state, "ready" | "leased" | "dead")
        };
        let waits = events.as_array().is_none_or(|all| all.iter().any(waits));
        !waits && !worker.rolls()
    })
}

/// Whoever tells of a roll tells the same, and every commit that failed did so for a reason of the test's.
fn check_outcomes(workers: &[Worker]) -> Result<()> {
    let mut outcomes: BTreeMap<String, String> = BTreeMap::new();
    for worker in workers {
        for report in worker.reports()? {
            let outcome = report["outcome"].as_str().unwrap_or_default().to_owned();
            ensure!(outcome != "stuck", "{report}");
            if let Some(roll) = report["roll"].as_str() {
                let told = outcomes.entry(roll.to_owned()).or_insert(outcome.clone());
                ensure!(*told == outcome, "{roll} was {told} and {outcome}");
            }
        }
    }
    println!("{} rolls: {outcomes:?}", outcomes.len());
    ensure!(outcomes.values().any(|outcome| outcome == "rolled-out"));
    Ok(())
}
