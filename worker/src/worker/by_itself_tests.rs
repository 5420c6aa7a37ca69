//! Nobody gives a command: the loop itself finds out that a certificate ages, or that its authority wants it replaced.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use windlass_core::acme::Window;

use super::tests::Cluster;
use super::*;
use crate::acme::Shelf;
use crate::acme::tests::world::World;
use crate::queue::EventKind;
use crate::worker::orders::{Caller, Ordering};
use crate::worker::shared::{Handlers, share};

const NODES: [(&str, &str); 2] = [("vps1", "127.0.0.1"), ("vps2", "127.0.0.2")];
/// Long enough for a machine that builds at the same time.
const DEADLINE: Duration = Duration::from_secs(180);

/// What the worker runs for it, with the embedded queue; it ends with the test.
struct Running {
    stop: CancellationToken,
    shelf: Shelf,
    caller: JoinHandle<()>,
    sharing: JoinHandle<()>,
}

impl Running {
    fn start(cluster: &Cluster) -> Self {
        // A failed test shows why nothing came.
        drop(tracing_subscriber::fmt().with_test_writer().try_init());
        let (renewer, stop) = (cluster.renewer(), CancellationToken::new());
        let (name, shelf) = (renewer.cluster.clone(), renewer.orderer.shelf.clone());
        let (tell, next) = watch::channel(Timestamp::now());
        let caller = Caller {
            cluster: name.clone(),
            queue: cluster.queue(),
            store: renewer.store.clone(),
            rolled: Arc::new(Notify::new()),
            next,
            shared: false,
        };
        caller.rolled.notify_one();
        let ordering = Ordering {
            renewer,
            next: tell,
            rolled: Mutex::default(),
        };
        let mut handlers = Handlers::default();
        handlers.on(&name, EventKind::Order, ordering);
        let (handlers, queue) = (Arc::new(handlers), cluster.queue());
        let goodbye = Duration::from_secs(20);
        let sharing = share(queue, handlers, vec![name], goodbye, stop.clone());
        Self {
            caller: tokio::spawn(caller.run(stop.clone())),
            sharing: tokio::spawn(sharing),
            stop,
            shelf,
        }
    }

    /// Looks at the blog's certificate until so many different ones were there. At no time is it an expired one.
    async fn sees(&self, wanted: usize) {
        let deadline = Instant::now() + DEADLINE;
        let mut serials = BTreeSet::new();
        while serials.len() < wanted {
            assert!(Instant::now() < deadline, "only {serials:?}");
            let leaf = self.shelf.leaf(&"blog".parse().unwrap()).unwrap();
            if let Some(leaf) = leaf {
                let now = Timestamp::now();
                assert!(now < leaf.lifetime.until, "{} has expired", leaf.serial);
                serials.insert(leaf.serial);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.caller.await.unwrap();
        self.sharing.await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_expires_again_and_again() {
    let cluster = Cluster::of(World::short_lived(40).await, &NODES);
    cluster.roll().await;
    let running = Running::start(&cluster);
    running.sees(3).await;
    running.end().await;
}

#[tokio::test]
async fn what_its_authority_wants_replaced_is_replaced() {
    let cluster = Cluster::of(World::suggesting().await, &NODES);
    cluster.roll().await;
    let renewer = cluster.renewer();
    renewer.round(None).await.unwrap();
    let blog = "blog".parse().unwrap();
    let pem = renewer.orderer.shelf.get(&blog).unwrap().unwrap();
    let now = Timestamp::now();
    let window = json!({"suggestedWindow": {
        "start": (now - SignedDuration::from_hours(2)).to_string(),
        "end": (now - SignedDuration::from_hours(1)).to_string(),
    }});
    cluster.world.pebble.suggest(pem.reveal(), &window).await;
    let running = Running::start(&cluster);
    running.sees(2).await;
    running.end().await;
    let log = cluster.world.pebble.log();
    assert!(log.contains("is a replacement of"), "{log}");
}

#[tokio::test]
async fn an_authority_that_falls_silent_has_not_taken_back_what_it_said() {
    let mut cluster = Cluster::of(World::suggesting().await, &NODES);
    cluster.roll().await;
    cluster.renewer().round(None).await.unwrap();
    let renewer = cluster.renewer();
    let blog = "blog".parse().unwrap();
    let leaf = renewer.orderer.shelf.leaf(&blog).unwrap().unwrap();
    let now = Timestamp::now();
    let window = Window {
        start: now - SignedDuration::from_hours(2),
        end: now - SignedDuration::from_hours(1),
    };
    let said = Suggestion {
        serial: leaf.serial,
        window: Some(window),
        again: now - SignedDuration::from_mins(1),
    };
    let ledger = &renewer.orderer.ledger;
    ledger.suggest(&blog, &said).await.unwrap();
    cluster.world.pebble.stop();
    renewer.round(None).await.unwrap();
    let kept = ledger.suggestion(&blog).await.unwrap().unwrap();
    assert_eq!(kept.window, Some(window));
    assert!(kept.again > now && kept.again <= Timestamp::now() + SILENT);
}

/// Each further certificate would wait for the same silence.
#[tokio::test]
async fn a_silent_authority_is_asked_once_in_a_round() {
    let mut cluster = Cluster::of(World::suggesting().await, &NODES);
    cluster.roll().await;
    let renewer = cluster.renewer();
    renewer.round(None).await.unwrap();
    let (ledger, shelf) = (&renewer.orderer.ledger, &renewer.orderer.shelf);
    let certificates = ["blog".parse().unwrap(), "shop".parse().unwrap()];
    // Both have a suggestion by now, and need none for hours.
    renewer.round(None).await.unwrap();
    cluster.world.pebble.stop();
    // Whoever comes is sent away without an answer, and counted.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", cluster.world.pebble.port())).await;
    let (listener, came) = (listener.unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&came);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Relaxed);
        }
    });
    let mut seen = Vec::new();
    for asking in [&certificates[..1], &certificates[..]] {
        for name in asking {
            let stale = Suggestion {
                serial: shelf.leaf(name).unwrap().unwrap().serial,
                window: None,
                again: Timestamp::now() - SignedDuration::from_mins(1),
            };
            ledger.suggest(name, &stale).await.unwrap();
        }
        let before = came.load(Relaxed);
        renewer.round(None).await.unwrap();
        seen.push(came.load(Relaxed) - before);
        for name in asking {
            let kept = ledger.suggestion(name).await.unwrap().unwrap();
            assert!(kept.again > Timestamp::now(), "{name} is not put off");
        }
    }
    assert!(seen[0] > 0, "nobody was asked");
    assert_eq!(seen[0], seen[1], "asked for each certificate");
}
