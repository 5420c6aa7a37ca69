//! How long it takes from `git push` until the first node is changed, through either queue: the repository's hook, the
//! event, fetch, render, checks, plan, and all nodes staged and checked. Only the queue differs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::numbers::{Spread, millis, shown};
use super::workspace::succeed;
use crate::broker::Broker;
use crate::cluster::{Cluster, Worker};
use crate::lab::{Lab, wait_until};

/// Longer than any roll takes.
const PATIENCE: Duration = Duration::from_secs(180);
/// Asking takes some milliseconds by itself.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What a node is said to do when its files are replaced.
const CHANGED: &str = "is changed";

#[derive(Debug, Serialize)]
pub struct Pushes {
    pub embedded: Spread,
    pub amqp: Spread,
}

pub fn pushes(lab: &Lab, rounds: usize) -> Result<Pushes> {
    let cluster = Cluster::make(lab)?;
    let embedded = measure(&cluster, &cluster.worker()?, "embedded", rounds)?;
    let broker = Broker::start()?;
    let worker = cluster.worker_at(&broker, "v0")?;
    let amqp = measure(&cluster, &worker, "RabbitMQ", rounds)?;
    Ok(Pushes { embedded, amqp })
}

fn measure(cluster: &Cluster, worker: &Worker, queue: &str, rounds: usize) -> Result<Spread> {
    install_hook(cluster, worker)?;
    // The first one is not counted: the worker fills its caches and connects.
    push(cluster, worker, &format!("{queue}, first"))?;
    let mut times = Vec::new();
    for round in 1..=rounds {
        let time = push(cluster, worker, &format!("{queue}, {round}"))?;
        eprintln!("bench: push {round} through {queue}: {}", shown(time));
        times.push(time);
    }
    Spread::of(&times).context("no rounds")
}

fn install_hook(cluster: &Cluster, worker: &Worker) -> Result<()> {
    let hook = cluster.bare().join("hooks/post-receive");
    fs::create_dir_all(cluster.bare().join("hooks"))?;
    fs::copy(cluster.checkout().join("hooks/post-receive"), &hook)?;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
    let set = |name: &str, value: &str| {
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(cluster.bare());
        succeed(git.args(["config", name, value]))
    };
    set("windlass.url", &format!("{}/hooks/git", worker.url()))?;
    set(
        "windlass.secretFile",
        &worker.hook_secret().display().to_string(),
    )
}

/// Changes a file of every edge node; milliseconds until the first one is.
fn push(cluster: &Cluster, worker: &Worker, what: &str) -> Result<f64> {
    let template = "components/haproxy/haproxy.cfg.tera";
    cluster.append(template, &format!("# {what}\n"))?;
    let commit = cluster.commit(what)?;
    let began = Instant::now();
    cluster.push()?;
    let changed = loop {
        let live = worker.live()?;
        if live.iter().any(|(_, state)| state.starts_with(CHANGED)) {
            break began.elapsed();
        }
        ensure!(
            began.elapsed() < PATIENCE && worker.report(&commit)?.is_none(),
            "no node was seen changed:\n{}",
            worker.log_tail(20)
        );
        sleep(LOOK_EVERY);
    };
    let mut outcome = None;
    wait_until(PATIENCE, || {
        outcome = worker.report(&commit).ok().flatten();
        outcome.is_some()
    })
    .context("the roll does not end")?;
    let outcome = outcome.context("no outcome")?;
    ensure!(outcome.outcome == "rolled-out", "{}", outcome.text);
    Ok(millis(changed))
}
