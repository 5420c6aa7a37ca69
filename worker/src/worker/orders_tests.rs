//! Events of orders: what a person asked for is done once, however often it comes, and what comes in the clear is not taken.

use std::process::Command;
use std::sync::Mutex;

use serde_json::json;
use tokio::sync::watch;
use windlass_core::model::names::Label;

use super::tests::Cluster;
use super::*;
use crate::acme::Shelf;
use crate::acme::tests::world::World;
use crate::materials::AtRest;
use crate::queue::embedded::EmbeddedQueue;
use crate::queue::{CertificateDue, CertificatesIssued, Event, EventKind};
use crate::worker::consumer::{Answer, Handler as _};
use crate::worker::orders::{Ordering, Waking, accept, sealed};

const NODES: [(&str, &str); 2] = [("vps1", "127.0.0.1"), ("vps2", "127.0.0.2")];

/// A worker that has just started.
fn ordering(cluster: &Cluster) -> Ordering<Waking<EmbeddedQueue>> {
    Ordering {
        renewer: cluster.renewer(),
        next: watch::channel(Timestamp::now()).0,
        rolled: Mutex::default(),
    }
}

fn asking(id: &str, force: bool) -> Event {
    let due = CertificateDue {
        certificate: Some("blog".parse().unwrap()),
        force,
        rolled: None,
    };
    let cluster = "example".parse().unwrap();
    let event = Event::new(EventKind::Order, "/cli", &cluster, id);
    Event {
        // The clock of whoever asked is ahead.
        time: Timestamp::now() + SignedDuration::from_hours(1),
        ..event.with(json!(due))
    }
}

async fn handle(cluster: &Cluster, event: &Event) {
    let answer = ordering(cluster).handle(event.clone()).await;
    assert!(matches!(answer, Answer::Done), "{answer:?}");
}

#[tokio::test]
async fn what_was_asked_for_and_issued_is_not_ordered_again_for_the_same_event() {
    let cluster = Cluster::of(World::new().await, &NODES);
    cluster.roll().await;
    cluster.renewer().round(None).await.unwrap();
    let serial = || {
        let shelf = cluster.renewer().orderer.shelf;
        shelf
            .leaf(&"blog".parse().unwrap())
            .unwrap()
            .unwrap()
            .serial
    };
    let first = serial();
    handle(&cluster, &asking("one", false)).await;
    let second = serial();
    assert_ne!(second, first);
    handle(&cluster, &asking("one", false)).await;
    assert_eq!(serial(), second);
    handle(&cluster, &asking("two", false)).await;
    let third = serial();
    assert_ne!(third, second);
    // Others came between.
    handle(&cluster, &asking("one", true)).await;
    assert_eq!(serial(), third);
}

#[tokio::test]
async fn force_passes_what_failed_before_once_for_each_event() {
    let mut cluster = Cluster::of(World::new().await, &NODES);
    cluster.roll().await;
    cluster.world.pebble.stop();
    let tries = async || {
        let ledger = cluster.renewer().orderer.ledger;
        let open = ledger.open(&"blog".parse().unwrap()).await.unwrap();
        assert!(open.is_some());
        cluster.world.count("acme_entry").await
    };
    cluster.renewer().round(None).await.unwrap();
    let before = tries().await;
    handle(&cluster, &asking("one", true)).await;
    let once = tries().await;
    assert!(once > before, "{before}, {once}");
    handle(&cluster, &asking("one", true)).await;
    assert_eq!(tries().await, once);
    handle(&cluster, &asking("two", true)).await;
    assert!(tries().await > once);
}

/// Whoever reaches the broker can write an event.
#[tokio::test]
async fn certificates_that_come_in_the_clear_are_passed_over_where_there_is_an_identity() {
    let dir = tempfile::tempdir().unwrap();
    let identity = dir.path().join("identity");
    let made = Command::new("age-keygen").arg("-o").arg(&identity).output();
    assert!(made.unwrap().status.success());
    let directories = Directories {
        ordered: Some(dir.path().join("ordered")),
        at_rest: AtRest::new(&[identity]),
        ..Directories::default()
    };
    let own = rcgen::generate_simple_self_signed(vec!["blog.example.org".to_owned()]).unwrap();
    let pem = format!("{}{}", own.cert.pem(), own.signing_key.serialize_pem());
    let name: Label = "blog".parse().unwrap();
    let cluster = "example".parse().unwrap();
    let event = |data| Event::new(EventKind::Certificate, "/acme", &cluster, "one").with(data);
    let shelf = Shelf::at(&dir.path().join("ordered")).at_rest(directories.at_rest.clone());
    let clear = CertificatesIssued {
        certificates: vec![name.clone()],
        sealed: json!({ "blog": pem }).to_string(),
    };
    accept(&directories, &event(json!(clear))).await.unwrap();
    assert!(shelf.get(&name).unwrap().is_none());
    let issued = [(name.clone(), SecretText::new(&pem))];
    let data = sealed(&directories.at_rest, &issued).await.unwrap();
    accept(&directories, &event(data)).await.unwrap();
    assert_eq!(shelf.get(&name).unwrap().unwrap().reveal(), pem);
}
