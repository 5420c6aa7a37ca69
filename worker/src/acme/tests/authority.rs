//! Authorities that are away, forget, refuse; and what is asked of them beside orders.

use windlass_core::acme::{Entry, Failure};
use windlass_core::model::reach::Way;

use super::astray::silent;
use super::pebble::Options;
use super::world::World;
use crate::acme::{Ran, Reason, Resolver, revoke, roll_account_key};

fn failed(ran: Ran) -> (Failure, String) {
    match ran {
        Ran::Failed { failure, why } => (failure, why),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_authority_that_is_away_is_waited_for_with_the_same_order() {
    let mut world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    world.pebble.stop();
    for _ in 0..2 {
        let (failure, why) = failed(world.run(&wanted).await);
        assert_eq!(failure, Failure::Unreachable, "{why}");
    }
    world.pebble.start_again();
    World::issued(world.run(&wanted).await);
    assert_eq!(world.count("acme_order").await, 1, "resumed, not repeated");
}

#[tokio::test]
async fn an_authority_that_forgot_everything_gets_a_new_account() {
    let mut world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    World::issued(world.run(&wanted).await);
    // Between orders: nobody notices.
    world.pebble.stop();
    world.pebble.start_again();
    World::issued(world.run(&wanted).await);

    // Within one: it is lost, and the next is a new one.
    let orderer = world.orderer();
    let begun = orderer.ledger.begin(begun(&wanted)).await.unwrap();
    let mut open = begun;
    let mut session = None;
    while !matches!(open.order.next(), windlass_core::acme::Step::Prove) {
        let ran = orderer
            .advance(&mut open, &mut session, &wanted, &world.access())
            .await
            .unwrap();
        assert_eq!(ran, None);
    }
    world.pebble.stop();
    world.pebble.start_again();
    let (failure, why) = failed(world.run(&wanted).await);
    assert_eq!(failure, Failure::OrderLost, "{why}");
    World::issued(world.run(&wanted).await);
}

pub(super) fn begun(wanted: &windlass_core::acme::Wanted) -> windlass_core::acme::order::Begun {
    windlass_core::acme::order::Begun {
        certificate: wanted.name.clone(),
        authority: wanted.authorities[0].name.clone(),
        directory: wanted.authorities[0].directory.value.clone(),
        names: wanted.names.clone(),
        key: wanted.key,
        profile: wanted.profile.clone(),
        terms: wanted.terms(),
        rehearsal: false,
        challenge: wanted.challenge(),
    }
}

#[tokio::test]
async fn one_name_of_three_is_refused_and_the_old_certificate_stays() {
    let mut world = World::new().await;
    let good = world.wanted("blog", &["a.example.org", "b.example.org"]);
    let issued = World::issued(world.run(&good).await);

    let blocked = world.wanted(
        "blog",
        &["a.example.org", "blocked.example.com", "b.example.org"],
    );
    let (failure, why) = failed(world.run(&blocked).await);
    assert_eq!(failure, Failure::Refused);
    assert!(why.contains("blocked.example.com"), "{why}");

    // The third leads elsewhere for the authority, which neither the repository nor the worker's resolver knows.
    let silent = silent();
    world.resolver = Resolver::asking(vec![silent.local_addr().unwrap()]);
    world.pebble.lead("c.example.org", "127.0.0.77").await;
    let astray = world.wanted("blog", &["a.example.org", "b.example.org", "c.example.org"]);
    let (failure, why) = failed(world.run(&astray).await);
    assert_eq!(failure, Failure::Unproven);
    assert!(
        why.contains("c.example.org") && !why.contains("a.example.org"),
        "{why}"
    );

    let leaf = world.orderer().shelf.leaf(&good.name).unwrap().unwrap();
    assert_eq!(leaf.serial, issued.serial);
    assert_eq!(world.told.0.lock().unwrap().len(), 1);
    // What failed for other names does not put these off.
    let known = world.orderer().ledger.known(&good).await.unwrap();
    assert!(known.failures.is_empty(), "{known:?}");
    assert_eq!(
        world
            .orderer()
            .ledger
            .known(&astray)
            .await
            .unwrap()
            .failures
            .len(),
        1
    );
}

#[tokio::test]
async fn a_broken_path_names_the_node_and_the_authority_is_not_asked() {
    let world = World::new().await;
    let mut wanted = world.wanted("blog", &["blog.example.org"]);
    let third = Way {
        node: Some("vps3".parse().unwrap()),
        address: "127.0.0.3".parse().unwrap(),
    };
    for ways in wanted.ways.values_mut() {
        ways.push(third.clone());
    }
    for _ in 0..2 {
        let (failure, why) = failed(world.run(&wanted).await);
        assert_eq!(failure, Failure::PathBroken);
        assert!(
            why.contains("vps3 (127.0.0.3)") && !why.contains("vps1"),
            "{why}"
        );
    }
    // Another server takes the path: 404, as from a site that knows nothing of it.
    let listener = tokio::net::TcpListener::bind(("127.0.0.3", world.http_port))
        .await
        .unwrap();
    let stranger = tokio::spawn(async move { axum::serve(listener, axum::Router::new()).await });
    let (_, why) = failed(world.run(&wanted).await);
    assert!(why.contains("404"), "{why}");
    stranger.abort();
    drop(stranger.await);
    world.answer_at("127.0.0.3").await;
    World::issued(world.run(&wanted).await);
    assert_eq!(
        world.count("acme_order").await,
        1,
        "one order through all of it"
    );
}

#[tokio::test]
async fn refused_nonces_cost_time_and_nothing_else() {
    let world = World::with(Options {
        nonces_refused: 30,
        ..Options::default()
    })
    .await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    for _ in 0..100 {
        match world.run(&wanted).await {
            Ran::Failed { failure, why } => assert_eq!(failure, Failure::Unreachable, "{why}"),
            ran => {
                World::issued(ran);
                assert_eq!(world.count("acme_order").await, 1);
                return;
            }
        }
    }
    panic!("a hundred runs are enough");
}

#[tokio::test]
async fn a_certificate_is_declared_void_and_an_account_gets_a_new_key() {
    let world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    let issued = World::issued(world.run(&wanted).await);
    let orderer = world.orderer();
    let (authority, access) = (world.authority(), world.access());
    let directory = authority.directory.as_str();

    let before = orderer
        .ledger
        .credentials(directory)
        .await
        .unwrap()
        .unwrap();
    roll_account_key(&orderer.ledger, &authority, directory, &access)
        .await
        .unwrap();
    let after = orderer
        .ledger
        .credentials(directory)
        .await
        .unwrap()
        .unwrap();
    assert!(before != after);

    let leaf = orderer.shelf.leaf(&wanted.name).unwrap().unwrap();
    assert_eq!(world.pebble.status_of(&issued.serial).await, "Valid");
    let void = (&leaf, Reason::Superseded);
    revoke(&orderer.ledger, &authority, directory, &access, void)
        .await
        .unwrap();
    assert_eq!(world.pebble.status_of(&issued.serial).await, "Revoked");
    let void = (&leaf, Reason::Superseded);
    revoke(&orderer.ledger, &authority, directory, &access, void)
        .await
        .unwrap();
    World::issued(world.run(&wanted).await);
    assert_eq!(world.count("acme_account").await, 1);
}

#[tokio::test]
async fn an_unknown_profile_is_told_before_anything_is_ordered() {
    let world = World::new().await;
    let mut wanted = world.wanted("blog", &["blog.example.org"]);
    wanted.profile = Some("shortlived".parse().unwrap());
    let (failure, why) = failed(world.run(&wanted).await);
    assert_eq!(failure, Failure::Refused);
    assert!(why.contains("no profile `shortlived`"), "{why}");
}

#[tokio::test]
async fn an_order_of_other_terms_gives_way() {
    let world = World::new().await;
    let old = world.wanted("blog", &["old.example.org"]);
    let orderer = world.orderer();
    let mut open = orderer.ledger.begin(begun(&old)).await.unwrap();
    let key = windlass_core::materials::SecretText::new("no key at all");
    orderer
        .ledger
        .append(&mut open, &Entry::Keyed, Some(key))
        .await
        .unwrap();
    let new = world.wanted("blog", &["new.example.org"]);
    let ran = world.run(&new).await;
    assert_eq!(World::issued(ran).terms, new.terms());
    assert_eq!(
        world
            .count("acme_order WHERE over = 0 OR key IS NOT NULL")
            .await,
        0
    );
}
