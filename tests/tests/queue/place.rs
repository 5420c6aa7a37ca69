//! A broker with queues on it, and a database for each.

use std::time::Duration;

use anyhow::{Context, Result};
use windlass::queue::amqp::{AmqpQueue, Settings};
use windlass::queue::{Chosen, Event, EventKind, EventQueue, Lease};
use windlass::store::Store;
use windlass_core::ids::ClusterName;
use windlass_tests::broker::{Broker, Version};

/// Long enough for a machine that builds at the same time, and for a broker that starts.
pub const SOON: Duration = Duration::from_secs(120);

/// Each of these tests with each release of RabbitMQ that Windlass works with.
macro_rules! on_each_broker {
    ($($test:ident),+ $(,)?) => {
        mod rabbitmq_3 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() -> anyhow::Result<()> {
                super::$test(windlass_tests::broker::Version::V3).await
            })+
        }
        mod rabbitmq_4 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() -> anyhow::Result<()> {
                super::$test(windlass_tests::broker::Version::V4).await
            })+
        }
    };
}
pub(crate) use on_each_broker;

pub struct Place {
    pub broker: Broker,
    dir: tempfile::TempDir,
}

impl Place {
    pub fn start(version: Version) -> Result<Self> {
        Ok(Self {
            broker: Broker::of(version, 1)?,
            dir: tempfile::tempdir()?,
        })
    }

    /// A database of a worker with this name.
    pub fn store(&self, database: &str) -> Result<Store> {
        Ok(Store::open(
            &self.dir.path().join(format!("{database}.db")),
        )?)
    }

    /// A queue of a worker whose database has this name.
    pub fn queue(&self, url: &str, database: &str, patience: Duration) -> Result<AmqpQueue> {
        let store = self.store(database)?;
        Ok(AmqpQueue::start(Settings::new(url)?, store, patience))
    }
}

pub fn cluster() -> ClusterName {
    "example".parse().expect("a name")
}

pub fn event(id: &str) -> Event {
    Event::new(EventKind::Moved, "/test", &cluster(), id)
}

/// What keeps the queue from its broker, once that is told with these words.
pub async fn trouble(queue: &AmqpQueue, words: &str) -> Result<()> {
    let mut said = String::new();
    let told = async {
        while !said.contains(words) {
            if let Err(error) = queue.discard(&Chosen::one("none")).await {
                said = error.to_string();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let told = tokio::time::timeout(SOON, told).await;
    told.with_context(|| format!("{words} was not told, but: {said}"))
}

pub async fn take(queue: &AmqpQueue) -> Result<Lease> {
    let cluster = cluster();
    let next = tokio::time::timeout(SOON, queue.next(&cluster));
    Ok(next.await.context("no event came")??)
}
