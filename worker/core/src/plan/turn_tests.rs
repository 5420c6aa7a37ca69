//! What a turn holds beyond its files: whose packages, whose actions, how often, and in which order.

use super::fixtures::{World, bundle, component, node, path, release, state};
use super::*;
use crate::model::Drift;
use crate::observed::DriftKind;
use crate::release::{Release, ReleaseComponent};

const CFG: &str = "/etc/haproxy/haproxy.cfg";
const ZONE: &str = "/etc/bind/example.org.zone";

fn both(cfg: &str, components: Vec<ReleaseComponent>) -> Release {
    let files = [(CFG, "haproxy", cfg), (ZONE, "bind", "z")];
    release("a", "c", &files, components, Vec::new())
}

fn two() -> Vec<ReleaseComponent> {
    vec![component("bind", &[]), component("haproxy", &[])]
}

fn turn(old: &Release, new: Release) -> Turn {
    let states = vec![("a", state(Some(old)))];
    let mut plan = World::new(bundle("new", vec![new]), states).plan();
    plan.turns.remove(&node("a")).unwrap()
}

fn labels(commands: &[Command]) -> Vec<&str> {
    commands.iter().map(|c| c.label.as_str()).collect()
}

#[test]
fn only_components_that_change_leave_the_rotation() {
    let turn = turn(&both("old", two()), both("new", two()));
    assert_eq!(labels(&turn.drain), ["drain haproxy"]);
    assert_eq!(labels(&turn.undrain), ["undrain haproxy"]);
    assert_eq!(labels(&turn.forward), ["reload haproxy"]);
}

#[test]
fn what_leaves_is_stopped_in_reverse_order() {
    let nothing = release("a", "c", &[], Vec::new(), Vec::new());
    let turn = turn(&both("old", two()), nothing);
    assert_eq!(labels(&turn.forward), ["stop haproxy", "stop bind"]);
    assert_eq!(labels(&turn.backward), ["reload bind", "reload haproxy"]);
}

#[test]
fn a_package_and_an_action_stand_there_once() {
    let mut components = two();
    let shared = components[0].packages.clone();
    components[1].packages.extend(shared);
    let again = components[1].apply[0].clone();
    components[1].apply.push(again);
    let turn = turn(&both("old", two()), both("new", components));
    assert_eq!(turn.packages, ["bind-package", "haproxy-package"]);
    assert_eq!(labels(&turn.forward), ["reload haproxy"]);
}

#[test]
fn what_was_a_secret_is_still_not_shown() {
    let mut old = both("old", two());
    old.meta.files.get_mut(&path(CFG)).unwrap().secret = true;
    assert!(turn(&old, both("new", two())).changes[0].secret);
}

#[test]
fn nobody_else_reads_the_digests_of_secret_files() {
    let files = [(CFG, "haproxy", "new"), (ZONE, "bind", "y")];
    let mut new = release("a", "c", &files, two(), Vec::new());
    new.meta.files.get_mut(&path(CFG)).unwrap().secret = true;
    let world = World::new(
        bundle("new", vec![new]),
        vec![("a", state(Some(&both("old", two()))))],
    );
    let plan = world.plan();
    let of = |plan: &Plan| -> Vec<_> {
        let changes = plan.turns[&node("a")].changes.iter();
        changes
            .map(|change| {
                (
                    change.path.clone(),
                    change.before.is_some(),
                    change.after.is_some(),
                )
            })
            .collect()
    };
    let all = of(&plan);
    assert!(
        all.len() > 1 && all.iter().all(|(_, before, after)| *before && *after),
        "{all:?}"
    );
    for (path, before, after) in of(&plan.without_secret_digests()) {
        let shown = path.as_str() != CFG;
        assert_eq!((before, after), (shown, shown), "{path}");
    }
}

#[test]
fn another_mode_alone_is_put_right_without_a_new_text() {
    let same = both("same", two());
    let mut held = state(Some(&same));
    held.drift.insert(path(CFG), DriftKind::Attributes);
    let mut world = World::new(bundle("new", vec![same]), vec![("a", held)]);
    world.policy.drift = Drift::Overwrite;
    let plan = world.plan();
    let change = &plan.turns[&node("a")].changes[0];
    assert_eq!(
        (change.kind, &change.path),
        (ChangeKind::Attributes, &path(CFG))
    );
}

#[test]
fn an_action_that_is_enough_alone_stands_for_the_others_both_ways() {
    const PEM: &str = "/etc/haproxy/certs/a.pem";
    let with = |cfg: &str, pem: &str, zone: &str| {
        let mut haproxy = component("haproxy", &["/etc/haproxy/**", "/etc/bind/*.key"]);
        let mut enough = haproxy.apply[0].clone();
        "change certificates".clone_into(&mut enough.command.label);
        enough.when = vec!["/etc/haproxy/certs/*".to_owned()];
        enough.alone = true;
        haproxy.apply.push(enough);
        let mut files = vec![(CFG, "haproxy", cfg), (ZONE, "bind", zone)];
        if !pem.is_empty() {
            files.push((PEM, "haproxy", pem));
        }
        let parts = vec![haproxy, component("bind", &["/etc/**/*.zone"])];
        release("a", "c", &files, parts, Vec::new())
    };
    let both_ways = |old: Option<Release>, new: Release| {
        let old = old
            .as_ref()
            .map_or_else(|| state(None), |old| state(Some(old)));
        let plan = World::new(bundle("new", vec![new]), vec![("a", old)]).plan();
        let turn = &plan.turns[&node("a")];
        [&turn.forward, &turn.backward].map(|way| labels(way).join(", "))
    };
    let alone = "change certificates";
    let old = || Some(with("c", "p", "z"));
    assert_eq!(both_ways(old(), with("c", "p2", "z")), [alone, alone]);
    assert_eq!(both_ways(old(), with("c", "", "z")), [alone, alone]);
    let reload = "reload haproxy";
    assert_eq!(both_ways(old(), with("c2", "p2", "z")), [reload, reload]);
    // Another component's files do not matter, but where one of the component's actions looks at them.
    let both = format!("{alone}, reload bind");
    assert_eq!(both_ways(old(), with("c", "p2", "z2")), [&*both, &*both]);
    // A component that is new has everything to do.
    let [come, _] = both_ways(None, with("c", "p", "z"));
    assert_eq!(come, "reload haproxy, reload bind");
}
