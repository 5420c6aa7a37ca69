//! What Debian's next pebble has and the one of Debian 12 has not: renewal information (RFC 9773), and profiles.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use windlass_core::acme::{Failure, Issued, Known, Wanted, Why, due};

use super::world::World;
use crate::acme::Ran;

/// Asks the authority for its suggestion and remembers it, as the worker does.
async fn suggested(world: &World, wanted: &Wanted, issued: &Issued) -> Known {
    let orderer = world.orderer();
    let leaf = orderer.shelf.leaf(&wanted.name).unwrap().unwrap();
    let authority = &wanted.authorities[0];
    let suggested = orderer
        .suggested(authority, &issued.directory, &leaf, &world.access())
        .await
        .expect("this authority has suggestions");
    let ledger = orderer.ledger;
    ledger.suggest(&wanted.name, &suggested).await.unwrap();
    Known {
        issued: Some(issued.clone()),
        window: suggested.window,
        ..Known::default()
    }
}

#[tokio::test]
async fn an_authority_suggests_when_and_is_told_what_is_replaced() {
    let world = World::suggesting().await;
    let wanted = world.wanted("blog", &["blog.example.org", "www.example.org"]);
    let first = World::issued(world.run(&wanted).await);
    let shelf = world.orderer().shelf;
    let pem = shelf.get(&wanted.name).unwrap().unwrap();

    // By itself it suggests a time within the certificate's life.
    let known = suggested(&world, &wanted, &first).await;
    let now = Timestamp::now();
    let next = due(&wanted, &known, now).unwrap();
    assert_eq!(next.why, Why::Suggested);
    assert!(now < next.at && next.at < first.lifetime.until, "{next:?}");

    // It wants this one replaced, now.
    let window = json!({"suggestedWindow": {
        "start": (now - SignedDuration::from_hours(2)).to_string(),
        "end": (now - SignedDuration::from_hours(1)).to_string(),
    }});
    world.pebble.suggest(pem.reveal(), &window).await;
    let known = suggested(&world, &wanted, &first).await;
    let next = due(&wanted, &known, Timestamp::now()).unwrap();
    assert_eq!(next.why, Why::Suggested);
    assert!(next.at <= Timestamp::now() && !next.put_off, "{next:?}");
    let replaced = || world.pebble.log().matches("is a replacement of").count();
    assert_eq!(replaced(), 0);
    let second = World::issued(world.run(&wanted).await);
    assert_ne!(second.serial, first.serial);
    assert_eq!(replaced(), 1, "{}", world.pebble.log());

    // A worker whose disk went back in time follows the first one once more: that has been followed, and is no obstacle.
    shelf.put_whole(&wanted.name, &pem).unwrap();
    suggested(&world, &wanted, &first).await;
    World::issued(world.run(&wanted).await);
    assert_eq!(replaced(), 1, "{}", world.pebble.log());
}

#[tokio::test]
async fn a_certificate_is_of_the_profile_that_is_wanted() {
    let world = World::suggesting().await;
    let mut wanted = world.wanted("blog", &["blog.example.org"]);
    for (profile, days) in [("default", 90), ("shortlived", 6)] {
        wanted.profile = Some(profile.parse().unwrap());
        let issued = World::issued(world.run(&wanted).await);
        let length = issued.lifetime.until.duration_since(issued.lifetime.from);
        assert_eq!((length.as_hours() + 1) / 24, days, "{profile:?}");
    }
    wanted.profile = Some("tlsserver".parse().unwrap());
    let orders = world.pebble.orders();
    let Ran::Failed { failure, why } = world.run(&wanted).await else {
        panic!("there is no such profile")
    };
    assert_eq!(failure, Failure::Refused);
    assert!(
        why.contains("no profile `tlsserver`") && why.contains("shortlived"),
        "{why}"
    );
    assert_eq!(world.pebble.orders(), orders);
}
