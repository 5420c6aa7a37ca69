//! Workers that have their orders together. Nothing goes from one to the next but what lies in the strongbox, which is
//! sealed: each has a database, a shelf and a memory of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use windlass_core::acme::{Failure, Step, due};
use windlass_core::ids::ClusterName;

use super::authority::begun;
use super::world::{Told, World, now};
use crate::acme::{Asked, Common, Ledger, Orderer, Ran, Shelf, Suggestion};
use crate::materials::AtRest;
use crate::ports::{Doing, OpenBox, Strongbox};
use crate::store::Store;

/// What a broker would keep.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(super) records: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    open: Arc<tokio::sync::Mutex<()>>,
    /// From now on nothing is taken any more.
    away: Arc<Mutex<bool>>,
}

struct Opened {
    kept: Kept,
    records: BTreeMap<String, Vec<u8>>,
    _only: tokio::sync::OwnedMutexGuard<()>,
}

impl Strongbox for Kept {
    fn open(&self) -> Doing<'_, Result<Option<Box<dyn OpenBox>>, String>> {
        Box::pin(async {
            let Ok(only) = Arc::clone(&self.open).try_lock_owned() else {
                return Ok(None);
            };
            let opened = Opened {
                kept: self.clone(),
                records: self.records.lock().unwrap().clone(),
                _only: only,
            };
            Ok(Some(Box::new(opened) as Box<dyn OpenBox>))
        })
    }
}

impl OpenBox for Opened {
    fn records(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.records
    }

    fn put<'a>(&'a mut self, key: &'a str, sealed: Vec<u8>) -> Doing<'a, Result<(), String>> {
        Box::pin(async move {
            if *self.kept.away.lock().unwrap() {
                return Err("away".to_owned());
            }
            let mut all = self.kept.records.lock().unwrap();
            all.insert(key.to_owned(), sealed);
            Ok(())
        })
    }

    fn close(self: Box<Self>) -> Doing<'static, ()> {
        Box::pin(async move { drop(self) })
    }
}

/// The workers of one cluster: what they have in common, and the age identity that all were given.
pub(super) struct Workers {
    pub(super) world: World,
    pub(super) kept: Kept,
    identity: PathBuf,
}

impl Workers {
    pub(super) async fn new() -> Self {
        let world = World::new().await;
        let identity = world.path().join("identity");
        let made = Command::new("age-keygen").arg("-o").arg(&identity).output();
        assert!(made.unwrap().status.success());
        Self {
            world,
            kept: Kept::default(),
            identity,
        }
    }

    fn state(&self, name: &str) -> PathBuf {
        self.world.path().join(name)
    }

    /// The worker with this name, which has just started.
    pub(super) fn worker(&self, name: &str) -> Orderer<Told> {
        let state = self.state(name);
        std::fs::create_dir_all(&state).unwrap();
        let cluster: ClusterName = "example".parse().unwrap();
        let at_rest = AtRest::new(std::slice::from_ref(&self.identity));
        let store = Store::open(&state.join("windlass.db")).unwrap();
        let shelf = Shelf::new(&state, &cluster).at_rest(at_rest.clone());
        let common = Common::new(Arc::new(self.kept.clone()), shelf.clone());
        Orderer {
            ledger: Ledger::new(store, cluster).at_rest(at_rest).common(common),
            shelf,
            ..self.world.orderer()
        }
    }
}

/// Whether any file of a folder holds these bytes.
fn found(folder: &Path, words: &str) -> Option<PathBuf> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            if bytes
                .windows(words.len())
                .any(|own| own == words.as_bytes())
            {
                return Some(path);
            }
        }
    }
    None
}

