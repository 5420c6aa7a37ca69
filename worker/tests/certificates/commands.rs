//! `windlass cert` beside a running worker, as docs/commands.md promises it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::place::Place;

fn fits(schema: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../schemas/{schema}.json"));
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
}

#[test]
#[ignore = "lab: needs root"]
fn a_certificate_is_listed_renewed_exported_and_revoked_beside_the_worker() {
    let place = Place::new();
    let said = place.said(2, &["list"]);
    assert!(said.contains("has the worker ever run"), "{said}");
    let _worker = place.start();
    let first = place.next_serial("blog", None);

    let listed = place.said(0, &["list", "--no-probe"]);
    let line = |name: &str| -> Vec<String> {
        let row = listed.lines().find(|row| row.starts_with(name)).unwrap();
        row.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(line("blog")[1], "pebble");
    assert_eq!(line("mail")[1..], ["file", "-", "-", "-", "-"]);
    fits("certificate-state", &place.show("blog").unwrap());
    let plan = place.said(0, &["plan"]);
    assert!(plan.starts_with("nothing is due now"), "{plan}");
    assert!(
        place
            .said(2, &["show", "shop"])
            .contains("it wants blog, mail")
    );

    // What the node serves is seen at its own address, whoever signed it.
    place.said(
        0,
        &[
            "export",
            "blog",
            "--out",
            &place.path("out").display().to_string(),
        ],
    );
    let exported = place.path("out/blog.pem");
    assert_eq!(
        fs::metadata(&exported).unwrap().permissions().mode() & 0o777,
        0o600
    );
    place.serve(&exported);
    let show = place.said(0, &["show", "blog"]);
    assert!(
        show.contains(&first) && show.contains("serves it"),
        "{show}"
    );
    assert!(show.contains("not trusted"), "{show}");

    let second = renewed(&place, &first);
    revoked(&place, &first, &second);
    assert_eq!(place.pebble.orders(), 3);
}

/// Another one, which the node does not serve yet.
fn renewed(place: &Place, first: &str) -> String {
    place.said(0, &["renew", "blog"]);
    let second = place.next_serial("blog", Some(first));
    let said = place.said(1, &["list"]);
    assert!(
        said.contains("behind: vps1") && said.contains("WL329"),
        "{said}"
    );
    let output = place.cert(&["list", "--format", "json"]);
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    fits("certificates", &listed);
    assert_eq!(listed[0]["served"][0]["stand"], "behind");
    told(place, &second);
    second
}

/// API and metrics tell it by themselves; from outside only what is served can be seen.
fn told(place: &Place, serial: &str) {
    let metric =
        "windlass_certificate_behind{cluster=\"example\",certificate=\"blog\",node=\"vps1\"} 1";
    let metrics = || place.get("/metrics").unwrap_or_default();
    place.wait("the metric", || metrics().contains(metric));
    let seen = place.get("/api/v1/clusters/example/certificates").unwrap();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    fits("certificates-seen", &seen);
    assert_eq!(seen["certificates"][0]["in_use"]["serial"], serial);
    assert!(
        place.log().contains("vps1 serves another certificate"),
        "{}",
        place.log()
    );
    let status = place.status();
    fits("status", &status);
    assert_eq!(status["certificates"][0]["served"][0]["stand"], "current");
}

fn revoked(place: &Place, first: &str, second: &str) {
    place.said(0, &["roll-key"]);
    let refused = place.said(1, &["revoke", "blog", "--reason", "superseded"]);
    assert!(refused.contains("give --yes"), "{refused}");
    place.said(
        0,
        &["revoke", "blog", "--reason", "key-compromise", "--yes"],
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let status = |serial: &str| runtime.block_on(place.pebble.status_of(serial));
    assert_eq!(
        (status(first), status(second)),
        ("Valid".into(), "Revoked".into())
    );
    let third = place.next_serial("blog", Some(second));
    assert_ne!(third, first);
}

/// Days that people name count for every certificate, however short its life: this one begins with six.
#[test]
#[ignore = "lab: needs root"]
fn one_with_fewer_days_left_than_people_want_is_told() {
    let place = Place::new();
    let path = place.path("origin/cluster.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}  alert_days: 10\n")).unwrap();
    place.git(&["commit", "--quiet", "--all", "--message", "Ten days"]);
    let _worker = place.start();
    place.next_serial("blog", None);
    place.wait("the worker's finding", || place.log().contains("WL328"));
    let said = place.said(1, &["list"]);
    assert!(said.contains("WL328") && said.contains("blog"), "{said}");
}

/// `acme_server` is not set: the edge has no way to the worker, which is told with what mends it, and costs nothing.
#[test]
#[ignore = "lab: needs root"]
fn a_way_that_is_broken_is_a_finding_that_names_the_node() {
    let place = Place::new();
    place.answer_at_port(81);
    let _worker = place.start();
    let failed = || {
        place
            .show("blog")
            .is_some_and(|view| !view["failure"].is_null())
    };
    place.wait("the failure", failed);
    let said = place.said(1, &["list", "--no-probe"]);
    for word in ["WL330", "vps1", "acme_server"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(
        place
            .said(1, &["show", "blog", "--no-probe"])
            .contains("put off")
    );
    assert_eq!(place.pebble.orders(), 0, "no authority was asked");
}

/// Chain and key for one name, signed by itself.
fn made(name: &str) -> String {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
#[ignore = "lab: needs root"]
fn a_certificate_from_elsewhere_is_taken_if_it_is_right() {
    let place = Place::new();
    let _worker = place.start();
    let first = place.next_serial("blog", None);
    let import = |code: i32, name: &str, pem: &str| {
        let file = place.path(&format!("{name}.pem"));
        fs::write(&file, pem).unwrap();
        place.said(code, &["import", &file.display().to_string()])
    };
    let wrong = import(1, "mail", &made("other.example.org"));
    assert!(wrong.contains("WL323"), "{wrong}");
    let (one, other) = (made("mail.example.org"), made("mail.example.org"));
    let marker = "-----BEGIN PRIVATE KEY-----";
    let mixed =
        one.split(marker).next().unwrap().to_owned() + marker + other.split(marker).nth(1).unwrap();
    let wrong = import(1, "mail", &mixed);
    assert!(wrong.contains("WL322"), "{wrong}");
    assert!(!place.path("pem/mail.pem").exists());
    assert!(import(2, "shop", &one).contains("it wants blog, mail"));

    import(0, "mail", &one);
    let file = place.path("pem/mail.pem");
    assert_eq!(fs::read_to_string(&file).unwrap(), one);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let refused = place.said(2, &["renew", "mail"]);
    assert!(refused.contains("given as a file"), "{refused}");

    // One that is ordered otherwise is replaced as well, and nothing is ordered for it.
    let said = import(0, "blog", &made("blog.example.org"));
    assert!(!said.contains("orders another"), "{said}");
    assert_ne!(place.serial("blog").unwrap(), first);
    assert_eq!(place.pebble.orders(), 1);
}
