//! Orders that go well: the first, renewals, other names and keys, many.

use std::os::unix::fs::PermissionsExt as _;

use jiff::Timestamp;
use windlass_core::acme::{Due, Known, Why, due};
use windlass_core::materials::SecretText;
use windlass_core::model::KeyType;

use super::pebble::{EAB_KEY, Options};
use super::world::World;
use crate::acme::{Leaf, Ran};

#[tokio::test]
async fn a_first_certificate_and_its_renewal() {
    let world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org", "www.example.org"]);
    let first = World::issued(world.run(&wanted).await);
    let file = world.path().join("certificates/example/blog.pem");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let pem = std::fs::read_to_string(&file).unwrap();
    assert!(
        pem.matches("BEGIN CERTIFICATE").count() >= 2,
        "with its chain"
    );
    crate::materials::usable(&pem).unwrap();
    let leaf = Leaf::read(&pem).unwrap();
    assert!(leaf.is_for(&wanted.names) && leaf.key == Some(KeyType::EcdsaP256));
    assert_eq!(leaf.serial, first.serial);
    assert_eq!(world.told.0.lock().unwrap().len(), 1);
    assert_eq!(
        world
            .count("acme_order WHERE key IS NOT NULL OR over = 0")
            .await,
        0
    );

    let second = World::issued(world.run(&wanted).await);
    assert_ne!(second.serial, first.serial);
    let renewed = std::fs::read_to_string(&file).unwrap();
    assert_eq!(Leaf::read(&renewed).unwrap().serial, second.serial);
    assert_ne!(key(&pem), key(&renewed), "each order has its own key");
    assert_eq!(world.count("acme_account").await, 1);
    let left = std::fs::read_dir(file.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "nothing half written stays");
}

fn key(pem: &str) -> &str {
    &pem[pem.find("PRIVATE KEY").unwrap()..]
}

#[tokio::test]
async fn six_days_are_renewed_after_three_and_other_names_at_once() {
    let world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    let issued = World::issued(world.run(&wanted).await);
    let ledger = world.orderer().ledger;
    let known = Known {
        issued: Some(issued.clone()),
        ..ledger.known(&wanted).await.unwrap()
    };
    let now = Timestamp::now();
    let next = due(&wanted, &known, now).unwrap();
    assert_eq!(next.why, Why::Ageing);
    let hours = next.at.duration_since(now).as_hours();
    assert!((24 * 2..=24 * 3).contains(&hours), "{hours}");

    let more = world.wanted("blog", &["blog.example.org", "new.example.org"]);
    let changed = due(&more, &known, now).unwrap();
    assert_eq!((changed.why, changed.at), (Why::Changed, now));
    let issued = World::issued(world.run(&more).await);
    assert_eq!(issued.terms, more.terms());
    let leaf = world.orderer().shelf.leaf(&more.name).unwrap().unwrap();
    assert!(leaf.is_for(&more.names));
}

#[tokio::test]
async fn twenty_certificates_share_one_account() {
    let world = World::new().await;
    let orderer = world.orderer();
    for n in 0..20 {
        let host = format!("site-{n}.example.org");
        let wanted = world.wanted(&format!("site-{n}"), &[&host]);
        let ran = orderer
            .run(&wanted, &super::world::now(), &world.access())
            .await;
        World::issued(ran.unwrap().unwrap());
    }
    assert_eq!(world.count("acme_account").await, 1);
    orderer.announce().await.unwrap();
    orderer.announce().await.unwrap();
    assert_eq!(
        world.told.0.lock().unwrap().len(),
        1,
        "all at once, and once"
    );
    assert_eq!(world.count("acme_order WHERE over = 0").await, 0);
}

#[tokio::test]
async fn other_kinds_of_keys() {
    let world = World::new().await;
    for (name, kind) in [("rsa", KeyType::Rsa2048), ("p384", KeyType::EcdsaP384)] {
        let mut wanted = world.wanted(name, &["keys.example.org"]);
        wanted.key = kind;
        World::issued(world.run(&wanted).await);
        let leaf = world.orderer().shelf.leaf(&wanted.name).unwrap().unwrap();
        assert_eq!(leaf.key, Some(kind));
    }
}

#[tokio::test]
async fn an_account_may_have_to_be_bound() {
    let world = World::with(Options {
        eab: true,
        ..Options::default()
    })
    .await;
    let mut wanted = world.wanted("blog", &["blog.example.org"]);
    let Ran::Failed { failure, why } = world.run(&wanted).await else {
        panic!("not without a binding")
    };
    assert_eq!(failure, windlass_core::acme::Failure::Refused, "{why}");

    wanted.authorities = vec![world.eab("kid-1")];
    let Ran::Failed { failure, why } = world.run(&wanted).await else {
        panic!("not without its key")
    };
    assert_eq!(failure, windlass_core::acme::Failure::Local);
    assert!(why.contains("secret `eab`"), "{why}");

    let mut access = world.access();
    access.eab = Some(SecretText::new(EAB_KEY));
    let ran = world
        .orderer()
        .run(&wanted, &super::world::now(), &access)
        .await;
    World::issued(ran.unwrap().unwrap());
}

#[tokio::test]
async fn a_first_order_is_rehearsed() {
    let world = World::new().await;
    let mut wanted = world.wanted("blog", &["blog.example.org"]);
    let staging = world.pebble.other_directory();
    wanted.authorities[0].staging = Some(windlass_core::yaml::At::nowhere(staging.clone()));
    let mut seen = Vec::new();
    loop {
        let orderer = world.orderer();
        let known = orderer.ledger.known(&wanted).await.unwrap();
        let next: Due = due(&wanted, &known, Timestamp::now()).unwrap();
        seen.push(next.rehearsal);
        match orderer
            .run(&wanted, &next, &world.access())
            .await
            .unwrap()
            .unwrap()
        {
            Ran::Rehearsed => assert!(orderer.shelf.leaf(&wanted.name).unwrap().is_none()),
            ran => {
                World::issued(ran);
                orderer.announce().await.unwrap();
                break;
            }
        }
    }
    assert_eq!(seen, [true, false]);
    assert_eq!(world.told.0.lock().unwrap().len(), 1);
    assert_eq!(
        world.count("acme_account").await,
        2,
        "one with each directory"
    );
}
