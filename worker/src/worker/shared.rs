//! Takes the events of the shared lane: a few at once, beside whatever the clusters' own lanes do. Each goes to the
//! handler of its kind and cluster, and is held by heartbeat meanwhile.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use windlass_core::ids::ClusterName;

use super::consumer::{Answer, Handler, work};
use crate::queue::port::delay_after;
use crate::queue::{Event, EventKind, EventQueue};

/// So many at once. What they do waits for others most of the time; what works hard has limits of its own. More than
/// these limits, because a newer event is what ends a look that goes on for too long.
const AT_ONCE: usize = 16;
/// Longer than anything of this lane should take, and well below the time after which a broker takes an event back.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// What is under work when the worker is to stop may end within this; then another worker is given it.
pub(super) const GOODBYE: Duration = Duration::from_secs(20);

type Handling = Pin<Box<dyn Future<Output = Answer> + Send>>;
type Handle = Box<dyn Fn(Event) -> Handling + Send + Sync>;

/// Who works on what.
#[derive(Default)]
pub(super) struct Handlers {
    by_kind: BTreeMap<(ClusterName, EventKind), Handle>,
}

impl Handlers {
    /// From now on this cluster's events of this kind go to `handler`.
    pub(super) fn on<H: Handler>(&mut self, cluster: &ClusterName, kind: EventKind, handler: H) {
        let handler = Arc::new(handler);
        let handle: Handle = Box::new(move |event| {
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler.handle(event).await })
        });
        self.by_kind.insert((cluster.clone(), kind), handle);
    }
}

impl Handler for Handlers {
    async fn handle(&self, event: Event) -> Answer {
        let (cluster, kind) = (event.subject.clone(), event.kind);
        let Some(handle) = self.by_kind.get(&(cluster.clone(), kind)) else {
            tracing::info!(%cluster, event = event.id, kind = kind.key(), "nothing here is configured for this; it counts as done");
            return Answer::Done;
        };
        match tokio::time::timeout(LONGEST, handle(event)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Broken(format!("it took more than {} s", LONGEST.as_secs())),
        }
    }
}

/// Works until `stop`, and then until what is under work has ended, or has had its time.
pub(super) async fn share<Q, H>(
    queue: Q,
    handlers: Arc<H>,
    clusters: Vec<ClusterName>,
    goodbye: Duration,
    stop: CancellationToken,
) where
    Q: EventQueue + Clone + 'static,
    H: Handler,
{
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut working = JoinSet::new();
    let mut failures = 0;
    loop {
        while working.try_join_next().is_some() {}
        let taking = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, queue.next_shared(&clusters).await)
        };
        let (place, taken) = tokio::select! {
            () = stop.cancelled() => break,
            taken = taking => taken,
        };
        match taken {
            Ok(lease) => {
                failures = 0;
                let (queue, handlers) = (queue.clone(), Arc::clone(&handlers));
                working.spawn(async move {
                    let event = lease.event.id.clone();
                    if let Err(error) = work(&queue, &handlers, lease).await {
                        tracing::error!(event, %error, "an event could not be answered; it comes again");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                failures += 1;
                tracing::error!(%error, "the queue failed; trying again");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(delay_after(failures)) => {}
                }
            }
        }
    }
    let ending = async { while working.join_next().await.is_some() {} };
    if tokio::time::timeout(goodbye, ending).await.is_err() {
        tracing::warn!("work on shared events is left to another worker");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Barrier;

    use super::*;
    use crate::queue::QueueState;
    use crate::queue::embedded::EmbeddedQueue;
    use crate::store::Store;

    const SOON: Duration = Duration::from_secs(30);

    /// Goes on only when `together` events are under work at the same moment.
    struct Meeting {
        together: Arc<Barrier>,
        most: Arc<AtomicUsize>,
        now: AtomicUsize,
    }

    impl Handler for Meeting {
        async fn handle(&self, _: Event) -> Answer {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.together.wait().await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            Answer::Done
        }
    }

    struct Remember(Arc<Mutex<Vec<String>>>);

    impl Handler for Remember {
        async fn handle(&self, event: Event) -> Answer {
            self.0.lock().unwrap().push(event.id);
            Answer::Done
        }
    }

    /// Never ends.
    struct Endless(Arc<tokio::sync::Notify>);

    impl Handler for Endless {
        async fn handle(&self, _: Event) -> Answer {
            self.0.notify_one();
            std::future::pending().await
        }
    }

    struct World {
        _dir: tempfile::TempDir,
        queue: EmbeddedQueue,
        cluster: ClusterName,
        stop: CancellationToken,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("q.db")).unwrap();
        World {
            queue: EmbeddedQueue::new(store, Duration::from_secs(60)),
            _dir: dir,
            cluster: "example".parse().unwrap(),
            stop: CancellationToken::new(),
        }
    }

    impl World {
        async fn publish(&self, kind: EventKind, id: &str) {
            let event = Event::new(kind, "/test", &self.cluster, id);
            self.queue.publish(&event).await.unwrap();
        }

        fn share(&self, handlers: Handlers) -> tokio::task::JoinHandle<()> {
            let clusters = vec![self.cluster.clone()];
            tokio::spawn(share(
                self.queue.clone(),
                Arc::new(handlers),
                clusters,
                Duration::from_millis(100),
                self.stop.clone(),
            ))
        }

        async fn until(&self, id: &str, state: QueueState) {
            let reached = async {
                while self.queue.show(id).await.unwrap().unwrap().state != state {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(SOON, reached).await.unwrap();
        }
    }

    #[tokio::test]
    async fn so_many_at_once_and_no_more() {
        let world = world();
        let most = Arc::new(AtomicUsize::new(0));
        let mut handlers = Handlers::default();
        handlers.on(
            &world.cluster,
            EventKind::Request,
            Meeting {
                together: Arc::new(Barrier::new(AT_ONCE)),
                most: Arc::clone(&most),
                now: AtomicUsize::new(0),
            },
        );
        for n in 0..AT_ONCE * 2 {
            world.publish(EventKind::Request, &n.to_string()).await;
        }
        let sharing = world.share(handlers);
        for n in 0..AT_ONCE * 2 {
            world.until(&n.to_string(), QueueState::Done).await;
        }
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
        world.stop.cancel();
        tokio::time::timeout(SOON, sharing).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn each_goes_to_its_kind_and_one_without_a_handler_is_done() {
        let world = world();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut handlers = Handlers::default();
        let remember = Remember(Arc::clone(&seen));
        handlers.on(&world.cluster, EventKind::Probe, remember);
        world.publish(EventKind::Request, "request").await;
        world.publish(EventKind::Probe, "probe").await;
        let sharing = world.share(handlers);
        world.until("request", QueueState::Done).await;
        world.until("probe", QueueState::Done).await;
        assert_eq!(*seen.lock().unwrap(), ["probe"]);
        world.stop.cancel();
        tokio::time::timeout(SOON, sharing).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_does_not_end_when_the_worker_stops_is_left_to_another() {
        let world = world();
        let begun = Arc::new(tokio::sync::Notify::new());
        let mut handlers = Handlers::default();
        let endless = Endless(Arc::clone(&begun));
        handlers.on(&world.cluster, EventKind::Order, endless);
        world.publish(EventKind::Order, "long").await;
        let sharing = world.share(handlers);
        tokio::time::timeout(SOON, begun.notified()).await.unwrap();
        world.stop.cancel();
        tokio::time::timeout(SOON, sharing).await.unwrap().unwrap();
        world.until("long", QueueState::Leased).await;
    }
}
