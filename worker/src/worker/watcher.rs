//! Looks for reasons to act on one cluster: the branch has moved, or it is time to compare the nodes. It only publishes
//! events; that one was published too many does no harm. During a roll the flow looks for itself, and more often.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use windlass_core::ids::ClusterName;

use crate::flow::newer::Newer;
use crate::git::source::Source;
use crate::queue::{Event, EventKind, EventQueue, QueueState};

/// A node that was skipped is looked for this often.
const BEHIND: Duration = Duration::from_secs(30);

/// How often to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) poll: Duration,
    pub(super) sweep: Duration,
}

pub(super) struct Watcher<Q> {
    pub(super) cluster: ClusterName,
    pub(super) queue: Q,
    pub(super) source: Source,
    pub(super) pace: Pace,
    pub(super) newer: Arc<Newer>,
    /// Told when a roll left a node behind.
    pub(super) behind: Arc<Notify>,
}

impl<Q: EventQueue> Watcher<Q> {
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut announced = None;
        let mut trouble = None;
        // What happened while no worker ran is looked at in full.
        let id = Uuid::new_v4().to_string();
        self.publish(EventKind::Sweep, id).await;
        let mut reminded = None;
        let mut next_probe = after(self.pace.sweep);
        let mut next_poll = Instant::now() + self.pace.poll;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.behind.notified() => {
                    next_probe = next_probe.min(after(BEHIND));
                }
                () = tokio::time::sleep_until(next_probe.0) => {
                    self.remind(next_probe.1, &mut reminded).await;
                    next_probe = after(self.pace.sweep);
                }
                // What a roll saw waits behind it in the queue, and follows it at once.
                () = self.newer.seen() => self.look(&mut announced, &mut trouble).await,
                () = tokio::time::sleep_until(next_poll) => {
                    self.look(&mut announced, &mut trouble).await;
                    next_poll = Instant::now() + self.pace.poll;
                }
            }
        }
    }

    /// Tells a newer commit once, and trouble once.
    async fn look(&self, announced: &mut Option<String>, trouble: &mut Option<String>) {
        match self.source.look().await {
            Ok(head) => {
                if trouble.take().is_some() {
                    tracing::info!(cluster = %self.cluster, "the repository can be read again");
                }
                // What several workers see within one span is one event.
                let id = format!("moved:{}:{head}:{}", self.cluster, span(self.pace.poll));
                if announced.as_ref() != Some(&head) && self.publish(EventKind::Moved, id).await {
                    *announced = Some(head);
                }
            }
            Err(error) => {
                let error = error.to_string();
                if trouble.as_ref() != Some(&error) {
                    tracing::warn!(cluster = %self.cluster, error, "cannot look at the repository");
                    *trouble = Some(error);
                }
            }
        }
    }

    /// That nodes are to be compared every worker says, and in each span of time once. One that still waits is enough.
    async fn remind(&self, every: Duration, last: &mut Option<String>) {
        if let Some(id) = last.as_ref()
            && let Ok(Some(queued)) = self.queue.show(id).await
            && matches!(queued.state, QueueState::Ready | QueueState::Leased)
        {
            return;
        }
        let id = format!("timer:{}:{}", self.cluster, span(every));
        if self.publish(EventKind::Timer, id.clone()).await {
            *last = Some(id);
        }
    }

    async fn publish(&self, kind: EventKind, id: String) -> bool {
        let event = Event::new(kind, "/timer", &self.cluster, id);
        let published = self.queue.publish(&event).await;
        if let Err(error) = &published {
            tracing::error!(cluster = %self.cluster, %error, "an event could not be queued");
        }
        published.is_ok()
    }
}

/// When, and how long before that it was decided on.
fn after(time: Duration) -> (Instant, Duration) {
    (Instant::now() + time, time)
}

/// Names the span of time that it is now; all workers whose clocks agree say the same.
fn span(length: Duration) -> String {
    let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX).max(1);
    format!("{}x{seconds}s", Timestamp::now().as_second() / seconds)
}
