//! The queue as the worker sees it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lapin::message::Delivery;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use windlass_core::ids::ClusterName;

use super::book::Book;
use super::dead;
use super::figures;
use super::inner::{Inner, Place, lock};
use super::keeper;
use super::message::{self, Count};
use super::session::{acknowledge, put_back};
use super::settings::Settings;
use super::shelf::Taken;
use super::topology;
use crate::queue::{
    Answered, Chosen, Event, EventQueue, Lane, Lease, Published, QueueError, QueueFigures,
    QueueState, Queued,
};
use crate::store::Store;

/// A queue at a broker; cheap to clone. `close` it before the program ends; the connections end when the last one
/// is dropped, too, but then without a goodbye.
#[derive(Clone)]
pub struct AmqpQueue {
    inner: Arc<Inner>,
    stop: CancellationToken,
    keeper: Arc<Mutex<Option<JoinHandle<()>>>>,
    _alive: Arc<DropGuard>,
}

impl std::fmt::Debug for AmqpQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AmqpQueue({:?})", self.inner.settings)
    }
}

impl AmqpQueue {
    /// Begins to connect, and goes on trying for as long as it lives. `store` is this worker's own; `patience`: for
    /// how long an event may be held before it is given out again.
    pub fn start(settings: Settings, store: Store, patience: Duration) -> Self {
        let inner = Arc::new(Inner::new(settings, store, patience));
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keeper::keep(Arc::clone(&inner), stop.clone()));
        Self {
            inner,
            _alive: Arc::new(stop.clone().drop_guard()),
            stop,
            keeper: Arc::new(Mutex::new(Some(keeper))),
        }
    }

    /// Puts an event into the outbox of a worker's database; that worker sends it, now or when it runs again.
    pub async fn leave(store: Store, event: &Event) -> Result<Published, QueueError> {
        Book::new(store).enter(event).await
    }

    /// Ends the connections; what was not answered goes to another worker.
    pub async fn close(&self) {
        self.stop.cancel();
        let keeper = lock(&self.keeper).take();
        if let Some(keeper) = keeper {
            // It ends by itself; a panic in it was told already.
            let _ = keeper.await;
        }
    }

    /// Whether there is a session with the broker at present.
    pub fn is_connected(&self) -> bool {
        self.inner.session_now().is_some()
    }

    /// Publishes what follows, with confirms, and only then lets go of the event.
    async fn answer(
        &self,
        lease: Lease,
        exchange: &str,
        message: impl FnOnce(&Delivery) -> (String, message::Outgoing),
    ) -> Result<(), QueueError> {
        let delivery = self.inner.held(&lease)?;
        let session = self.inner.session().await?;
        let (key, message) = message(&delivery);
        session
            .publish(exchange, &key, message)
            .await
            .map_err(backend)?;
        self.let_go(&lease).await
    }

    async fn wait_at(&self, place: &Place, wanted: impl Fn(&Event) -> bool) -> Lease {
        loop {
            // Registered before looking, so that an event delivered in between is not missed.
            let delivered = self.inner.delivered.notified();
            tokio::pin!(delivered);
            delivered.as_mut().enable();
            let patience = self.inner.patience;
            let taken = self
                .inner
                .with_shelf(place, |shelf| shelf.take(patience, &wanted));
            match taken {
                Taken::Event(lease) => return lease,
                Taken::Expired(Some(delivery)) => {
                    // Where the connection is gone too, the broker has it back already.
                    put_back(&delivery).await;
                }
                Taken::Expired(None) => {}
                Taken::Nothing { until: None } => delivered.await,
                Taken::Nothing { until: Some(until) } => {
                    let wait = until.saturating_duration_since(Instant::now());
                    // Whichever comes first: we look again.
                    let _ = tokio::time::timeout(wait, delivered).await;
                }
            }
        }
    }

    async fn let_go(&self, lease: &Lease) -> Result<(), QueueError> {
        let delivery = self.inner.release(lease);
        match delivery {
            Some(delivery) if acknowledge(&delivery).await => Ok(()),
            _ => Err(QueueError::Lost(lease.event.id.clone())),
        }
    }
}

impl EventQueue for AmqpQueue {
    async fn publish(&self, event: &Event) -> Result<Published, QueueError> {
        let published = self.inner.book.enter(event).await?;
        self.inner.entered.notify_waiters();
        Ok(published)
    }

