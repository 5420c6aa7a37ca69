//! What a plan decides, one decision a test.

use super::fixtures::{World, bundle, component, gate, node, path, release, state};
use super::*;
use crate::codes::Code;
use crate::codes::plan as codes;
use crate::gate::{GateScope, Probe};
use crate::model::cluster::Lock;
use crate::model::freeze::Freeze;
use crate::model::scalars::Percent;
use crate::model::{Drift, Unreachable};
use crate::observed::{Attempt, AttemptPhase, DriftKind, Seen};
use crate::release::Release;
use crate::yaml::At;

const CFG: &str = "/etc/haproxy/haproxy.cfg";
const MAP: &str = "/etc/haproxy/hosts.map";
const ZONE: &str = "/etc/bind/example.org.zone";

fn haproxy(name: &str, cfg: &str, map: &str) -> Release {
    let files = [(CFG, "haproxy", cfg), (MAP, "haproxy", map)];
    let gates = vec![gate("site answers", "haproxy")];
    release(name, "c", &files, vec![component("haproxy", &[])], gates)
}

/// Two nodes on "old", planned to "new".
fn world() -> World {
    let new = bundle(
        "new",
        vec![haproxy("a", "new", "m"), haproxy("b", "new", "m")],
    );
    let old = |name: &str| state(Some(&haproxy(name, "old", "m")));
    World::new(new, vec![("a", old("a")), ("b", old("b"))])
}

fn codes_of(plan: &Plan) -> Vec<Code> {
    plan.findings.iter().map(|finding| finding.code).collect()
}

fn labels(commands: &[Command]) -> Vec<&str> {
    commands
        .iter()
        .map(|command| command.label.as_str())
        .collect()
}

fn kinds(turn: &Turn) -> Vec<(ChangeKind, &str)> {
    let changes = turn.changes.iter();
    changes
        .map(|change| (change.kind, change.path.as_str()))
        .collect()
}

#[test]
fn only_what_differs_changes_and_says_why() {
    let mut world = world();
    *world.state("b") = state(Some(&haproxy("b", "new", "m")));
    let plan = world.plan();
    assert_eq!(plan.findings, Findings::default());
    assert_eq!(plan.waves, [[node("a")]]);
    assert_eq!(plan.fence, 1000);
    assert!(plan.unchanged.contains_key(&node("b")));
    let turn = &plan.turns[&node("a")];
    assert_eq!(kinds(turn), [(ChangeKind::Replace, CFG)]);
    let source = "components/haproxy/_etc_haproxy_haproxy.cfg".to_owned();
    assert_eq!(turn.changes[0].because, [(source, "changed".to_owned())]);
    assert_eq!(labels(&turn.forward), ["reload haproxy"]);
    assert_eq!(labels(&turn.backward), ["reload haproxy"]);
    assert_eq!(labels(&turn.drain), ["drain haproxy"]);
    assert_eq!(labels(&turn.undrain), ["undrain haproxy"]);
}

#[test]
fn an_empty_machine_gets_everything_and_goes_back_to_nothing() {
    let mut world = world();
    *world.state("a") = state(None);
    let plan = world.plan();
    let turn = &plan.turns[&node("a")];
    assert_eq!(turn.base, None);
    assert_eq!(
        kinds(turn),
        [(ChangeKind::Create, CFG), (ChangeKind::Create, MAP)]
    );
    assert_eq!(labels(&turn.forward), ["reload haproxy"]);
    assert_eq!(labels(&turn.backward), ["stop haproxy"]);
    assert!(turn.drain.is_empty() && turn.undrain.is_empty());
    assert_eq!(turn.packages, ["haproxy-package"]);
}

#[test]
fn a_component_that_leaves_is_stopped_and_its_files_go() {
    let both = release(
        "a",
        "c",
        &[(CFG, "haproxy", "x"), (ZONE, "bind", "z")],
        vec![component("bind", &[]), component("haproxy", &[])],
        Vec::new(),
    );
    let one = release(
        "a",
        "c",
        &[(CFG, "haproxy", "x")],
        vec![component("haproxy", &[])],
        Vec::new(),
    );
    let gone = World::new(
        bundle("new", vec![one.clone()]),
        vec![("a", state(Some(&both)))],
    );
    let plan = gone.plan();
    let turn = &plan.turns[&node("a")];
    assert_eq!(kinds(turn), [(ChangeKind::Remove, ZONE)]);
    assert_eq!(labels(&turn.forward), ["stop bind"]);
    assert_eq!(labels(&turn.backward), ["reload bind"]);
    let come = World::new(bundle("new", vec![both]), vec![("a", state(Some(&one)))]);
    let plan = come.plan();
    let turn = &plan.turns[&node("a")];
    assert_eq!(labels(&turn.forward), ["reload bind"]);
    assert_eq!(labels(&turn.backward), ["stop bind"]);
}

