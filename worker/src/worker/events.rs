//! What a person sees and does of the queue, from beside the worker: lists, wakes a cluster, and sends dead events
//! once more or forgets them.

use anyhow::{Context as _, bail};
use uuid::Uuid;
use windlass_core::ids::ClusterName;

use super::ask::DATABASE;
use super::queues;
use crate::config::Config;
use crate::queue::{Answered, AnyQueue, Chosen, Event, EventKind, EventQueue as _, Queued};
use crate::store::Store;

/// More dead events of each kind are not looked at.
const MOST: u32 = 1000;

/// The queue of a worker's configuration.
#[derive(Debug)]
pub struct Events {
    queue: AnyQueue,
}

impl Events {
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let store = store(config)?;
        Ok(Self {
            queue: queues::open(config, &store)?,
        })
    }

    pub async fn list(&self, limit: u32) -> anyhow::Result<Vec<Queued>> {
        Ok(self.queue.list(limit).await?)
    }

    pub async fn show(&self, id: &str) -> anyhow::Result<Queued> {
        let found = self.queue.show(id).await?;
        found.with_context(|| format!("there is no event {id} here"))
    }

    pub async fn dead(&self) -> anyhow::Result<Vec<Queued>> {
        Ok(self.queue.dead_letters(MOST).await?)
    }

    pub async fn replay(&self, which: &Chosen) -> anyhow::Result<Answered> {
        Ok(self.queue.replay(which).await?)
    }

    pub async fn discard(&self, which: &Chosen) -> anyhow::Result<Answered> {
        Ok(self.queue.discard(which).await?)
    }

    pub async fn close(&self) {
        self.queue.close().await;
    }
}

/// Wakes the cluster's worker, running or not; gives the event's id.
pub async fn send(
    config: &Config,
    cluster: &ClusterName,
    kind: EventKind,
) -> anyhow::Result<String> {
    if !config.clusters.iter().any(|known| known.name == *cluster) {
        bail!("the worker's configuration watches no cluster named {cluster}");
    }
    let id = Uuid::new_v4().to_string();
    let event = Event::new(kind, "/cli", cluster, id.clone());
    queues::leave(config, store(config)?, &event).await?;
    Ok(id)
}

fn store(config: &Config) -> anyhow::Result<Store> {
    let path = config.state.join(DATABASE);
    if !path.exists() {
        bail!("there is no {}; has the worker ever run?", path.display());
    }
    Store::open(&path).with_context(|| format!("cannot open {}", path.display()))
}
