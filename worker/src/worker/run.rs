//! Puts the worker together, and takes it apart when it is asked to stop.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ask::DATABASE;
use super::consumer::consume;
use super::desk;
use super::handler::{Comparer, Deployer};
use super::hooks;
use super::lookout::Lookout;
use super::orders;
use super::queues;
use super::requests;
use super::shared::{self, Handlers, share};
use super::systemd::{tell, watchdog};
use super::watcher::{Pace, Watcher};
use crate::certificates::Sightings;
use crate::challenges::Challenges;
use crate::check::{Checker, Limits, Sandbox};
use crate::config::{ClusterConfig, Config};
use crate::flow::deploy::Deploy;
use crate::flow::fleet::SshFleet;
use crate::flow::newer::Newer;
use crate::flow::trial::Trial;
use crate::flow::turn::{Handover, MAX_MESSAGE_BYTES, UnderWay};
use crate::inbound::challenge;
use crate::inbound::{connections, server};
use crate::live::Live;
use crate::probe::NetProber;
use crate::queue::{AnyQueue, EventKind};
use crate::store::Store;
use crate::web::api::Api;

/// Runs until SIGTERM or SIGINT, and then until the turn under way has ended.
pub async fn run(config: Config) -> anyhow::Result<()> {
    make_private(&config.state)?;
    let _owner = own(&config.state)?;
    let store = Store::open(&config.state.join(DATABASE))?;
    let queue = queues::open(&config, &store)?;
    if let AnyQueue::Embedded(queue) = &queue {
        queue.reclaim().await?;
    }
    let ran = work(config, store, &queue).await;
    queue.close().await;
    ran
}

async fn work(config: Config, store: Store, queue: &AnyQueue) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let prober = Arc::new(NetProber::new(config.ca_file.as_deref())?);
    let api = Arc::new(api(&config, &store, queue));
    let mut tasks = JoinSet::new();
    let challenges = Challenges::default();
    if let Some(serving) = listen(&config, &api, queue, &challenges, &stop).await? {
        tasks.spawn(serving);
    }
    if let Some(serving) = answer(&config, &challenges, &stop).await? {
        tasks.spawn(serving);
    }
    let mut deployers = Vec::new();
    for cluster in &config.clusters {
        let deployer = deployer(&config, cluster, &api, &prober, &stop)?;
        deployers.push((cluster, Arc::new(deployer)));
    }
    for (_, deployer) in &deployers {
        // What the last worker left comes before anything else. Trouble is tried again with the first event.
        deployer.recover().await;
    }
    let mut handlers = Handlers::default();
    for (cluster, deployer) in deployers {
        let comparer = Comparer(Arc::clone(&deployer));
        handlers.on(&cluster.name, EventKind::Probe, comparer);
        if let Some(poller) = requests::of(&config, cluster, (&deployer, queue), &mut handlers)? {
            tasks.spawn(end(poller.run(stop.clone())));
        }
        let watcher = watcher(&config, cluster, queue, &deployer);
        tasks.spawn(end(watcher.run(stop.clone())));
        if config.acme.is_some() {
            let of = (&config, &cluster.value);
            let caller = orders::of(of, queue, &challenges, &deployer, &mut handlers)?;
            tasks.spawn(end(caller.run(stop.clone())));
        }
        let lookout = Lookout {
            desk: desk::of(&config, cluster, &api.store)?,
            prober: Arc::clone(&prober),
            sightings: api.sightings.clone(),
            rolled: Arc::clone(&deployer.changed),
        };
        tasks.spawn(end(lookout.run(stop.clone())));
        let name = cluster.name.clone();
        tasks.spawn(end(consume(queue.clone(), deployer, name, stop.clone())));
    }
    let names = config.clusters.iter().map(|c| c.name.clone()).collect();
    let sharing = share(
        queue.clone(),
        Arc::new(handlers),
        names,
        shared::GOODBYE,
        stop.clone(),
    );
    tasks.spawn(end(sharing));
    tokio::spawn(watchdog(store));
    api.ready.store(true, Ordering::Release);
    tell(&[NotifyState::Ready, NotifyState::Status("watching")]);
    tracing::info!(clusters = config.clusters.len(), "the worker is ready");
    until_told(&mut tasks, &stop).await
}

/// Waits for a signal, or for a task that must not end; then for all to end.
async fn until_told(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut result = Ok(());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = tasks.join_next() => {
            let ended = ended.context("the worker has nothing to do")?;
            let ended = ended.context("a task broke").flatten();
            result = ended.and_then(|()| Err(anyhow::anyhow!("a task ended by itself")));
        }
    }
    // The signals stay caught: a second one does not cut a node's turn short.
    tracing::info!("stopping; a turn under way is ended or taken back first");
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("ending the turn under way"),
    ]);
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.context("a task broke").flatten();
        result = result.and(ended);
    }
    tracing::info!("stopped");
    result
}

