//! Looks for reasons to act on one cluster: the branch has moved, or it is time to compare the nodes. It only publishes
//! events; that one was published too many does no harm.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use windlass_core::ids::ClusterName;

use crate::flow::newer::Newer;
use crate::git::source::Source;
use crate::queue::{Event, EventKind, EventQueue, QueueState};

/// While a roll is under way a newer commit should be noticed soon: it may mend what the roll waits for.
const POLL_IN_ROLL: Duration = Duration::from_secs(5);
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
        self.publish(EventKind::Sweep).await;
        let mut last_probe = None;
        let mut next_probe = Instant::now() + self.pace.sweep;
        let mut next_poll = Instant::now() + self.poll();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.behind.notified() => {
                    next_probe = next_probe.min(Instant::now() + BEHIND);
                }
                () = tokio::time::sleep_until(next_probe) => {
                    last_probe = self.probe(last_probe).await;
                    next_probe = Instant::now() + self.pace.sweep;
                }
                () = tokio::time::sleep_until(next_poll.min(Instant::now() + self.poll())) => {
                    self.look(&mut announced, &mut trouble).await;
                    next_poll = Instant::now() + self.poll();
                }
            }
        }
    }

    fn poll(&self) -> Duration {
        if self.newer.rolling() {
            self.pace.poll.min(POLL_IN_ROLL)
        } else {
            self.pace.poll
        }
    }

    /// Tells a newer commit once, and trouble once.
    async fn look(&self, announced: &mut Option<String>, trouble: &mut Option<String>) {
        match self.source.look().await {
            Ok(head) => {
                if trouble.take().is_some() {
                    tracing::info!(cluster = %self.cluster, "the repository can be read again");
                }
                self.newer.saw(&head);
                if announced.as_ref() != Some(&head)
                    && self.publish(EventKind::Moved).await.is_some()
                {
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

    /// A comparison that still waits is enough.
    async fn probe(&self, last: Option<String>) -> Option<String> {
        if let Some(id) = &last
            && let Ok(Some(queued)) = self.queue.show(id).await
            && matches!(queued.state, QueueState::Ready | QueueState::Leased)
        {
            return last;
        }
        self.publish(EventKind::Probe).await
    }

    async fn publish(&self, kind: EventKind) -> Option<String> {
        let id = Uuid::new_v4().to_string();
        let event = Event::new(kind, "/timer", &self.cluster, id.clone());
        match self.queue.publish(&event).await {
            Ok(_) => Some(id),
            Err(error) => {
                tracing::error!(cluster = %self.cluster, %error, "an event could not be queued");
                None
            }
        }
    }
}
