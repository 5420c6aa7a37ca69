use windlass_core::gate::DnsExpect;

use super::*;

/// One named with a good zone, a broken one, and a large text that only fits TCP.
async fn named(serial: u32) -> (Server, SocketAddr) {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let port = free_port();
    let zone = format!(
        "$TTL 300\n@ IN SOA ns1.example.org. hostmaster.example.org. ( {serial} 3600 900 604800 300 )\n\
         @ IN NS ns1\nns1 IN A 10.80.0.11\n@ IN MX 10 mail\nmail IN A 10.80.0.12\n\
         two IN A 10.80.0.1\ntwo IN A 10.80.0.2\nsix IN AAAA 2001:db8::1\n\
         txt IN TXT \"v=spf1 -all\"\nlarge IN TXT {}\n",
        format!("\"{}\" ", "x".repeat(200)).repeat(15)
    );
    std::fs::write(path.join("good"), zone).unwrap();
    std::fs::write(path.join("bad"), "@ IN A nonsense\n").unwrap();
    let config = format!(
        "options {{ directory \"{dir}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         pid-file none; session-keyfile none; recursion no; dnssec-validation no; }};\ncontrols {{ }};\n\
         zone \"example.org\" {{ type master; file \"good\"; }};\n\
         zone \"broken.example\" {{ type master; file \"bad\"; }};\n",
        dir = path.display()
    );
    std::fs::write(path.join("named.conf"), config).unwrap();
    let server = Server::start("named", &["-g", "-c", "named.conf"], directory);
    // It listens before its zones are loaded.
    let deadline = Instant::now() + Duration::from_secs(30);
    let own = || dns(local(port), "example.org", "SOA", DnsExpect::Authoritative);
    while !own().await.ok {
        assert!(Instant::now() < deadline, "named does not serve its zone");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (server, local(port))
}

async fn dns(server: SocketAddr, name: &str, rtype: &str, expect: DnsExpect) -> ProbeResult {
    let (name, rtype) = (name.to_owned(), rtype.to_owned());
    probe(
        None,
        Probe::Dns {
            server,
            name,
            rtype,
            expect,
        },
    )
    .await
}

async fn answer(server: SocketAddr, name: &str, rtype: &str, wanted: &[&str]) -> ProbeResult {
    let wanted = wanted.iter().map(|&record| record.to_owned()).collect();
    dns(server, name, rtype, DnsExpect::Answer(wanted)).await
}

#[tokio::test]
async fn answers_are_compared_as_zone_files_write_them() {
    let (_named, at) = named(7).await;
    let large = "x".repeat(3000);
    for (name, rtype, wanted) in [
        ("ns1.example.org", "A", vec!["10.80.0.11"]),
        ("two.example.org.", "a", vec!["10.80.0.2", "10.80.0.1"]),
        ("example.org", "MX", vec!["10 Mail.example.org."]),
        ("six.example.org", "AAAA", vec!["2001:db8:0:0::1"]),
        ("txt.example.org", "TXT", vec!["\"v=spf1 -all\""]),
        ("large.example.org", "TXT", vec![large.as_str()]),
    ] {
        let result = answer(at, name, rtype, &wanted).await;
        assert!(result.ok, "{name} {rtype}: {result:?}");
    }
}

#[tokio::test]
async fn other_answers_are_told_in_words() {
    let (_named, at) = named(7).await;
    for (name, rtype, wanted, words) in [
        ("two.example.org", "A", "10.80.0.3", "instead of 10.80.0.3"),
        ("ns1.example.org", "AAAA", "::1", "no AAAA record"),
        ("txt.example.org", "TXT", "v=spf1 +all", "instead of"),
        ("gone.example.org", "A", "10.0.0.1", "NXDOMAIN"),
        ("x.broken.example", "A", "10.0.0.1", "SERVFAIL"),
        ("www.example.net", "A", "10.0.0.1", "REFUSED"),
        ("example.org", "NONSENSE", "x", "is not a record type"),
    ] {
        assert_seen(&answer(at, name, rtype, &[wanted]).await, false, words);
    }
    let dead = answer(local(free_port()), "example.org", "A", &["10.0.0.1"]).await;
    assert!(!dead.ok);
}

#[tokio::test]
async fn a_stale_secondary_is_told_from_a_current_one() {
    let (_old, old) = named(4_294_967_290).await;
    let (_new, new) = named(5).await;
    let serial = |primary| DnsExpect::Serial { primary };
    assert_seen(
        &dns(new, "example.org", "SOA", serial(new)).await,
        true,
        "serial 5",
    );
    let ahead = dns(new, "example.org", "SOA", serial(old)).await;
    assert_seen(&ahead, true, "serial 5");
    let behind = dns(old, "example.org", "SOA", serial(new)).await;
    assert_seen(&behind, false, "serial 4294967290 is behind 5");
    let dead = dns(new, "example.org", "SOA", serial(local(free_port()))).await;
    assert_seen(&dead, false, "the primary");
    let own = dns(new, "example.org", "SOA", DnsExpect::Authoritative).await;
    assert_seen(&own, true, "authoritative, serial 5");
    let broken = dns(new, "broken.example", "SOA", DnsExpect::Authoritative).await;
    assert_seen(&broken, false, "SERVFAIL");
    let below = dns(new, "two.example.org", "SOA", DnsExpect::Authoritative).await;
    assert_seen(&below, false, "no SOA");
}
