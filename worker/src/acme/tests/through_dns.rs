//! Names proven through DNS: a real authority asks a real secondary for what the worker wrote to the real primary.

use windlass_core::acme::{Due, Failure, Known, Step, Wanted, due};
use windlass_core::materials::SecretText;
use windlass_core::yaml::At;

use super::authority::begun;
use super::name_servers::{KEY, NameServers, key};
use super::pebble::{EAB_KEY, Options};
use super::world::{World, now};
use crate::acme::{Access, Ran, Resolver};

struct Place {
    world: World,
    servers: NameServers,
}

impl Place {
    async fn new() -> Self {
        Self::with(Options::default(), true).await
    }

    async fn with(options: Options, is_notified: bool) -> Self {
        let servers = NameServers::start(is_notified).await;
        let options = Options {
            name_server: Some(servers.public()),
            ..options
        };
        let mut world = World::with(options).await;
        world.resolver = Resolver::asking(vec![servers.public()]);
        Self { world, servers }
    }

    fn wanted(&self, name: &str, names: &[&str]) -> Wanted {
        let mut wanted = self.world.wanted(name, &["over-http.example.org"]);
        wanted.names = names.iter().map(|name| name.parse().unwrap()).collect();
        wanted.ways.clear();
        wanted.dns = Some(self.servers.dns(names));
        wanted
    }

    fn access(&self) -> Access {
        Access {
            zone_key: Some(key()),
            ..self.world.access()
        }
    }

    async fn run(&self, wanted: &Wanted) -> Ran {
        self.run_with(wanted, &self.access()).await
    }

    async fn run_with(&self, wanted: &Wanted, access: &Access) -> Ran {
        let orderer = self.world.orderer();
        let ran = orderer.run(wanted, &now(), access).await.unwrap().unwrap();
        orderer.announce().await.unwrap();
        ran
    }

