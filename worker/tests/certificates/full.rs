//! A disk without space: for the certificates, and for the whole of the worker's state. The worker lives on, what was in
//! use stays as it was, nothing is half written, and the order goes on when there is room.

use std::fs;

use super::place::{Place, Worker};

/// What lies among the certificates, and nothing but whole files.
fn shelf(place: &Place) -> Vec<(String, String)> {
    let folder = place.disk().path("certificates/example");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        assert!(name.ends_with(".pem"), "{name} was left");
        assert!(
            text.matches("-----BEGIN").count() == text.matches("-----END").count()
                && text.trim_end().ends_with("PRIVATE KEY-----"),
            "{name} is half written"
        );
        found.push((name, text));
    }
    found
}

fn is_told(place: &Place, before: usize, words: &[&str]) -> bool {
    let log = place.log();
    let told = log.get(before..).unwrap_or_default();
    words.iter().any(|words| told.contains(words))
}

/// How the worker and SQLite call it.
const FULL: [&str; 2] = ["No space left on device", "database or disk is full"];

#[test]
#[ignore = "lab: needs root"]
fn a_full_disk_loses_no_order_and_no_certificate() {
    let place = Place::new().small();
    place.disk().fill("certificates");
    let mut worker = place.start();
    place.wait("the full disk is told", || {
        is_told(&place, 0, &["No space left on device"])
    });
    assert!(shelf(&place).is_empty());
    place.disk().clear("certificates");
    place.said(0, &["renew", "blog", "--force"]);
    let first = place.next_serial("blog", None);
    assert_eq!(place.pebble.orders(), 1, "resumed");

    // A renewal that finds no space: the certificate in use stays whole.
    let before = (shelf(&place), place.log().len());
    place.disk().fill("certificates");
    place.said(0, &["renew", "blog", "--force"]);
    place.wait("the full disk is told again", || {
        is_told(&place, before.1, &["No space left on device"])
    });
    place.disk().clear("certificates");
    assert_eq!(shelf(&place), before.0);
    place.said(0, &["renew", "blog", "--force"]);
    let mut serial = place.next_serial("blog", Some(&first));
    assert_eq!(place.pebble.orders(), 2, "resumed");

    // The whole state is full, sooner or later within the order.
    for kib in [0, 32, 96, 256] {
        serial = without_space(&place, &mut worker, kib, &serial);
    }
}

/// Wants a renewal with so little space; the next certificate, once there is some again.
fn without_space(place: &Place, worker: &mut Worker, kib: u64, serial: &str) -> String {
    place.wait("the order before to be over", || {
        place
            .show("blog")
            .is_some_and(|view| view["order"].is_null())
    });
    let before = place.log().len();
    place.disk().fill("");
    place.disk().give_back("", kib * 1024);
    let asked = place.cert(&["renew", "blog", "--force"]);
    let asked = asked.status.success();
    place.wait("it is issued, or there is no space", || {
        !asked
            || is_told(place, before, &FULL)
            || place.serial("blog").is_some_and(|now| now != serial)
    });
    assert!(worker.lives(), "{kib} KiB");
    shelf(place);
    place.disk().clear("");
    place.said(0, &["renew", "blog", "--force"]);
    let next = place.next_serial("blog", Some(serial));
    assert!(worker.lives(), "{kib} KiB");
    shelf(place);
    next
}
