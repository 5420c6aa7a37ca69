//! What the queue's callers and its keeper share: the session, what was delivered, and who is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lapin::message::Delivery;
use tokio::sync::{Notify, watch};
use windlass_core::ids::ClusterName;

use super::book::Book;
use super::figures::Looked;
use super::message;
use super::session::Session;
use super::settings::Settings;
use super::shelf::{Shelf, Tries};
use crate::queue::{Content, Event, Lane, Lease, QueueError, QueueState, Queued};
use crate::store::Store;

/// How long a call waits for a session before it says that the broker is away.
const CONNECTED: Duration = Duration::from_secs(5);

/// What the broker gives is kept on a shelf for each cluster's own lane, and on one for the shared lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Cluster(ClusterName),
    Shared,
}

impl Place {
    fn of(event: &Event) -> Self {
        match event.kind.lane() {
            Lane::Cluster => Self::Cluster(event.subject.clone()),
            Lane::Shared => Self::Shared,
        }
    }
}

/// What the keeper's tasks and the callers share.
pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) book: Book,
    pub(super) store: Store,
    pub(super) patience: Duration,
    shelves: Mutex<BTreeMap<Place, Shelf<Arc<Delivery>>>>,
    pub(super) delivered: Notify,
    wanted: Mutex<BTreeSet<(ClusterName, Lane)>>,
    pub(super) wanted_more: Notify,
    pub(super) entered: Notify,
    /// For metrics: the queues of dead letters, as they were seen last.
    pub(super) looked: Mutex<BTreeMap<String, Looked>>,
    session: watch::Sender<Option<Arc<Session>>>,
    trouble: Mutex<String>,
}

impl Inner {
    pub(super) fn new(settings: Settings, store: Store, patience: Duration) -> Self {
        Self {
            settings,
            book: Book::new(store.clone()),
            store,
            patience,
            shelves: Mutex::default(),
            delivered: Notify::new(),
            wanted: Mutex::default(),
            wanted_more: Notify::new(),
            entered: Notify::new(),
            looked: Mutex::default(),
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

    pub(super) fn want(&self, cluster: &ClusterName, lane: Lane) {
        if lock(&self.wanted).insert((cluster.clone(), lane)) {
            self.wanted_more.notify_waiters();
        }
    }

    pub(super) fn wanted(&self) -> BTreeSet<(ClusterName, Lane)> {
        lock(&self.wanted).clone()
    }

    pub(super) fn expect(&self, event: &Event) {
        self.with_shelf(&Place::of(event), |shelf| shelf.expect(event));
    }

    pub(super) fn put(&self, event: Event, delivery: Delivery) -> Option<Arc<Delivery>> {
        let same = self.with_shelf(&Place::of(&event), |shelf| {
            let tries = Tries {
                attempt: message::attempt(&delivery),
                breaks: message::count(&delivery).broke,
            };
            shelf.put(event, tries, Arc::new(delivery))
        });
        self.delivered.notify_waiters();
        same
    }

    /// What has been here for `age` and is renewed by a copy. Only where its queue has one active consumer: it comes
    /// back to us.
    pub(super) fn aged(&self, age: Duration) -> Vec<(Event, Arc<Delivery>)> {
        let mut shelves = lock(&self.shelves);
        let own = shelves
            .iter_mut()
            .filter(|(place, _)| **place != Place::Shared);
        own.flat_map(|(_, shelf)| shelf.aged(age)).collect()
    }

    /// What nobody here has begun for `age` and any worker may have.
    pub(super) fn left_over(&self, age: Duration) -> Vec<Arc<Delivery>> {
        self.with_shelf(&Place::Shared, |shelf| shelf.left_over(age))
    }

    pub(super) fn extend(&self, lease: &Lease) -> bool {
        let place = Place::of(&lease.event);
        self.with_shelf(&place, |shelf| shelf.extend(&lease.token, self.patience))
    }

    /// The delivery under a lease. One that was lost is let go of, so that the next event can be taken.
    pub(super) fn held(&self, lease: &Lease) -> Result<Arc<Delivery>, QueueError> {
        let held = self.with_shelf(&Place::of(&lease.event), |shelf| {
            let held = shelf.held(&lease.token);
            if held.is_none() {
                shelf.release(&lease.token);
            }
            held
        });
        held.ok_or_else(|| QueueError::Lost(lease.event.id.clone()))
    }

    pub(super) fn release(&self, lease: &Lease) -> Option<Arc<Delivery>> {
        let released = self.with_shelf(&Place::of(&lease.event), |shelf| {
            shelf.release(&lease.token)
        });
        self.delivered.notify_waiters();
        released
    }

    pub(super) fn with_shelf<T>(
        &self,
        place: &Place,
        work: impl FnOnce(&mut Shelf<Arc<Delivery>>) -> T,
    ) -> T {
        work(lock(&self.shelves).entry(place.clone()).or_default())
    }

    /// What was delivered to this worker.
    pub(super) fn here(&self) -> Vec<Queued> {
        let shelves = lock(&self.shelves);
        let events = shelves.values().flat_map(Shelf::events);
        events
            .map(|(event, attempts, held)| Queued {
                event: Content::Event(event.clone()),
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
