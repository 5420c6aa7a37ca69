//! How plans, differences and outcomes read. The texts are snapshots, so that a change of words is seen in review.

use std::collections::BTreeMap;

use super::diff::{self, Fingerprints};
use super::{plan, roll};
use crate::codes::plan::LOCKED;
use crate::finding::Finding;
use crate::ids::{NodeName, NodePath};
use crate::model::cluster::Lock;
use crate::observed::{DriftKind, Seen};
use crate::outcome::{Failure, Outcome, StuckNode};
use crate::plan::fixtures::{World, bundle, component, gate, node, path, release, state};
use crate::plan::{Plan, Skipped};
use crate::release::Release;

const CFG: &str = "/etc/haproxy/haproxy.cfg";
const KEY: &str = "/etc/haproxy/certs/site.pem";

fn haproxy(name: &str, cfg: &str, key: &str) -> Release {
    let files = [(CFG, "haproxy", cfg), (KEY, "haproxy", key)];
    let gates = vec![gate("haproxy: https://blog.example.org/", "haproxy")];
    let mut made = release(
        name,
        "0123456789abcdef",
        &files,
        vec![component("haproxy", &[])],
        gates,
    );
    if let Some(file) = made.meta.files.get_mut(&path(KEY)) {
        file.secret = true;
    }
    made
}

const OLD: &str = "global\n  maxconn 1000\n\nfrontend web\n  bind :80\n";
const NEW: &str = "global\n  maxconn 2000\n\nfrontend web\n  bind :80\n  bind :443\n";

fn world() -> World {
    let names = ["vps1", "vps2", "vps3"];
    let new = names.map(|name| haproxy(name, NEW, "new secret")).to_vec();
    let old = |name: &'static str| (name, state(Some(&haproxy(name, OLD, "old secret"))));
    World::new(bundle("fedcba9876543210", new), names.map(old).to_vec())
}

fn planned(change: impl FnOnce(&mut World)) -> Plan {
    let mut world = world();
    change(&mut world);
    world.plan()
}

#[test]
fn a_plan_tells_order_changes_reasons_and_gates() {
    let text = plan::text(&planned(|world| {
        let away = Seen::Unreachable("connection timed out".into());
        world.observed.nodes.insert(node("vps3"), away);
    }));
    insta::assert_snapshot!(text);
}

#[test]
fn a_refused_plan_says_why_and_what_to_do() {
    let text = plan::text(&planned(|world| {
        world.policy.lock = Some(Lock {
            reason: "audit".into(),
        });
        let drifted = (path(CFG), DriftKind::Modified);
        world.state("vps2").drift.extend([drifted]);
    }));
    insta::assert_snapshot!(text);
}

#[test]
fn equal_differences_are_shown_once_and_secrets_never() {
    let world = world();
    let files = |name: &str| {
        let old = haproxy(name, OLD, "old secret");
        let new = &world.bundle.releases[&node(name)];
        (
            node(name),
            diff::releases(Some(&old), Some(new), &Fingerprints(b"key")),
        )
    };
    let text = diff::text(&["vps1", "vps2"].map(files).into(), false);
    assert!(!text.contains("old secret") && !text.contains("new secret"));
    insta::assert_snapshot!(text);
    let other = diff::releases(
        Some(&haproxy("vps1", OLD, "old secret")),
        world.bundle.releases.get(&node("vps1")),
        &Fingerprints(b"another key"),
    );
    assert_ne!(
        files("vps1").1,
        other,
        "a fingerprint does not depend on its key"
    );
}

#[test]
fn a_plans_differences_come_from_what_the_nodes_hold() {
    let world = world();
    let plan = world.plan();
    let old: BTreeMap<NodePath, Vec<u8>> =
        [(path(CFG), OLD.into()), (path(KEY), b"old secret".into())].into();
    let held: BTreeMap<NodeName, _> = [(node("vps1"), old)].into();
    let diffs = diff::of_plan(&plan, &held, &world.bundle, &Fingerprints(b"key"));
    let text = diff::text(&diffs, false);
    assert!(!text.contains("old secret") && text.contains("changed (fingerprint "));
    insta::assert_snapshot!(text);
}

fn failure(step: &str) -> Failure {
    Failure {
        node: node("vps2"),
        step: step.into(),
        what: "haproxy: https://blog.example.org/".into(),
        message: "503 Service Unavailable\u{7}".into(),
        log: vec!["backend blog has no server \u{1b}[2Javailable!".into()],
    }
}

/// One of each, and of some two.
fn outcomes() -> Vec<Outcome> {
    let (vps1, vps2) = (node("vps1"), node("vps2"));
    let skipped = vec![Skipped {
        node: vps2.clone(),
        why: "it cannot be reached: timed \u{7}out".into(),
    }];
    let locked = Finding::error(LOCKED, "the cluster is locked: audit").hint("remove the lock");
    vec![
        Outcome::Unchanged {
            skipped: skipped.clone(),
        },
        Outcome::RolledOut {
            nodes: vec![vps1.clone()],
            skipped,
        },
        Outcome::RolledBack {
            failure: failure("gates"),
            nodes: vec![vps1.clone(), vps2.clone()],
            kept: Vec::new(),
        },
        Outcome::RolledBack {
            failure: failure("cancel"),
            nodes: vec![vps2.clone()],
            kept: vec![vps1],
        },
        Outcome::Overtaken {
            by: "0123456789abcdef".repeat(2),
            nodes: vec![node("vps1")],
            left: vec![node("vps2")],
        },
        Outcome::TakenBack {
            nodes: vec![vps2.clone()],
        },
        Outcome::TakenBack { nodes: Vec::new() },
        Outcome::Refused {
            findings: [locked].into_iter().collect(),
        },
        Outcome::Stuck {
            nodes: vec![StuckNode {
                node: vps2,
                why: "it does not answer any more: timed out".into(),
                mend: "look at vps2".into(),
            }],
            failure: Some(failure("gates")),
        },
    ]
}

#[test]
fn outcomes_say_what_happened_and_what_to_do_next() {
    let plan = planned(|_| {});
    let texts: Vec<String> = outcomes()
        .iter()
        .map(|outcome| {
            format!(
                "[exit {}] {}",
                outcome.exit_code(),
                roll::text(outcome, Some((&plan.commit, &plan.subject)))
            )
        })
        .collect();
    let text = texts.join("\n");
    assert!(
        !text.contains(['\u{1b}', '\u{7}']),
        "a log moves the terminal's cursor"
    );
    insta::assert_snapshot!(text);
}
