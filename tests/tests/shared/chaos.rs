//! Everything at once: the leader of a broker of three is killed again and again, three workers run and one of them is
//! killed now and then, and two hundred pushes arrive meanwhile. Nothing but the hooks' events tells the workers of a push.
//! `WINDLASS_CHAOS_SEED` plays the same choices again.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use windlass_tests::broker::{Broker, BrokerNode};
use windlass_tests::lab::wait_until;

use super::place::{Place, SOON};
use super::worker::Worker;

const PUSHES: u64 = 200;
/// The last ones come when all workers run, so that no worker's start brings the newest commit.
const CALM: u64 = 5;
/// So many pushes may come before a leader that is due to be killed or started: a slow broker must not be spared.
const SLACK: u64 = 15;
const QUEUE: &str = "windlass.v1.cluster.example";

/// Choices that follow from a seed; each thread has its own row of them.
struct Choices {
    seed: u64,
    row: &'static str,
    made: u64,
}

impl Choices {
    fn new(seed: u64, row: &'static str) -> Self {
        let made = 0;
        Self { seed, row, made }
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.row, self.made).hash(&mut hasher);
        self.made += 1;
        least + hasher.finish() % (most - least + 1)
    }
}

/// How many pushes were accepted so far, and how many may be before more has been killed.
#[derive(Default)]
struct Progress {
    accepted: AtomicU64,
    allowed: AtomicU64,
}

impl Progress {
    fn allow(&self, count: u64) {
        self.allowed.store(count, Ordering::SeqCst);
    }

    /// Until this push may be made.
    fn may_push(&self, push: u64) -> Result<()> {
        wait_until(5 * SOON, || push <= self.allowed.load(Ordering::SeqCst))
    }

    fn accept(&self, push: u64) {
        self.accepted.store(push, Ordering::SeqCst);
    }

    /// Until so many were accepted; whether there are more to come.
    fn reach(&self, count: u64) -> Result<bool> {
        self.allow(count + SLACK);
        let accepted = || self.accepted.load(Ordering::SeqCst);
        wait_until(5 * SOON, || accepted() >= count.min(PUSHES))?;
        Ok(accepted() < PUSHES)
    }
}

/// Kills the node that leads the cluster's queue, and starts it again after some more pushes.
fn kill_leaders(broker: &Broker, progress: &Progress, mut choices: Choices) -> Result<usize> {
    let (mut killed, mut at) = (0, 0);
    loop {
        at += choices.between(5, 15);
        if !progress.reach(at)? {
            return Ok(killed);
        }
        let leader = leader(broker)?;
        leader.kill()?;
        killed += 1;
        at += choices.between(3, 10);
        progress.reach(at)?;
        leader.start()?;
        at = at.max(progress.accepted.load(Ordering::SeqCst));
    }
}

fn leader(broker: &Broker) -> Result<&BrokerNode> {
    let mut found = None;
    wait_until(SOON, || {
        found = broker.leader("v0", QUEUE).ok().flatten();
        found.is_some()
    })?;
    found.context("a leader")
}

/// Pushes, tells one of the workers, and kills one of them with -9 now and then. How often one was killed.
fn push_and_kill(
    place: &Place,
    workers: &mut [Worker],
    progress: &Progress,
    mut choices: Choices,
) -> Result<usize> {
    let (mut kills, mut dead) = (0, None);
    let mut next = choices.between(10, 20);
    for push in 1..=PUSHES {
        progress.may_push(push)?;
        place.push(&format!("version {push}"))?;
        let mut told = usize::try_from(choices.between(0, 2))?;
        if dead == Some(told) {
            told = (told + 1) % 3;
        }
        let status = workers[told].hook(&format!("push-{push}"))?;
        ensure!(status == 202, "push {push}: {status}");
        progress.accept(push);
        if push == next || push == PUSHES - CALM {
            next = push + choices.between(5, 20);
            match dead.take() {
                Some(worker) => workers[worker].run()?,
                None if push < PUSHES - CALM => {
                    // The one that was told just now has it nowhere but in its own database.
                    workers[told].kill()?;
                    kills += 1;
                    dead = Some(told);
                }
                None => {}
            }
            if push + CALM >= PUSHES {
                next = 0;
            }
        }
        sleep(Duration::from_millis(choices.between(0, 300)));
    }
    Ok(kills)
}