#[tokio::test]
async fn every_step_by_another_worker_and_still_one_order() {
    let workers = Workers::new().await;
    let world = &workers.world;
    let wanted = world.wanted("blog", &["blog.example.org", "www.example.org"]);
    let first = workers.worker("worker-0");
    let hold = first.ledger.hold().await.unwrap().unwrap();
    let other = workers.worker("other");
    assert!(
        other.ledger.hold().await.unwrap().is_none(),
        "one at a time"
    );
    let mut open = first.ledger.begin(begun(&wanted)).await.unwrap();
    first
        .advance(&mut open, &mut None, &wanted, &world.access())
        .await
        .unwrap();
    drop(hold);
    let mut steps = vec![Step::MakeKey];
    for n in 1.. {
        assert!(n < 20, "{steps:?}");
        // Nothing of the last worker is left.
        let worker = workers.worker(&format!("worker-{n}"));
        let hold = worker.ledger.hold().await.unwrap().unwrap();
        let Some(mut open) = worker.ledger.open(&wanted.name).await.unwrap() else {
            break;
        };
        steps.push(open.order.next());
        if open.order.next() == Step::Announce {
            worker.announce().await.unwrap();
        } else {
            let ran = worker
                .advance(&mut open, &mut None, &wanted, &world.access())
                .await
                .unwrap();
            assert!(
                !matches!(ran, Some(Ran::Failed { .. })),
                "{steps:?}: {ran:?}"
            );
        }
        hold.release().await;
        let state = workers.state(&format!("worker-{n}"));
        assert_eq!(found(&state, "PRIVATE KEY"), None, "{steps:?}");
    }
    assert_eq!(steps.len(), 9, "{steps:?}");
    assert_eq!(world.pebble.orders(), 1);
    assert_eq!(world.told.0.lock().unwrap().len(), 1);
    // Whoever comes later has certificate and key as well.
    let late = workers.worker("late");
    late.ledger.hold().await.unwrap().unwrap().release().await;
    let pem = late.shelf.get(&wanted.name).unwrap().unwrap();
    crate::materials::usable(pem.reveal()).unwrap();
    let known = late.ledger.known(&wanted).await.unwrap();
    let due = due(&wanted, &known, Timestamp::now()).unwrap();
    assert!(due.at > Timestamp::now(), "nobody orders it again: {due:?}");
    let sealed = workers.kept.records.lock().unwrap().clone();
    assert_eq!(sealed.len(), 2, "the account, and the certificate");
    for text in sealed.into_values() {
        let text = String::from_utf8(text).unwrap();
        assert!(AtRest::is_sealed(&text) && !text.contains("PRIVATE"));
    }
}

#[tokio::test]
async fn what_failed_is_known_to_whoever_goes_on() {
    let mut workers = Workers::new().await;
    let wanted = workers.world.wanted("blog", &["blog.example.org"]);
    workers.world.pebble.stop();
    let one = workers.worker("one");
    let hold = one.ledger.hold().await.unwrap().unwrap();
    let ran = one.run(&wanted, &now(), &workers.world.access()).await;
    assert!(matches!(ran, Ok(Some(Ran::Failed { .. }))), "{ran:?}");
    hold.release().await;
    let other = workers.worker("other");
    other.ledger.hold().await.unwrap().unwrap().release().await;
    let known = other.ledger.known(&wanted).await.unwrap();
    assert_eq!(known.failures.len(), 1);
    assert_eq!(known.failures[0].failure, Failure::Unreachable);
    let next = due(&wanted, &known, Timestamp::now()).unwrap();
    assert!(next.put_off, "{next:?}");
}

#[tokio::test]
async fn what_could_not_be_shared_goes_on_at_the_same_worker() {
    let workers = Workers::new().await;
    let world = &workers.world;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    let one = workers.worker("one");
    let hold = one.ledger.hold().await.unwrap().unwrap();
    let mut open = one.ledger.begin(begun(&wanted)).await.unwrap();
    one.advance(&mut open, &mut None, &wanted, &world.access())
        .await
        .unwrap();
    *workers.kept.away.lock().unwrap() = true;
    let died = one.run(&wanted, &now(), &world.access()).await;
    assert!(died.is_err(), "{died:?}");
    drop(hold);
    *workers.kept.away.lock().unwrap() = false;

    let again = workers.worker("one");
    let hold = again.ledger.hold().await.unwrap().unwrap();
    let ran = again.run(&wanted, &now(), &world.access()).await.unwrap();
    World::issued(ran.unwrap());
    hold.release().await;
    assert!(world.pebble.orders() <= 1, "{}", world.pebble.orders());
}

