//! A broker with queues on it, and a database for each.

use std::time::Duration;

use anyhow::{Context, Result};
use windlass::queue::amqp::{AmqpQueue, Settings};
use windlass::queue::{Event, EventKind, EventQueue, Lease};
use windlass::store::Store;
use windlass_core::ids::ClusterName;
use windlass_tests::broker::Broker;

/// Long enough for a machine that builds at the same time, and for a broker that starts.
pub const SOON: Duration = Duration::from_secs(120);

pub struct Place {
    pub broker: Broker,
    dir: tempfile::TempDir,
}

impl Place {
    pub fn start() -> Result<Self> {
        Ok(Self {
            broker: Broker::start()?,
            dir: tempfile::tempdir()?,
        })
    }

    /// A queue of a worker whose database has this name.
    pub fn queue(&self, url: &str, database: &str, patience: Duration) -> Result<AmqpQueue> {
        let store = Store::open(&self.dir.path().join(format!("{database}.db")))?;
        Ok(AmqpQueue::start(Settings::new(url)?, store, patience))
    }
}

pub fn cluster() -> ClusterName {
    "example".parse().expect("a name")
}

pub fn event(id: &str) -> Event {
    Event::new(EventKind::Moved, "/test", &cluster(), id)
}

pub async fn take(queue: &AmqpQueue) -> Result<Lease> {
    let cluster = cluster();
    let next = tokio::time::timeout(SOON, queue.next(&cluster));
    Ok(next.await.context("no event came")??)
}