#[test]
#[ignore = "lab: needs root"]
fn the_newest_commit_arrives_once_whatever_dies() -> Result<()> {
    let seed = match std::env::var("WINDLASS_CHAOS_SEED") {
        Ok(seed) => seed.parse().context("WINDLASS_CHAOS_SEED")?,
        Err(_) => u64::from(std::process::id()),
    };
    println!("WINDLASS_CHAOS_SEED={seed}");
    let broker = Broker::cluster_of(3)?;
    let place = Place::make(&["vps1", "vps2"], "")?;
    place.push("version 0")?;
    let workers = (0..3).map(|n| {
        let address = broker.node(n).address();
        Worker::start(&place, Some(address), &format!("worker-{n}"))
    });
    let mut workers = workers.collect::<Result<Vec<_>>>()?;
    wait_until(SOON, || place.holds("version 0")).with_context(|| workers[0].log())?;

    let progress = Progress::default();
    let (leaders, killed) = scope(|scope| {
        let killing = scope.spawn(|| {
            let killed = kill_leaders(&broker, &progress, Choices::new(seed, "leaders"));
            // Where the killer failed, the pushes must not wait for it.
            progress.allow(PUSHES);
            killed
        });
        let pushing = push_and_kill(
            &place,
            &mut workers,
            &progress,
            Choices::new(seed, "workers"),
        );
        // Where the pushes failed, the killer must not wait for more of them.
        progress.accept(PUSHES);
        let leaders = killing.join().expect("the killer of leaders");
        anyhow::Ok((leaders?, pushing?))
    })?;
    println!("{leaders} leaders and {killed} workers were killed, {PUSHES} hooks accepted");
    ensure!(leaders >= 3, "only {leaders} leaders were killed");
    ensure!(killed >= 3, "only {killed} workers were killed");

    let newest = format!("version {PUSHES}");
    let everything = || workers.iter().map(Worker::log).collect::<String>();
    wait_until(2 * SOON, || place.holds(&newest)).with_context(everything)?;
    check_events(&workers).with_context(everything)?;
    wait_until(SOON, || quiet(&workers)).with_context(everything)?;
    place.check_turns()?;
    check_outcomes(&workers).with_context(everything)?;
    for worker in &workers {
        ensure!(!worker.log().contains("panicked"), "{}", worker.log());
    }
    Ok(())
}

/// Each event that a hook was answered for was worked on by some worker.
fn check_events(workers: &[Worker]) -> Result<()> {
    let mut missing: Vec<String> = (1..=PUSHES)
        .map(|push| format!("hook:example:push-{push}"))
        .collect();
    let done = |id: &String| {
        workers.iter().any(|worker| {
            let event = worker.json(&format!("/api/v1/events/{id}"));
            event.is_ok_and(|event| event["state"] == "done")
        })
    };
    let all = wait_until(3 * SOON, || {
        missing.retain(|id| !done(id));
        missing.is_empty()
    });
    all.with_context(|| format!("never worked on: {missing:?}"))
}

/// No worker rolls, and no event waits, was lost on the way to the broker or was given up.
fn quiet(workers: &[Worker]) -> bool {
    workers.iter().all(|worker| {
        // Those that are not done come first.
        let events = worker.json("/api/v1/events?limit=500").unwrap_or_default();
        let waits = |event: &serde_json::Value| {
            let state = event["state"].as_str().unwrap_or_default();
            matches!(state, "ready" | "leased" | "dead")
        };
        let waits = events.as_array().is_none_or(|all| all.iter().any(waits));
        !waits && !worker.rolls()
    })
}

/// Each roll of which a turn was begun has an outcome, and whoever tells of a roll tells the same.
fn check_outcomes(workers: &[Worker]) -> Result<()> {
    let mut outcomes: BTreeMap<String, String> = BTreeMap::new();
    let mut begun = BTreeSet::new();
    for worker in workers {
        for report in worker.reports()? {
            let outcome = report["outcome"].as_str().unwrap_or_default().to_owned();
            ensure!(outcome != "stuck", "{report}");
            if let Some(roll) = report["roll"].as_str() {
                let told = outcomes.entry(roll.to_owned()).or_insert(outcome.clone());
                ensure!(*told == outcome, "{roll} was {told} and {outcome}");
            }
        }
        begun.extend(worker.begun());
    }
    println!("{} rolls: {outcomes:?}", outcomes.len());
    let told = |roll: &&String| outcomes.contains_key(*roll);
    let untold: Vec<_> = begun.iter().filter(|roll| !told(roll)).collect();
    ensure!(untold.is_empty(), "begun, and no end was told: {untold:?}");
    ensure!(begun.len() > 1, "only {begun:?} were begun");
    // What comes in bursts becomes one roll of the newest.
    ensure!(begun.len() < usize::try_from(PUSHES)?, "{begun:?}");
    ensure!(outcomes.values().any(|outcome| outcome == "rolled-out"));
    Ok(())
}