    async fn next(&self, cluster: &ClusterName) -> Result<Lease, QueueError> {
        self.inner.want(cluster, Lane::Cluster);
        let place = Place::Cluster(cluster.clone());
        Ok(self.wait_at(&place, |_| true).await)
    }

    async fn next_shared(&self, clusters: &[ClusterName]) -> Result<Lease, QueueError> {
        for cluster in clusters {
            self.inner.want(cluster, Lane::Shared);
        }
        let wanted = |event: &Event| clusters.contains(&event.subject);
        Ok(self.wait_at(&Place::Shared, wanted).await)
    }

    /// The one worker that is active for the cluster is given its events ahead of its work.
    async fn came(&self, _: &ClusterName) {
        self.inner.delivered.notified().await;
    }

    fn patience(&self) -> Duration {
        self.inner.patience
    }

    async fn extend(&self, lease: &Lease) -> Result<(), QueueError> {
        if self.inner.extend(lease) {
            Ok(())
        } else {
            Err(QueueError::Lost(lease.event.id.clone()))
        }
    }

    async fn ack(&self, lease: Lease, then: &[Event]) -> Result<(), QueueError> {
        self.inner.held(&lease)?;
        if !then.is_empty() {
            let session = self.inner.session().await?;
            for event in then {
                session.ensure(&event.subject).await.map_err(backend)?;
                let outgoing = message::outgoing(event).map_err(QueueError::Backend)?;
                let key = topology::key(event);
                self.inner.expect(event);
                let published = session.publish(topology::EVENTS, &key, outgoing);
                published.await.map_err(backend)?;
            }
        }
        self.inner.book.done(&lease.event, then).await?;
        self.let_go(&lease).await
    }

    async fn retry(&self, lease: Lease, delay: Duration, why: &str) -> Result<(), QueueError> {
        let (exchange, delay) = topology::delay_for(delay);
        let (event, count) = (lease.event.clone(), count(&lease));
        self.answer(lease, &exchange, |delivery| {
            (topology::key(&event), message::again(delivery, count, why))
        })
        .await?;
        self.inner
            .book
            .delayed(&event, count.tried, delay, why)
            .await
    }

    async fn dead(&self, lease: Lease, why: &str) -> Result<(), QueueError> {
        let (event, count) = (lease.event.clone(), count(&lease));
        self.answer(lease, topology::DEAD, |delivery| {
            (topology::key(&event), message::again(delivery, count, why))
        })
        .await?;
        self.inner.book.let_go(&event).await
    }

    /// The outbox takes events, whether the broker is there or not.
    async fn ready(&self) -> Result<(), QueueError> {
        self.inner.book.list(1).await.map(drop)
    }

    async fn figures(&self) -> QueueFigures {
        figures::of(&self.inner).await
    }

    async fn list(&self, limit: u32) -> Result<Vec<Queued>, QueueError> {
        let mut all = self.dead_letters(limit).await?;
        let mut known: BTreeSet<String> = all.iter().map(|queued| queued.id().to_owned()).collect();
        let here = self.inner.here();
        let others = self.inner.book.list(limit).await?;
        for queued in here.into_iter().chain(others) {
            if known.insert(queued.id().to_owned()) {
                all.push(queued);
            }
        }
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(all)
    }

    async fn show(&self, id: &str) -> Result<Option<Queued>, QueueError> {
        if let Some(here) = self
            .inner
            .here()
            .into_iter()
            .find(|queued| queued.id() == id)
        {
            return Ok(Some(here));
        }
        let found = self.inner.book.find(id).await?;
        if let Some(queued) = &found
            && queued.state != QueueState::Sent
        {
            return Ok(found);
        }
        let session = self.inner.session().await?;
        let dead = dead::find(&session, id).await?;
        Ok(dead.or(found))
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<Queued>, QueueError> {
        dead::list(&*self.inner.session().await?, limit).await
    }

    async fn replay(&self, which: &Chosen) -> Result<Answered, QueueError> {
        dead::replay(&*self.inner.session().await?, which).await
    }

    async fn discard(&self, which: &Chosen) -> Result<Answered, QueueError> {
        dead::discard(&*self.inner.session().await?, which).await
    }
}

/// With this attempt.
fn count(lease: &Lease) -> Count {
    Count {
        tried: lease.attempt,
        broke: lease.breaks,
    }
}

fn backend(error: impl std::fmt::Display) -> QueueError {
    QueueError::Backend(error.to_string())
}
