//! Comments as the forges show them, and what no request may do with them.

mod hostile;
mod texts;

use std::collections::BTreeMap;

use super::{After, Against, Preview, Request, Roll, Shown, Verdict};
use crate::codes::definitions::WRONG_VALUE;
use crate::finding::{Finding, Findings, Location};
use crate::ids::NodeName;
use crate::outcome::Outcome;
use crate::plan::fixtures::{World, bundle, cluster, component, gate, node, release, state};
use crate::plan::{Inventory, Plan, Skipped};
use crate::release::Release;
use crate::report::diff::{self, Fingerprints};
use crate::snapshot::Snapshot;

const CFG: &str = "/etc/haproxy/haproxy.cfg";

fn haproxy(name: &str, cfg: &str) -> Release {
    let gates = vec![gate("haproxy: https://blog.example.org/", "haproxy")];
    let components = vec![component("haproxy", &[])];
    release(
        name,
        "0123456789abcdef",
        &[(CFG, "haproxy", cfg)],
        components,
        gates,
    )
}

fn request() -> Request {
    Request {
        number: 12,
        head: "fedcba9876543210fedcba9876543210fedcba98".to_owned(),
        base: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        branch: "main".to_owned(),
    }
}

fn inventory(records: &[&str]) -> Inventory {
    Inventory {
        dns_records: records.iter().map(|name| (*name).to_owned()).collect(),
        ..Inventory::default()
    }
}

/// vps1 and vps2 change in the same way, vps3 holds it already.
fn changing(old: &str, new: &str) -> (Preview, Plan) {
    let releases = ["vps1", "vps2", "vps3"].map(|name| haproxy(name, new));
    let held = |name, cfg| (name, state(Some(&haproxy(name, cfg))));
    let held = vec![held("vps1", old), held("vps2", old), held("vps3", new)];
    let world = World::new(bundle("fedcba", releases.to_vec()), held);
    let plan = world.plan();
    let held = [node("vps1"), node("vps2")].map(|node| {
        let files = [(CFG.parse().unwrap(), old.as_bytes().to_vec())];
        (node, BTreeMap::from(files))
    });
    let diffs = diff::of_plan(
        &plan,
        &BTreeMap::from(held),
        &world.bundle,
        &Fingerprints(b"key"),
    );
    let (base, target) = (inventory(&["a", "b"]), inventory(&["b", "c"]));
    let mut preview = Preview::new(
        cluster(),
        request(),
        Verdict::WouldChange {
            nodes: 2,
            of: 3,
            files: 2,
        },
    );
    preview.bundle = Some(plan.bundle);
    preview.roll = Some(Roll::of(&plan, Some(&base), &target));
    preview.diffs = diff::shared(&diffs);
    preview.page = Some("https://windlass.example.org/previews/4f2a".to_owned());
    (preview, plan)
}

fn refused() -> Preview {
    let snapshot = Snapshot::of_texts(
        "c",
        [("sites/blog.yaml", "hosts: [blog]\non: { role: egde }\n")],
    );
    let findings = Findings::from_iter([
        Finding::error(WRONG_VALUE, "no node has the role \"egde\"")
            .at(Location::new("sites/blog.yaml", 2, 13))
            .hint("did you mean \"edge\"?"),
        Finding::warning(WRONG_VALUE, "unknown keyword 'bogus'")
            .at(Location::new("components/haproxy/haproxy.cfg.tera", 4, 0))
            .quoting(CFG, 53, "    bogus 3"),
    ]);
    let mut preview = Preview::new(cluster(), request(), Verdict::Refused);
    preview.findings = Shown::all(&findings, &snapshot);
    preview
}

fn lines(count: usize, word: &str) -> String {
    (0..count).map(|n| format!("{word} {n}\n")).collect()
}

fn told<'a>(reviewed: &'a Preview, outcome: &'a Outcome) -> After<'a> {
    After {
        reviewed,
        planned: None,
        outcome,
    }
}

fn skipped(name: &str, why: &str) -> Skipped {
    Skipped {
        node: name.parse::<NodeName>().unwrap(),
        why: why.to_owned(),
    }
}

fn against_base(mut preview: Preview) -> Preview {
    preview.against = Against::Base;
    let roll = preview.roll.get_or_insert_default();
    roll.skipped.push(skipped("home", "connection timed out"));
    preview
}
