//! Keys that lie in the clear from a time before, and keys that nobody here can read any more.

use std::process::Command;

use windlass_core::ids::ClusterName;

use super::authority::begun;
use super::world::World;
use crate::acme::Ledger;
use crate::materials::AtRest;

fn ledger(world: &World, identity: &str) -> Ledger {
    let file = world.path().join(identity);
    if !file.exists() {
        let made = Command::new("age-keygen").arg("-o").arg(&file).output();
        assert!(made.unwrap().status.success());
    }
    let cluster: ClusterName = "example".parse().unwrap();
    Ledger::new(world.store(), cluster).at_rest(AtRest::new(&[file]))
}

#[tokio::test]
async fn keys_from_before_are_sealed_and_those_of_another_identity_are_lost() {
    let world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    let clear = world.orderer();
    let mut open = clear.ledger.begin(begun(&wanted)).await.unwrap();
    let (mut session, access) = (None, world.access());
    while open.key.is_none() || session.is_none() {
        let ran = clear.advance(&mut open, &mut session, &wanted, &access);
        assert_eq!(ran.await.unwrap(), None);
    }
    let directory = world.pebble.directory();
    let account = clear.ledger.credentials(&directory).await.unwrap().unwrap();

    let ours = ledger(&world, "ours");
    ours.seal().await.unwrap();
    for sealed in [
        "acme_order WHERE key LIKE '-----BEGIN AGE%'",
        "acme_account WHERE credentials LIKE '-----BEGIN AGE%'",
    ] {
        assert_eq!(world.count(sealed).await, 1, "{sealed}");
    }
    let again = ours.open(&wanted.name).await.unwrap().unwrap();
    assert_eq!(again.key, open.key);
    assert_eq!(ours.credentials(&directory).await.unwrap(), Some(account));

    let theirs = ledger(&world, "theirs");
    assert_eq!(theirs.credentials(&directory).await.unwrap(), None);
    assert!(theirs.open(&wanted.name).await.unwrap().is_none());
    assert_eq!(world.count("acme_order WHERE over = 0").await, 0);
}