#[test]
fn globs_choose_the_actions_over_all_files_of_the_node() {
    let with = |zone: &str, cfg: &str| {
        let files = [(CFG, "haproxy", cfg), (ZONE, "bind", zone)];
        let parts = vec![
            component("haproxy", &["/etc/haproxy/*", "/etc/bind/*.key"]),
            component("bind", &["/etc/**/*.zone"]),
        ];
        release("a", "c", &files, parts, Vec::new())
    };
    let forward = |new: Release| {
        let world = World::new(
            bundle("new", vec![new]),
            vec![("a", state(Some(&with("z", "c"))))],
        );
        let plan = world.plan();
        labels(&plan.turns[&node("a")].forward).join(", ")
    };
    assert_eq!(forward(with("z2", "c")), "reload bind");
    assert_eq!(forward(with("z", "c2")), "reload haproxy");
    assert_eq!(forward(with("z2", "c2")), "reload haproxy, reload bind");
}

#[test]
fn drift_is_refused_by_file_unless_policy_or_person_gives_it_up() {
    let mut world = world();
    *world.state("b") = state(Some(&haproxy("b", "new", "m")));
    world
        .state("b")
        .drift
        .insert(path(MAP), DriftKind::Modified);
    let plan = world.plan();
    assert_eq!(codes_of(&plan), [codes::DRIFT]);
    let finding = plan.findings.iter().next().unwrap();
    assert_eq!(finding.message, format!("{MAP} on b was changed by hand"));
    assert_eq!(finding.node, Some(node("b")));
    world.adopt.paths.insert((node("b"), path(MAP)));
    let adopted = world.plan();
    world.adopt = Adopt::default();
    world.policy.drift = Drift::Overwrite;
    for plan in [adopted, world.plan()] {
        assert_eq!(codes_of(&plan), []);
        let turn = &plan.turns[&node("b")];
        assert_eq!(kinds(turn), [(ChangeKind::Replace, MAP)]);
        assert_eq!(turn.adopt, [path(MAP)]);
        assert_eq!(turn.changes[0].because.last().unwrap().1, "changed by hand");
    }
}

#[test]
fn a_node_that_is_down_is_skipped_or_stops_everything() {
    let mut world = world();
    world
        .observed
        .nodes
        .insert(node("b"), Seen::Unreachable("timed out".into()));
    let plan = world.plan();
    assert_eq!(codes_of(&plan), []);
    assert_eq!(plan.skipped[0].why, "it cannot be reached: timed out");
    assert_eq!(plan.waves, [[node("a")]]);
    world.policy.unreachable = Unreachable::Refuse;
    assert_eq!(codes_of(&world.plan()), [codes::NODE_DOWN]);
    world.policy.unreachable = Unreachable::Skip;
    world.observed.nodes.clear();
    assert_eq!(
        codes_of(&world.plan()),
        [codes::NODE_DOWN, codes::NODE_DOWN]
    );
}

#[test]
fn quorum_counts_nodes_that_are_up_and_not_half_way() {
    let mut world = world();
    world
        .policy
        .quorum
        .insert("edge".parse().unwrap(), At::nowhere(2));
    assert_eq!(codes_of(&world.plan()), []);
    world.state("b").attempt = Some(Attempt {
        token: "t".into(),
        fence: 6,
        base: None,
        target: Digest::of(b"x"),
        phase: AttemptPhase::Stuck,
        reason: "reload failed".into(),
    });
    assert_eq!(codes_of(&world.plan()), [codes::QUORUM, codes::STUCK]);
    world
        .observed
        .nodes
        .insert(node("b"), Seen::Unreachable("off".into()));
    assert_eq!(codes_of(&world.plan()), [codes::QUORUM]);
}

#[test]
fn another_workers_attempt_is_left_alone() {
    for phase in [
        AttemptPhase::Activating,
        AttemptPhase::Activated,
        AttemptPhase::RollingBack,
    ] {
        let mut world = world();
        world.state("a").attempt = Some(Attempt {
            token: "t".into(),
            fence: 6,
            base: None,
            target: Digest::of(b"x"),
            phase,
            reason: String::new(),
        });
        assert_eq!(codes_of(&world.plan()), [codes::UNFINISHED], "{phase:?}");
    }
}

#[test]
fn what_was_rolled_back_is_not_tried_again_by_itself() {
    let mut world = world();
    let digest = world.bundle.releases[&node("a")].meta.digest;
    world.state("a").rolled_back.push(digest);
    assert_eq!(codes_of(&world.plan()), [codes::QUARANTINED]);
    world.quarantined.insert(world.bundle.digest);
    assert_eq!(codes_of(&world.plan()).len(), 2);
    world.retry = true;
    assert_eq!(codes_of(&world.plan()), []);
    world.retry = false;
    world.quarantined.clear();
    world.state("a").attempt = Some(Attempt {
        token: "t".into(),
        fence: 6,
        base: None,
        target: digest,
        phase: AttemptPhase::RolledBack,
        reason: "cancelled".into(),
    });
    assert_eq!(
        codes_of(&world.plan()),
        [],
        "a cancelled attempt says nothing against the release"
    );
}