/// An event that was not answered comes to another worker, when what it asked for was done.
#[tokio::test]
async fn who_asked_is_known_to_every_worker() {
    let workers = Workers::new().await;
    let wanted = workers.world.wanted("blog", &["blog.example.org"]);
    let (one, other) = (workers.worker("one"), workers.worker("other"));
    let hold = one.ledger.hold().await.unwrap().unwrap();
    let ask = async |worker: &Orderer<Told>, event: &str| {
        let asked = worker.ledger.ask_by(&wanted.name, Asked::AtOnce, event);
        asked.await.unwrap();
        worker.ledger.known(&wanted).await.unwrap().asked
    };
    assert!(ask(&one, "first").await);
    one.ledger.ask(&wanted.name, Asked::No).await.unwrap();
    hold.release().await;
    let hold = other.ledger.hold().await.unwrap().unwrap();
    assert!(!ask(&other, "first").await);
    assert!(ask(&other, "second").await);
    hold.release().await;
}

/// Two have gone on without knowing of each other: what lies in the strongbox counts.
#[tokio::test]
async fn of_two_records_of_one_version_the_one_in_the_strongbox_stays() {
    let workers = Workers::new().await;
    let name = "blog".parse().unwrap();
    let (one, other) = (workers.worker("one"), workers.worker("other"));
    let suggest = async |worker: &Orderer<Told>, serial: &str| {
        let hold = worker.ledger.hold().await.unwrap().unwrap();
        let suggestion = Suggestion {
            serial: serial.to_owned(),
            window: None,
            again: Timestamp::UNIX_EPOCH,
        };
        let suggested = worker.ledger.suggest(&name, &suggestion).await;
        hold.release().await;
        suggested
    };
    suggest(&one, "first").await.unwrap();
    other.ledger.hold().await.unwrap().unwrap().release().await;
    *workers.kept.away.lock().unwrap() = true;
    suggest(&one, "of one").await.unwrap_err();
    *workers.kept.away.lock().unwrap() = false;
    suggest(&other, "of the other").await.unwrap();
    let there = workers.kept.records.lock().unwrap().clone();
    for worker in [&one, &other] {
        worker.ledger.hold().await.unwrap().unwrap().release().await;
        let known = worker.ledger.suggestion(&name).await.unwrap().unwrap();
        assert_eq!(known.serial, "of the other");
    }
    assert_eq!(*workers.kept.records.lock().unwrap(), there);
}

/// A worker alone, that seals what it writes down.
#[tokio::test]
async fn no_key_lies_in_the_clear_and_the_order_goes_on_after_a_restart() {
    let workers = Workers::new().await;
    let world = &workers.world;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    let alone = |name: &str| {
        let worker = workers.worker(name);
        let ledger = Ledger {
            common: None,
            ..worker.ledger
        };
        Orderer { ledger, ..worker }
    };
    let one = alone("alone");
    let mut open = one.ledger.begin(begun(&wanted)).await.unwrap();
    for _ in 0..3 {
        let ran = one
            .advance(&mut open, &mut None, &wanted, &world.access())
            .await;
        assert_eq!(ran.unwrap(), None);
    }
    let state = workers.state("alone");
    assert_eq!(found(&state, "PRIVATE KEY"), None);
    let again = alone("alone");
    let ran = again.run(&wanted, &now(), &world.access()).await.unwrap();
    World::issued(ran.unwrap());
    assert_eq!(found(&state, "PRIVATE KEY"), None);
    assert_eq!(world.pebble.orders(), 1);
    assert!(again.shelf.get(&wanted.name).unwrap().is_some());
}