async fn end(task: impl Future<Output = ()>) -> anyhow::Result<()> {
    task.await;
    Ok(())
}

fn make_private(dir: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    let made = builder.create(dir);
    made.with_context(|| format!("cannot make the state directory {}", dir.display()))
}

/// One worker for each state directory; the lock goes with the process.
fn own(state: &Path) -> anyhow::Result<fs::File> {
    let path = state.join("worker.lock");
    let lock =
        fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("another worker uses {}", state.display())
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

fn api(config: &Config, store: &Store, queue: &AnyQueue) -> Api<AnyQueue> {
    let clusters: BTreeSet<_> = config.clusters.iter().map(|c| c.name.clone()).collect();
    Api {
        store: store.clone(),
        queue: queue.clone(),
        clusters,
        live: Live::default(),
        sightings: Sightings::default(),
        ready: AtomicBool::new(false),
    }
}

/// The server as a task, where one is configured. Its address is taken before the worker says that it is ready.
async fn listen(
    config: &Config,
    api: &Arc<Api<AnyQueue>>,
    queue: &AnyQueue,
    challenges: &Challenges,
    stop: &CancellationToken,
) -> anyhow::Result<Option<impl Future<Output = anyhow::Result<()>> + use<>>> {
    let Some(address) = &config.listen else {
        return Ok(None);
    };
    let address = address.value;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let hooks = config.hook.as_ref();
    let hooks = hooks.map(|hook| hooks::of(config, hook, queue));
    let commands = hooks::commands(config, api);
    let router = server::router(Arc::clone(api), commands, hooks, challenges.clone());
    let stop = stop.clone();
    Ok(Some(async move {
        connections::serve(listener, router, stop).await;
        Ok(())
    }))
}

/// The address that answers authorities and nothing else, where one is configured.
async fn answer(
    config: &Config,
    challenges: &Challenges,
    stop: &CancellationToken,
) -> anyhow::Result<Option<impl Future<Output = anyhow::Result<()>> + use<>>> {
    let address = config.acme.as_ref().and_then(|acme| acme.listen.as_ref());
    let Some(address) = address.map(|at| at.value) else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "answering certificate authorities");
    let (router, stop) = (challenge::router(challenges.clone()), stop.clone());
    Ok(Some(async move {
        connections::serve(listener, router, stop).await;
        Ok(())
    }))
}

fn deployer(
    config: &Config,
    cluster: &ClusterConfig,
    api: &Api<AnyQueue>,
    prober: &Arc<NetProber>,
    stop: &CancellationToken,
) -> anyhow::Result<Deployer<SshFleet>> {
    let desk = desk::of(config, cluster, &api.store)?;
    let review = requests::review(config, cluster, &desk.source, &api.store)?;
    let deploy = Deploy {
        cluster: cluster.name.clone(),
        source: desk.source,
        materials: desk.directories,
        ledger: desk.ledger,
        checker: Checker::new(Sandbox::new(Limits::default())),
        memory: Arc::default(),
        trial: Some(Trial::of_this_program()),
        fleet: SshFleet {
            key: config.ssh.identity_file.clone(),
            prober: Arc::clone(prober),
        },
        store: api.store.clone(),
        live: api.live.clone(),
        state: config.state.clone(),
        holder: format!("worker-{}", Uuid::new_v4().simple()),
        handover: if api.queue.is_shared() {
            Handover::EachTurn
        } else {
            Handover::Never
        },
        under_way: UnderWay::default(),
        largest_message: MAX_MESSAGE_BYTES,
        newer: Arc::new(Newer::default()),
        review,
        stop: stop.clone(),
    };
    Ok(Deployer::new(deploy))
}

fn watcher(
    config: &Config,
    cluster: &ClusterConfig,
    queue: &AnyQueue,
    deployer: &Deployer<SshFleet>,
) -> Watcher<AnyQueue> {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds.max(1)));
    Watcher {
        cluster: cluster.name.clone(),
        queue: queue.clone(),
        source: deployer.deploy.source.clone(),
        pace: Pace {
            poll: seconds(cluster.poll.get()),
            sweep: seconds(config.sweep.get()),
        },
        newer: Arc::clone(&deployer.deploy.newer),
        behind: Arc::clone(&deployer.behind),
    }
}