#[test]
fn no_host_loses_tls_because_its_certificate_is_yet_to_be_ordered() {
    let mut world = world();
    world.bundle.pending.insert("blog.example.org".to_owned());
    assert_eq!(codes_of(&world.plan()), [], "it was never served over TLS");
    let gate = |name: &str| {
        let mut gate = gate("certificate", "haproxy");
        gate.probe = Probe::Tls {
            connect: "10.80.0.11:443".parse().unwrap(),
            name: name.to_owned(),
            days_left: 7,
            serial: None,
        };
        gate
    };
    let serves = |world: &mut World, name: &str| {
        let current = world.state("a").current.as_mut().unwrap();
        current.gates.push(gate(name));
    };
    serves(&mut world, "shop.example.org");
    assert_eq!(codes_of(&world.plan()), [], "another host is");
    serves(&mut world, "blog.example.org");
    assert_eq!(codes_of(&world.plan()), [codes::CERTIFICATE_LOST]);
}

#[test]
fn freeze_lock_stand_ins_and_strangers_refuse() {
    let mut world = world();
    world.policy.lock = Some(Lock {
        reason: "audit".into(),
    });
    world.incomplete = true;
    let window = r#"{"from": "2026-11-22T00:00[UTC]", "until": "2026-11-23T00:00[UTC]", "reason": "holidays"}"#;
    let freeze: Freeze = serde_json::from_str(window).unwrap();
    world.policy.freeze.push(At::nowhere(freeze));
    world.state("a").cluster = Some("other".parse().unwrap());
    *world.state("b") = state(Some(&haproxy("a", "old", "m")));
    let wanted = [
        codes::FROZEN,
        codes::LOCKED,
        codes::INCOMPLETE,
        codes::FOREIGN,
        codes::FOREIGN,
    ];
    assert_eq!(codes_of(&world.plan()), wanted);
    assert!(world.plan().findings.has_errors());
}

#[test]
fn too_much_removed_is_refused_from_ten_up() {
    let mut world = world();
    world.policy.limits.dns_records = Percent::new(30);
    let names = |count: usize| (0..count).map(|n| format!("{n} A")).collect();
    let inventory = |count| Inventory {
        dns_records: names(count),
        ..Inventory::default()
    };
    world.base = Some(inventory(9));
    world.target = inventory(0);
    assert_eq!(codes_of(&world.plan()), []);
    world.base = Some(inventory(10));
    world.target = inventory(7);
    assert_eq!(codes_of(&world.plan()), []);
    world.target = inventory(6);
    let plan = world.plan();
    assert_eq!(codes_of(&plan), [codes::TOO_MUCH]);
    let message = &plan.findings.iter().next().unwrap().message;
    assert!(message.contains("4 of 10 DNS records (40 %)"), "{message}");
    world.base = None;
    assert_eq!(codes_of(&world.plan()), [codes::UNMEASURED]);
    assert!(!world.plan().findings.has_errors());
}

#[test]
fn files_removed_count_over_all_nodes() {
    let many = |count: usize| {
        let paths: Vec<String> = (0..count).map(|n| format!("/etc/x/{n}")).collect();
        let files: Vec<_> = paths.iter().map(|p| (p.as_str(), "x", "c")).collect();
        release("a", "c", &files, vec![component("x", &[])], Vec::new())
    };
    let mut world = World::new(
        bundle("new", vec![many(5)]),
        vec![("a", state(Some(&many(12))))],
    );
    world.policy.limits.files = Percent::new(50);
    assert_eq!(codes_of(&world.plan()), [codes::TOO_MUCH]);
    world.policy.limits.files = Percent::new(60);
    assert_eq!(codes_of(&world.plan()), []);
}

#[test]
fn before_gates_wait_for_the_first_turn_and_cluster_gates_outlast_it() {
    let with = |name: &str, cfg: &str| {
        let mut first = gate("synced", "haproxy");
        first.before = true;
        let mut lasting = gate("in sync everywhere", "haproxy");
        lasting.scope = GateScope::Cluster;
        release(
            name,
            "c",
            &[(CFG, "haproxy", cfg)],
            vec![component("haproxy", &[])],
            vec![first, lasting],
        )
    };
    let new = bundle(
        "new",
        vec![with("a", "new"), with("b", "new"), with("c", "new")],
    );
    let states = vec![
        ("a", state(None)),
        ("b", state(Some(&with("b", "old")))),
        ("c", state(Some(&with("c", "new")))),
    ];
    let plan = World::new(new, states).plan();
    assert!(!plan.turns[&node("a")].gates[0].before);
    assert!(plan.turns[&node("b")].gates[0].before);
    let kept = &plan.unchanged[&node("c")];
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].label, "in sync everywhere");
}

#[test]
fn a_wrong_clock_is_a_warning() {
    let mut world = world();
    world.state("a").clock -= 4000;
    let plan = world.plan();
    assert_eq!(codes_of(&plan), [codes::CLOCK]);
    assert!(!plan.findings.has_errors());
}
