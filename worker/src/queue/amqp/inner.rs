//! What the queue's callers and its keeper share: the session, what was delivered, and who is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lapin::message::Delivery;
use tokio::sync::{Notify, watch};
use windlass_core::ids::ClusterName;

use super::book::Book;
use super::session::Session;
use super::settings::Settings;
use super::shelf::Shelf;
use crate::queue::{Event, Lease, QueueError, QueueState, Queued};
use crate::store::Store;

/// How long a call waits for a session before it says that the broker is away.
const CONNECTED: Duration = Duration::from_secs(5);

/// What the keeper's tasks and the callers share.
pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) book: Book,
    pub(super) patience: Duration,
    shelves: Mutex<BTreeMap<ClusterName, Shelf<Arc<Delivery>>>>,
    pub(super) delivered: Notify,
    wanted: Mutex<BTreeSet<ClusterName>>,
    pub(super) wanted_more: Notify,
    pub(super) entered: Notify,
    session: watch::Sender<Option<Arc<Session>>>,
    trouble: Mutex<String>,
}

impl Inner {
    pub(super) fn new(settings: Settings, store: Store, patience: Duration) -> Self {
        Self {
            settings,
            book: Book::new(store),
            patience,
            shelves: Mutex::default(),
            delivered: Notify::new(),
            wanted: Mutex::default(),
            wanted_more: Notify::new(),
            entered: Notify::new(),
            session: watch::Sender::new(None),
            trouble: Mutex::new("not connected yet".to_owned()),
        }
    }

    pub(super) fn session_now(&self) -> Option<Arc<Session>> {
        self.session.borrow().clone()
    }

    pub(super) fn connected(&self, session: &Arc<Session>) {
        let mut trouble = lock(&self.trouble);
        trouble.clear();
        tracing::info!(broker = self.settings.address(), "connected to the broker");
        drop(trouble);
        self.session.send_replace(Some(Arc::clone(session)));
    }

    /// `None`: because the worker stops.
    pub(super) fn disconnected(&self, why: Option<&str>) {
        why.unwrap_or("the worker stops")
            .clone_into(&mut lock(&self.trouble));
        self.session.send_replace(None);
        for shelf in lock(&self.shelves).values_mut() {
            shelf.disconnect();
        }
        if let Some(why) = why {
            let broker = self.settings.address();
            tracing::warn!(broker, why, "disconnected from the broker");
        }
    }

    /// Tells each trouble once, however often it is met.
    pub(super) fn trouble(&self, why: &str) {
        let mut trouble = lock(&self.trouble);
        if *trouble != why {
            why.clone_into(&mut trouble);
            tracing::error!(
                broker = self.settings.address(),
                why,
                "the broker cannot be used; trying again"
            );
        }
    }

    /// The session, or what keeps us from one.
    pub(super) async fn session(&self) -> Result<Arc<Session>, QueueError> {
        let mut session = self.session.subscribe();
        let waiting = session.wait_for(Option::is_some);
        if let Ok(Ok(session)) = tokio::time::timeout(CONNECTED, waiting).await
            && let Some(session) = session.as_ref()
        {
            return Ok(Arc::clone(session));
        }
        let trouble = lock(&self.trouble).clone();
        let broker = self.settings.address();
        Err(QueueError::Backend(format!(
            "the broker {broker} is away: {trouble}"
        )))
    }

    pub(super) fn want(&self, cluster: &ClusterName) {
        if lock(&self.wanted).insert(cluster.clone()) {
            self.wanted_more.notify_waiters();
        }
    }

    pub(super) fn wanted(&self) -> BTreeSet<ClusterName> {
        lock(&self.wanted).clone()
    }

    pub(super) fn put(
        &self,
        cluster: &ClusterName,
        event: Event,
        attempt: u32,
        delivery: Delivery,
    ) -> Option<Arc<Delivery>> {
        let same = self.with_shelf(cluster, |shelf| {
            shelf.put(event, attempt, Arc::new(delivery))
        });
        self.delivered.notify_waiters();
        same
    }

    pub(super) fn aged(&self, age: Duration) -> Vec<(Event, Arc<Delivery>)> {
        let mut shelves = lock(&self.shelves);
        shelves
            .values_mut()
            .flat_map(|shelf| shelf.aged(age))
            .collect()
    }

    /// The delivery under a lease. One that was lost is let go of, so that the next event can be taken.
    pub(super) fn held(&self, lease: &Lease) -> Result<Arc<Delivery>, QueueError> {
        let held = self.with_shelf(&lease.event.subject, |shelf| {
            let held = shelf.held(&lease.token);
            if held.is_none() {
                shelf.release(&lease.token);
            }
            held
        });
        held.ok_or_else(|| QueueError::Lost(lease.event.id.clone()))
    }

    pub(super) fn release(&self, lease: &Lease) -> Option<Arc<Delivery>> {
        let released = self.with_shelf(&lease.event.subject, |shelf| shelf.release(&lease.token));
        self.delivered.notify_waiters();
        released
    }

    pub(super) fn with_shelf<T>(
        &self,
        cluster: &ClusterName,
        work: impl FnOnce(&mut Shelf<Arc<Delivery>>) -> T,
    ) -> T {
        work(lock(&self.shelves).entry(cluster.clone()).or_default())
    }

    /// What was delivered to this worker.
    pub(super) fn here(&self) -> Vec<Queued> {
        let shelves = lock(&self.shelves);
        let events = shelves.values().flat_map(Shelf::events);
        events
            .map(|(event, attempts, held)| Queued {
                event: event.clone(),
                state: if held {
                    QueueState::Leased
                } else {
                    QueueState::Ready
                },
                attempts,
                due: Timestamp::now(),
                why: String::new(),
            })
            .collect()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
