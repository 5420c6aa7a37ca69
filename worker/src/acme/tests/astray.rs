//! What the real DNS says where it is not what the definitions do: delegated elsewhere or not at all, remembered from
//! before, silent. The world is a BIND of its own, which the authority's name server knows nothing of.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use windlass_core::acme::{Failure, Wanted};

use super::name_servers::NameServers;
use super::pebble::{Options, free_port};
use super::world::World;
use crate::acme::{Ran, Resolver};
use crate::dns::ask;

/// Takes questions and does not answer.
pub(super) fn silent() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// Answers for some zones, ended with the test.
struct Dns {
    named: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Dns {
    fn drop(&mut self) {
        drop(self.named.kill());
        drop(self.named.wait());
    }
}

impl Dns {
    /// Each zone with its name server and further lines.
    async fn serving(zones: &[(&str, &str, &str)]) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut config = format!(
            "controls {{ }};
             options {{ directory \"{}\"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }};
               listen-on-v6 {{ none; }}; recursion no; allow-query {{ any; }}; dnssec-validation no; empty-zones-enable no; }};\n",
            dir.path().display()
        );
        for (zone, server, lines) in zones {
            config.push_str(&format!(
                "zone \"{zone}\" {{ type primary; file \"{zone}.db\"; }};\n"
            ));
            let text = format!(
                "$TTL 60\n$ORIGIN {zone}.\n@ IN SOA {server}. hostmaster.{zone}. ( 1 3600 900 1209600 60 )\n@ IN NS {server}.\n{lines}\n"
            );
            std::fs::write(dir.path().join(format!("{zone}.db")), text).unwrap();
        }
        std::fs::write(dir.path().join("named.conf"), config).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let named = Command::new("named")
            .args(["-g", "-n", "1", "-c"])
            .arg(dir.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("bind9 is installed by scripts/setup.sh");
        let dns = Self {
            named,
            port,
            _dir: dir,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        let second = Duration::from_secs(1);
        for (zone, ..) in zones {
            while ask(dns.socket(), zone, RecordType::SOA, second)
                .await
                .is_err()
            {
                assert!(Instant::now() < deadline, "{zone} is not served");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        dns
    }

    fn socket(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn resolver(&self) -> Resolver {
        Resolver::asking(vec![self.socket()])
    }
}

/// Why it did not go on; the authority knows of nothing.
async fn held_up(world: &World, wanted: &Wanted) -> String {
    let Ran::Failed { failure, why } = world.run(wanted).await else {
        panic!("it went on")
    };
    assert_eq!(failure, Failure::PathBroken, "{why}");
    assert_eq!(world.pebble.orders(), 0, "{}", world.pebble.log());
    why
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_told_before_an_authority_sees_it() {
    let mut world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org", "www.example.org"]);
    let elsewhere = "blog IN A 127.0.0.8\nwww IN A 127.0.0.1\nwww IN A 127.0.0.2";
    let dns = Dns::serving(&[("example.org", "ns.elsewhere.example", elsewhere)]).await;
    world.resolver = dns.resolver();
    // Nobody listens there; then another web server does.
    let why = held_up(&world, &wanted).await;
    let told = "blog.example.org leads to 127.0.0.8";
    assert!(why.contains(told) && why.contains("registrar"), "{why}");
    assert!(
        why.contains("example.org") && why.contains("acme.resolvers"),
        "{why}"
    );
    let listener = tokio::net::TcpListener::bind(("127.0.0.8", world.http_port))
        .await
        .unwrap();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new()).await });
    let why = held_up(&world, &wanted).await;
    assert!(why.contains(told) && why.contains("404"), "{why}");
    assert!(!why.contains("www") && !why.contains("vps"), "{why}");

    // Once it is mended nothing is in the way.
    world.resolver = Resolver::asking(vec![world.pebble.names()]);
    World::issued(world.run(&wanted).await);
}

#[tokio::test]
async fn further_addresses_that_answer_are_no_harm() {
    let world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    world.pebble.lead("blog.example.org", "127.0.0.7").await;
    held_up(&world, &wanted).await;
    world.answer_at("127.0.0.7").await;
    World::issued(world.run(&wanted).await);
}

#[tokio::test]
async fn a_zone_that_is_delegated_elsewhere_or_nowhere_is_told() {
    let mut world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    let dns = Dns::serving(&[("example.org", "NS.Elsewhere.example", "")]).await;
    world.resolver = dns.resolver();
    let why = held_up(&world, &wanted).await;
    assert!(
        why.contains("example.org is delegated to ns.elsewhere.example, and not to ns.example.org")
            && why.contains("registrar"),
        "{why}"
    );

    let dns = Dns::serving(&[("org", "ns.registry.example", "")]).await;
    world.resolver = dns.resolver();
    let why = held_up(&world, &wanted).await;
    assert!(
        why.contains(
            "example.org is not delegated: have the registrar delegate it to ns.example.org"
        ),
        "{why}"
    );
}

#[tokio::test]
async fn a_name_that_nobody_has_heard_of_yet_is_ordered() {
    let mut world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    let dns = Dns::serving(&[("example.org", "NS.example.org", "ns IN A 127.0.0.1")]).await;
    world.resolver = dns.resolver();
    World::issued(world.run(&wanted).await);
}

#[tokio::test]
async fn a_resolver_that_is_away_holds_nothing_up_for_long() {
    let mut world = World::new().await;
    let silent = silent();
    // It does not answer for the zone.
    let refusing = Dns::serving(&[("example.net", "ns.example.net", "ns IN A 127.0.0.1")]).await;
    for at in [silent.local_addr().unwrap(), refusing.socket()] {
        world.resolver = Resolver::asking(vec![at]);
        let wanted = world.wanted("blog", &["blog.example.org", "www.example.org"]);
        let begun = Instant::now();
        World::issued(world.run(&wanted).await);
        // Looked at twice: before there is an order, and before the authority looks.
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{at}: {:?}",
            begun.elapsed()
        );
    }

    // The next one in the list is asked.
    let dns = Dns::serving(&[("example.org", "ns.elsewhere.example", "")]).await;
    let world = World {
        resolver: Resolver::asking(vec![silent.local_addr().unwrap(), dns.socket()]),
        ..World::new().await
    };
    held_up(&world, &world.wanted("blog", &["blog.example.org"])).await;
}

/// A wildcard has no address: for it the delegation alone tells.
#[tokio::test]
async fn through_dns_the_delegation_is_looked_at() {
    let servers = NameServers::start(true).await;
    let mut world = World::with(Options {
        name_server: Some(servers.public()),
        ..Options::default()
    })
    .await;
    let mut wanted = world.wanted("all", &["over-http.example.org"]);
    wanted.names = vec!["*.example.org".parse().unwrap()];
    wanted.ways.clear();
    wanted.dns = Some(servers.dns(&["*.example.org"]));
    let ours = ("example.org", "ns.example.org", "ns IN A 127.0.0.11");
    let run = async |world: &World| {
        let mut access = world.access();
        access.zone_key = Some(super::name_servers::key());
        let orderer = world.orderer();
        let ran = orderer.run(&wanted, &super::world::now(), &access).await;
        orderer.announce().await.unwrap();
        ran.unwrap().unwrap()
    };
    for (zones, told) in [
        (
            vec![("example.org", "ns.elsewhere.example", "")],
            "example.org is delegated to ns.elsewhere.example",
        ),
        (
            vec![ours, ("acme.example.org", "ns.elsewhere.example", "")],
            "acme.example.org is delegated to ns.elsewhere.example",
        ),
        (
            vec![("org", "ns.registry.example", "")],
            "example.org is not delegated",
        ),
    ] {
        let dns = Dns::serving(&zones).await;
        world.resolver = dns.resolver();
        let Ran::Failed { failure, why } = run(&world).await else {
            panic!("{told}")
        };
        assert_eq!(failure, Failure::PathBroken, "{why}");
        assert!(why.contains(told) && why.contains("registrar"), "{why}");
        assert_eq!(world.pebble.orders(), 0, "{why}");
    }

    // The zone for records is too new for whoever is asked: its delegation is ours, and that of the zone above counts.
    let dns = Dns::serving(&[ours]).await;
    world.resolver = dns.resolver();
    World::issued(run(&world).await);

    let silent = silent();
    world.resolver = Resolver::asking(vec![silent.local_addr().unwrap()]);
    World::issued(run(&world).await);
    assert_eq!(world.pebble.orders(), 2, "{}", world.pebble.log());
}