    /// Why it did not go on, which costs nothing at the authority.
    async fn broken(&self, wanted: &Wanted, access: &Access) -> String {
        match self.run_with(wanted, access).await {
            Ran::Failed {
                failure: Failure::PathBroken,
                why,
            } => why,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_wildcard_and_its_zone_in_one_certificate() {
    let place = Place::new().await;
    let wanted = place.wanted(
        "all",
        &["*.example.org", "example.org", "*.deep.down.example.org"],
    );
    World::issued(place.run(&wanted).await);
    let leaf = place
        .world
        .orderer()
        .shelf
        .leaf(&wanted.name)
        .unwrap()
        .unwrap();
    assert!(leaf.is_for(&wanted.names));
    assert!(
        place.servers.texts("example.org").await.is_empty(),
        "nothing stays"
    );
    assert!(
        place
            .servers
            .texts("deep.down.example.org")
            .await
            .is_empty()
    );

    // One more name is another certificate.
    let more = place.wanted("all", &["*.example.org", "example.org", "blog.example.org"]);
    assert_eq!(World::issued(place.run(&more).await).terms, more.terms());
    let leaf = place
        .world
        .orderer()
        .shelf
        .leaf(&more.name)
        .unwrap()
        .unwrap();
    assert!(leaf.is_for(&more.names));
}

/// What the authority's name server remembers of one order is no answer to the next.
#[tokio::test]
async fn two_certificates_of_one_name_right_after_each_other() {
    let place = Place::new().await;
    for name in ["first", "second", "third"] {
        let wanted = place.wanted(name, &["*.example.org", "example.org"]);
        World::issued(place.run(&wanted).await);
    }
    assert_eq!(place.world.pebble.orders(), 3);
}

#[tokio::test]
async fn a_bound_account_and_a_rehearsal() {
    let options = Options {
        eab: true,
        ..Options::default()
    };
    let place = Place::with(options, true).await;
    let mut wanted = place.wanted("all", &["*.example.org"]);
    wanted.authorities = vec![place.world.eab("kid-1")];
    wanted.authorities[0].staging = Some(At::nowhere(place.world.pebble.other_directory()));
    let access = Access {
        eab: Some(SecretText::new(EAB_KEY)),
        ..place.access()
    };
    let mut seen = Vec::new();
    for _ in 0..2 {
        let orderer = place.world.orderer();
        let known: Known = orderer.ledger.known(&wanted).await.unwrap();
        let next: Due = due(&wanted, &known, jiff::Timestamp::now()).unwrap();
        let ran = orderer.run(&wanted, &next, &access).await.unwrap().unwrap();
        seen.push(matches!(ran, Ran::Rehearsed));
        if let Ran::Failed { why, .. } = ran {
            panic!("{why}");
        }
    }
    assert_eq!(seen, [true, false]);
    assert!(
        place
            .world
            .orderer()
            .shelf
            .leaf(&wanted.name)
            .unwrap()
            .is_some()
    );
    assert!(place.servers.texts("example.org").await.is_empty());
}

#[tokio::test]
async fn a_primary_that_is_away_is_named_and_waited_for_with_the_same_order() {
    let mut place = Place::new().await;
    let wanted = place.wanted("all", &["*.example.org"]);
    place.servers.stop("homelab");
    for _ in 0..2 {
        let why = place.broken(&wanted, &place.access()).await;
        assert!(
            why.contains("homelab (127.0.0.1), the primary of acme.example.org"),
            "{why}"
        );
        assert!(!why.contains("vps"), "{why}");
    }
    place.servers.start_primary().await;
    World::issued(place.run(&wanted).await);
    assert_eq!(
        place.world.count("acme_order").await,
        1,
        "resumed, not repeated"
    );
}

#[tokio::test]
async fn a_secondary_that_lags_behind_is_named_and_the_authority_is_not_asked() {
    let mut place = Place::with(Options::default(), false).await;
    let wanted = place.wanted("blog", &["blog.example.org"]);
    let why = place.broken(&wanted, &place.access()).await;
    assert!(
        why.contains("vps2 (127.0.0.1) does not serve the record"),
        "{why}"
    );
    assert!(!why.contains("vps1") && !why.contains("homelab"), "{why}");
    assert_eq!(
        place.servers.texts("blog.example.org").await.len(),
        1,
        "it may still arrive"
    );
    place.servers.stop("homelab");
    place.servers.start_primary().await;
    World::issued(place.run(&wanted).await);
    assert_eq!(place.world.count("acme_order").await, 1);
    assert!(place.servers.texts("blog.example.org").await.is_empty());

    // One that is dead is named too.
    place.servers.stop("vps2");
    let other = place.wanted("www", &["www.example.org"]);
    let why = place.broken(&other, &place.access()).await;
    assert!(
        why.contains("vps2 (127.0.0.1)") && !why.contains("vps1"),
        "{why}"
    );
}

#[tokio::test]
async fn a_wrong_key_is_told_and_shown_to_nobody() {
    let place = Place::new().await;
    let wanted = place.wanted("blog", &["blog.example.org"]);
    let with = |text: &str| Access {
        zone_key: Some(SecretText::new(text)),
        ..place.world.access()
    };
    let wrong = "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc=";
    let why = place.broken(&wanted, &with(wrong)).await;
    assert!(
        why.contains("homelab (127.0.0.1)") && why.contains("TSIG"),
        "{why}"
    );
    assert!(
        why.contains("secret `acme_key`") && !why.contains(wrong),
        "{why}"
    );
    for (access, said) in [
        (with("no base64!"), "not base64"),
        (place.world.access(), "was not given"),
    ] {
        let Ran::Failed {
            failure: Failure::Local,
            why,
        } = place.run_with(&wanted, &access).await
        else {
            panic!("not without the key")
        };
        assert!(why.contains(said) && why.contains("`acme_key`"), "{why}");
    }
    World::issued(place.run(&wanted).await);
}

#[tokio::test]
async fn a_name_that_does_not_lead_to_the_zone_is_told() {
    let place = Place::new().await;
    let wanted = place.wanted("shop", &["blog.example.org", "shop.example.org"]);
    let why = place.broken(&wanted, &place.access()).await;
    assert!(
        why.contains(
            "_acme-challenge.shop.example.org is no CNAME to shop.example.org.acme.example.org."
        ),
        "{why}"
    );
    assert!(
        why.contains("vps1") && why.contains("vps2") && !why.contains("blog"),
        "{why}"
    );
    assert!(
        place.servers.texts("blog.example.org").await.is_empty(),
        "nothing was written"
    );

    let wanted = place.wanted("elsewhere", &["none.example.net", "there.example.net"]);
    let why = place.broken(&wanted, &place.access()).await;
    assert!(
        why.contains("_acme-challenge.none.example.net is no CNAME")
            && !why.contains("there.example.net"),
        "{why}"
    );
    let wanted = place.wanted("there", &["there.example.net"]);
    World::issued(place.run(&wanted).await);
}

/// The worker dies after each entry, and whoever comes next goes on with the same order.
#[tokio::test]
async fn killed_after_every_entry() {
    let place = Place::new().await;
    let wanted = place.wanted("all", &["*.example.org", "example.org"]);
    let (world, access) = (&place.world, place.access());
    drop(world.orderer().ledger.begin(begun(&wanted)).await.unwrap());
    let mut steps = Vec::new();
    loop {
        let orderer = world.orderer();
        let Some(mut open) = orderer.ledger.open(&wanted.name).await.unwrap() else {
            break;
        };
        steps.push(open.order.next());
        assert!(steps.len() < 20, "{steps:?}");
        if open.order.next() == Step::Announce {
            orderer.announce().await.unwrap();
            continue;
        }
        let ran = orderer
            .advance(&mut open, &mut None, &wanted, &access)
            .await
            .unwrap();
        assert!(
            !matches!(ran, Some(Ran::Failed { .. })),
            "{steps:?}: {ran:?}"
        );
        let standing = place.servers.texts("example.org").await.len();
        let expected = if open.order.next() == Step::Prove {
            2
        } else {
            0
        };
        assert_eq!(standing, expected, "{steps:?}");
    }
    assert_eq!(steps.len(), 9, "{steps:?}");
    assert_eq!(world.count("acme_order").await, 1);
}

/// The step was carried out, and nobody wrote it down.
#[tokio::test]
async fn killed_before_every_entry() {
    let place = Place::new().await;
    for refused in 2..=10 {
        let wanted = place.wanted(&format!("all-{refused}"), &["*.example.org", "example.org"]);
        let store = place.world.store();
        let trigger = format!(
            "CREATE TRIGGER full BEFORE INSERT ON acme_entry WHEN
               (SELECT count(*) FROM acme_entry WHERE order_id = NEW.order_id) >= {}
             BEGIN SELECT RAISE(ABORT, 'disk full'); END",
            refused - 1
        );
        store
            .call(move |db| db.execute_batch(&trigger))
            .await
            .unwrap();
        let died = place
            .world
            .orderer()
            .run(&wanted, &now(), &place.access())
            .await;
        let announced = place.world.orderer().announce().await;
        assert!(
            died.is_err() || announced.is_err(),
            "at entry {refused}: {died:?}"
        );
        store
            .call(|db| db.execute_batch("DROP TRIGGER full"))
            .await
            .unwrap();
        World::issued(place.run(&wanted).await);
        assert!(
            place.servers.texts("example.org").await.is_empty(),
            "at entry {refused}"
        );
    }
    assert_eq!(
        place.world.count("acme_order").await,
        9,
        "each resumed, none repeated"
    );
}

/// A worker that died for good, its disk with it, left a record: the next order takes it away.
#[tokio::test]
async fn a_record_that_was_left_goes_with_the_next_order() {
    let place = Place::new().await;
    let signed = format!("acme:{KEY}");
    let left = "update add blog.example.org.acme.example.org. 60 TXT left-over";
    assert!(place.servers.nsupdate(&signed, left).0);
    assert_eq!(place.servers.texts("blog.example.org").await, ["left-over"]);
    let wanted = place.wanted("blog", &["blog.example.org"]);
    World::issued(place.run(&wanted).await);
    assert!(place.servers.texts("blog.example.org").await.is_empty());
}

/// What the key may not do, with the policy of the starter's component.
#[tokio::test]
async fn the_key_writes_texts_into_its_zone_and_nothing_else() {
    let place = Place::new().await;
    let signed = format!("acme:{KEY}");
    for line in [
        "update add blog.example.org.acme.example.org. 60 A 192.0.2.1",
        "update add acme.example.org. 60 NS ns.evil.example.",
        "zone example.org\nupdate add evil.example.org. 60 TXT evil",
    ] {
        let (taken, said) = place.servers.nsupdate(&signed, line);
        assert!(!taken && said.contains("REFUSED"), "{line}: {said}");
    }
}
