//! A renewal that was rolled back is tried again by itself, and nothing else is.

use jiff::SignedDuration;

use super::fixtures::{World, bundle, component, node, now, path, release, state};
use super::*;
use crate::codes::plan as codes;
use crate::release::Release;

const PEM: &str = "/etc/haproxy/certs/blog.pem";
const KEY: &str = "/etc/bind/xfer.key";
const LIST: &str = "/etc/haproxy/crt-list.txt";

/// The secrets are not from the repository, so nothing in it changes when they do.
fn holds(pem: &str, key: &str, list: &str) -> Release {
    let files = [
        (PEM, "haproxy", pem),
        (KEY, "bind", key),
        (LIST, "haproxy", list),
    ];
    let mut made = release(
        "a",
        "c",
        &files,
        vec![component("haproxy", &[])],
        Vec::new(),
    );
    for secret in [PEM, KEY] {
        let meta = made.meta.files.get_mut(&path(secret)).unwrap();
        meta.secret = true;
        meta.inputs = Vec::new();
    }
    made
}

fn pem(body: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----BEGIN PRIVATE KEY-----\n")
}

/// The bundle was rolled back `times` times, the last time so many minutes ago.
fn world(new: Release, times: u32, minutes: i64) -> World {
    let old = holds(&pem("old"), "key", "list");
    let digest = new.meta.digest;
    let mut world = World::new(bundle("c", vec![new]), vec![("a", state(Some(&old)))]);
    world.state("a").rolled_back.push(digest);
    world.quarantined.insert(world.bundle.digest);
    world.tried = Some(Tried {
        times,
        last: now() - SignedDuration::from_mins(minutes),
    });
    world
}

fn is_held(world: &World) -> bool {
    let plan = world.plan();
    assert!(plan.turns.contains_key(&node("a")));
    plan.findings
        .iter()
        .any(|finding| finding.code == codes::QUARANTINED)
}

#[test]
fn a_certificate_is_tried_again_later_each_time() {
    let renewed = || holds(&pem("new"), "key", "list");
    for (times, minutes, held) in [
        (1, 0, true),
        (1, 1, false),
        (2, 1, true),
        (2, 2, false),
        (5, 15, true),
        (5, 16, false),
        (40, 359, true),
        (40, 360, false),
    ] {
        let world = world(renewed(), times, minutes);
        assert_eq!(
            is_held(&world),
            held,
            "{times} times, {minutes} minutes ago"
        );
    }
    let plan = world(renewed(), 1, 0).plan();
    let hint = plan.findings.iter().next().unwrap().hint.clone().unwrap();
    assert!(hint.contains("2026-11-22T20:01:00Z"), "{hint}");

    // Nobody remembers when: not at once, or a worker without memory would try for ever.
    let mut world = world(renewed(), 1, 60);
    world.tried = None;
    assert!(is_held(&world));
}

#[test]
fn what_the_repository_or_another_secret_changes_is_left_alone() {
    let of = |new: Release, settled: bool| {
        let mut world = world(new, 1, 60);
        world.settled = settled;
        is_held(&world)
    };
    // A host more in the list: the repository's doing, unless that commit was rolled out before.
    assert!(of(holds(&pem("new"), "key", "more"), false));
    assert!(!of(holds(&pem("new"), "key", "more"), true));
    assert!(of(holds(&pem("new"), "another", "list"), true));
    assert!(
        of(holds(&pem("old"), "key", "more"), true),
        "no certificate changes"
    );
}
