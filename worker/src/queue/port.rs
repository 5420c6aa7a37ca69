//! What the worker needs of a queue. Two backends keep it: the embedded one, and a message broker.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use windlass_core::ids::ClusterName;

use super::{Answered, Chosen, Event, Queued};

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The backend is away or failed; the caller tries again.
    #[error("the queue failed: {0}")]
    Backend(String),
    /// The lease ran out, and someone else may have the event.
    #[error("the event {0} is not held any more")]
    Lost(String),
    #[error("there is no event {0} among those given up")]
    Unknown(String),
}

/// An event that was taken and not yet answered. It comes back by itself when it is not answered in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub event: Event,
    /// 1 at the first delivery.
    pub attempt: u32,
    /// How often the work on it broke before. An attempt that merely came too early breaks nothing.
    pub breaks: u32,
    /// The backend's own word for this delivery.
    pub token: String,
}

impl Lease {
    /// The work on it broke; `retry` and `dead` keep the count with the event.
    pub fn broken(mut self) -> Self {
        self.breaks = self.breaks.saturating_add(1);
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    New,
    /// An event with this id is known already.
    Known,
}

/// The queues in figures, each under its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Whether there is a session with the broker; `None` where there is no broker.
    pub connected: Option<bool>,
    pub queues: BTreeMap<String, Figures>,
}

/// One queue in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// What nobody was given; `None`: the broker did not say.
    pub ready: Option<u64>,
    /// What this worker was given and has not answered.
    pub held: u64,
    /// When the oldest event was published that can be seen from here.
    pub oldest: Option<Timestamp>,
    /// How often events that are still remembered here had to be tried again.
    pub retries: u64,
}

impl Figures {
    pub(super) fn saw(&mut self, published: Timestamp) {
        let oldest = self.oldest.get_or_insert(published);
        *oldest = (*oldest).min(published);
    }
}

/// The longest wait before another attempt.
const MAX_DELAY: Duration = Duration::from_secs(300);

/// How long to wait after the given attempt failed: 5 s, doubling, at most five minutes.
pub fn delay_after(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(10);
    Duration::from_secs(5 * (1 << doublings)).min(MAX_DELAY)
}

pub trait EventQueue: Send + Sync {
    /// Returns when the event is durable.
    fn publish(&self, event: &Event) -> impl Future<Output = Result<Published, QueueError>> + Send;

    /// Waits for an event of this cluster's own lane and takes it. While it is held no other of that
    /// lane is given out. One that waits for another attempt does not block those behind it. A roll's next turn comes
    /// first, then the oldest.
    fn next(&self, cluster: &ClusterName)
    -> impl Future<Output = Result<Lease, QueueError>> + Send;

    /// Waits for an event of the shared lane of one of these clusters and takes it. Any number may be held at once, here
    /// and at other workers; only where `EventKind::is_serial` says so one for each cluster. The oldest comes first.
    fn next_shared(
        &self,
        clusters: &[ClusterName],
    ) -> impl Future<Output = Result<Lease, QueueError>> + Send;

    /// Waits until an event may have come into this cluster's own lane, taken or not. It may come back too often, and may
    /// miss what comes between two calls.
    fn came(&self, cluster: &ClusterName) -> impl Future<Output = ()> + Send;

    /// How long an event may be held without `extend`.
    fn patience(&self) -> Duration;

    /// Holds the event for another `patience`.
    fn extend(&self, lease: &Lease) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Done; it never comes again. `then` is what follows from it: durable before the event is forgotten, so
    /// that a crash in between repeats the event and never loses what comes next.
    fn ack(
        &self,
        lease: Lease,
        then: &[Event],
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// To be given out again after `delay`, with the lease's count of breaks.
    fn retry(
        &self,
        lease: Lease,
        delay: Duration,
        why: &str,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Gives up: it waits among the dead for a person.
    fn dead(&self, lease: Lease, why: &str) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Whether events can be published: what a readiness probe asks again and again.
    fn ready(&self) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// For metrics.
    fn figures(&self) -> impl Future<Output = QueueFigures> + Send;

    /// Events that are not done, those given up first, and the latest that are, newest first.
    fn list(&self, limit: u32) -> impl Future<Output = Result<Vec<Queued>, QueueError>> + Send;

    fn show(&self, id: &str) -> impl Future<Output = Result<Option<Queued>, QueueError>> + Send;

    /// Those that were given up, of each kind at most so many.
    fn dead_letters(
        &self,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Queued>, QueueError>> + Send;

    /// Gives dead events out once more, with attempts and breaks counted from the beginning. None is touched where one of
    /// those named is not there.
    fn replay(&self, which: &Chosen) -> impl Future<Output = Result<Answered, QueueError>> + Send;

    /// Forgets dead events. None is touched where one of those named is not there.
    fn discard(&self, which: &Chosen) -> impl Future<Output = Result<Answered, QueueError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit() {
        let seconds: Vec<u64> = (0..12).map(|n| delay_after(n).as_secs()).collect();
        assert_eq!(
            seconds,
            [5, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300]
        );
        assert_eq!(delay_after(u32::MAX).as_secs(), 300);
    }
}
