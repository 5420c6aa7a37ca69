//! The queue that the configuration names.

use std::time::Duration;

use windlass_core::ids::ClusterName;

use super::amqp::AmqpQueue;
use super::embedded::EmbeddedQueue;
use super::{
    Answered, Chosen, Event, EventQueue, Lease, Published, QueueError, QueueFigures, Queued,
};

#[derive(Debug, Clone)]
pub enum AnyQueue {
    Embedded(EmbeddedQueue),
    Amqp(AmqpQueue),
}

impl AnyQueue {
    /// Several workers take turns: another one may take the next event.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Amqp(_))
    }

    /// What must end before the program does.
    pub async fn close(&self) {
        match self {
            Self::Embedded(_) => {}
            Self::Amqp(queue) => queue.close().await,
        }
    }
}

impl EventQueue for AnyQueue {
    async fn publish(&self, event: &Event) -> Result<Published, QueueError> {
        match self {
            Self::Embedded(queue) => queue.publish(event).await,
            Self::Amqp(queue) => queue.publish(event).await,
        }
    }

    async fn next(&self, cluster: &ClusterName) -> Result<Lease, QueueError> {
        match self {
            Self::Embedded(queue) => queue.next(cluster).await,
            Self::Amqp(queue) => queue.next(cluster).await,
        }
    }

    async fn next_shared(&self, clusters: &[ClusterName]) -> Result<Lease, QueueError> {
        match self {
            Self::Embedded(queue) => queue.next_shared(clusters).await,
            Self::Amqp(queue) => queue.next_shared(clusters).await,
        }
    }

    async fn came(&self, cluster: &ClusterName) {
        match self {
            Self::Embedded(queue) => queue.came(cluster).await,
            Self::Amqp(queue) => queue.came(cluster).await,
        }
    }

    fn patience(&self) -> Duration {
        match self {
            Self::Embedded(queue) => queue.patience(),
            Self::Amqp(queue) => queue.patience(),
        }
    }

    async fn extend(&self, lease: &Lease) -> Result<(), QueueError> {
        match self {
            Self::Embedded(queue) => queue.extend(lease).await,
            Self::Amqp(queue) => queue.extend(lease).await,
        }
    }

    async fn ack(&self, lease: Lease, then: &[Event]) -> Result<(), QueueError> {
        match self {
            Self::Embedded(queue) => queue.ack(lease, then).await,
            Self::Amqp(queue) => queue.ack(lease, then).await,
        }
    }

    async fn retry(&self, lease: Lease, delay: Duration, why: &str) -> Result<(), QueueError> {
        match self {
            Self::Embedded(queue) => queue.retry(lease, delay, why).await,
            Self::Amqp(queue) => queue.retry(lease, delay, why).await,
        }
    }

    async fn dead(&self, lease: Lease, why: &str) -> Result<(), QueueError> {
        match self {
            Self::Embedded(queue) => queue.dead(lease, why).await,
            Self::Amqp(queue) => queue.dead(lease, why).await,
        }
    }

    async fn ready(&self) -> Result<(), QueueError> {
        match self {
            Self::Embedded(queue) => queue.ready().await,
            Self::Amqp(queue) => queue.ready().await,
        }
    }

    async fn figures(&self) -> QueueFigures {
        match self {
            Self::Embedded(queue) => queue.figures().await,
            Self::Amqp(queue) => queue.figures().await,
        }
    }

    async fn list(&self, limit: u32) -> Result<Vec<Queued>, QueueError> {
        match self {
            Self::Embedded(queue) => queue.list(limit).await,
            Self::Amqp(queue) => queue.list(limit).await,
        }
    }

    async fn show(&self, id: &str) -> Result<Option<Queued>, QueueError> {
        match self {
            Self::Embedded(queue) => queue.show(id).await,
            Self::Amqp(queue) => queue.show(id).await,
        }
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<Queued>, QueueError> {
        match self {
            Self::Embedded(queue) => queue.dead_letters(limit).await,
            Self::Amqp(queue) => queue.dead_letters(limit).await,
        }
    }

    async fn replay(&self, which: &Chosen) -> Result<Answered, QueueError> {
        match self {
            Self::Embedded(queue) => queue.replay(which).await,
            Self::Amqp(queue) => queue.replay(which).await,
        }
    }

    async fn discard(&self, which: &Chosen) -> Result<Answered, QueueError> {
        match self {
            Self::Embedded(queue) => queue.discard(which).await,
            Self::Amqp(queue) => queue.discard(which).await,
        }
    }
}
