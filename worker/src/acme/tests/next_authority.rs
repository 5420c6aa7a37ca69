//! An authority that fails for long is followed by the next one: not before that, and for no longer than this once.

use jiff::{SignedDuration, Timestamp};
use windlass_core::acme::{Failure, due};
use windlass_core::model::Authority;
use windlass_core::yaml::At;

use super::pebble::{Options, Pebble};
use super::world::World;
use crate::acme::{Access, Ran};

#[tokio::test]
async fn one_that_fails_for_long_is_followed_by_the_next() {
    let mut world = World::new().await;
    let other = Pebble::start(world.http_port, Options::default());
    let mut wanted = world.wanted("blog", &["blog.example.org"]);
    wanted.authorities.push(Authority {
        name: "other".parse().unwrap(),
        directory: At::nowhere(other.directory()),
        ..world.authority()
    });
    world.pebble.stop();
    let failed = world.run(&wanted).await;
    let Ran::Failed { failure, why } = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(failure, Failure::Unreachable, "{why}");

    let orderer = world.orderer();
    let known = orderer.ledger.known(&wanted).await.unwrap();
    let now = Timestamp::now();
    let soon = due(&wanted, &known, now).unwrap();
    assert_eq!(soon.authority, 0, "it may only be starting again");
    let later = due(&wanted, &known, now + SignedDuration::from_hours(7)).unwrap();
    assert_eq!(later.authority, 1);

    // What the first one was asked for is let go of, and the other one begins.
    let access = Access {
        root: Some(other.root.clone()),
        ..world.access()
    };
    let ran = orderer.run(&wanted, &later, &access).await;
    World::issued(ran.unwrap().unwrap());
    assert_eq!(other.orders(), 1);
    let known = orderer.ledger.known(&wanted).await.unwrap();
    let issued = known.issued.as_ref().unwrap();
    assert_eq!(issued.directory, other.directory());
    let next = due(&wanted, &known, now).unwrap();
    assert_eq!(next.authority, 0, "the first one is asked for the renewal");
    assert!(next.at > now + SignedDuration::from_hours(24), "{next:?}");
}
