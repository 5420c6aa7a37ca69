//! Certificates that are ordered: what is served while one is missing, is for fewer names than are wanted, or has expired.

use std::collections::BTreeMap;

use super::example::{FILE, edited, materials, rendered_with};
use super::{Cache, Rendered};
use crate::acme::Lifetime;
use crate::materials::{Materials, Said, SecretText};
use crate::model::example::put;
use crate::model::{self, names::CertName};
use crate::release::Bundle;
use crate::snapshot::Snapshot;

const ACME: &str = "domain: example.org\nacme: { authorities: [{ name: le, directory: \"https://ca.example.net/dir\" }] }\n";
const BLOG: &str = "hosts: [blog.example.org, new.example.org]
on: { role: edge }
port: 8081
health: { path: /health }
tls: {}
";

/// The blog's certificate is ordered; it has two hosts. The component writes what it sees.
fn snapshot() -> Snapshot {
    let mut snapshot = edited(FILE, "certificate: wildcard", "certificate: every");
    let text = |snapshot: &Snapshot, path: &str| {
        String::from_utf8(snapshot.file(path).unwrap().to_vec()).unwrap()
    };
    let cluster = text(&snapshot, "cluster.yaml").replace("domain: example.org\n", ACME);
    put(&mut snapshot, "cluster.yaml", &cluster);
    put(&mut snapshot, "sites/blog.yaml", BLOG);
    let list = "files:
  - path: /etc/edge/list
    content: |
      {% for site in sites %}{% for own in site.secure %}{{ own.host }} {{ own.certificate }}
      {% endfor %}{% endfor %}
";
    let component = text(&snapshot, FILE).replacen("files:\n", list, 1);
    put(&mut snapshot, FILE, &component);
    snapshot
}

fn said(names: &[&str], days: i64, expired: bool) -> Said {
    let from: jiff::Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let names = names.iter().map(|name| name.parse::<CertName>().unwrap());
    Said {
        serial: "0badcafe".to_owned(),
        names: names.collect(),
        lifetime: Lifetime {
            from,
            until: from + jiff::SignedDuration::from_hours(24 * days),
        },
        expired,
    }
}

/// What a worker has whose shelf holds these.
fn shelf(snapshot: &Snapshot, held: &[(&str, Said)]) -> Materials {
    let mut materials = materials();
    let model = model::load(snapshot).model.unwrap();
    let pem = |name: &str| SecretText::new(&format!("PEM of {name}"));
    let held: BTreeMap<_, _> = held
        .iter()
        .map(|(name, said)| ((*name).to_owned(), (pem(name), said.clone())))
        .collect();
    materials.add_ordered(&model, held);
    materials
}

struct Seen {
    bundle: Bundle,
    /// What is said of certificates, in words.
    told: Vec<String>,
    list: String,
    probes: Vec<String>,
}

fn seen(held: &[(&str, Said)]) -> Seen {
    let snapshot = snapshot();
    let materials = shelf(&snapshot, held);
    let Rendered { bundle, findings } = rendered_with(&snapshot, &materials, &mut Cache::default());
    let bundle = bundle.unwrap_or_else(|| panic!("{findings:#?}"));
    assert!(bundle.incomplete.is_empty(), "{:?}", bundle.incomplete);
    let release = &bundle.releases["vps1"];
    let list = &release.contents[&"/etc/edge/list".parse().unwrap()];
    let list = String::from_utf8(list.to_vec()).unwrap();
    let probes = release.meta.gates.iter();
    Seen {
        told: findings
            .iter()
            .filter(|found| found.code.as_str() == "WL217")
            .map(|found| found.message.clone())
            .collect(),
        list: list.trim().to_owned(),
        probes: probes.map(|gate| format!("{:?}", gate.probe)).collect(),
        bundle,
    }
}

impl Seen {
    /// How many of the probes have all of these parts.
    fn probes(&self, parts: &[&str]) -> usize {
        let probes = self.probes.iter();
        let found = probes.filter(|own| parts.iter().all(|part| own.contains(part)));
        found.count()
    }

    fn pem(&self, name: &str) -> Option<&str> {
        let path = format!("/etc/edge/certs/{name}.pem").parse().unwrap();
        let bytes = self.bundle.releases["vps1"].contents.get(&path)?;
        Some(std::str::from_utf8(bytes).unwrap())
    }

    fn pending(&self) -> Vec<&str> {
        self.bundle.pending.iter().map(String::as_str).collect()
    }
}

const BOTH: [&str; 2] = ["blog.example.org", "new.example.org"];

#[test]
fn a_site_is_served_without_tls_until_its_certificate_is_there() {
    let seen = seen(&[]);
    assert_eq!(seen.pending(), BOTH);
    assert_eq!(
        seen.told,
        [
            "the certificate `blog` is being ordered; until it is there, its sites are served over plain HTTP"
        ]
    );
    assert_eq!((seen.list.as_str(), seen.pem("blog")), ("", None));
    assert_eq!(
        (seen.probes(&["http://blog"]), seen.probes(&["http://new"])),
        (1, 1)
    );
    assert_eq!(seen.probes(&["Tls {"]), 0);

    // It comes: TLS, redirect and gates with it, and the gate knows exactly which one must be served.
    let seen = self::seen(&[("blog", said(&BOTH, 90, false))]);
    assert!(seen.pending().is_empty() && seen.told.is_empty());
    assert_eq!(seen.list, "blog.example.org blog\nnew.example.org blog");
    assert_eq!(seen.pem("blog"), Some("PEM of blog"));
    assert_eq!(
        (seen.probes(&["https://"]), seen.probes(&["0badcafe"])),
        (2, 2)
    );
    // Renewed by itself, it may be as short-lived as it likes.
    assert_eq!(seen.probes(&["days_left: 0"]), 2);
}

#[test]
fn a_host_that_the_certificate_does_not_cover_yet_waits_alone() {
    let seen = seen(&[("blog", said(&["blog.example.org"], 90, false))]);
    assert_eq!(seen.pending(), ["new.example.org"]);
    assert_eq!(
        seen.told,
        [
            "the certificate `blog` is being ordered anew, with more names; until it is there, new.example.org is served over plain HTTP"
        ]
    );
    assert_eq!(seen.list, "blog.example.org blog");
    assert_eq!(seen.probes(&["https://blog.example.org/health"]), 1);
    assert_eq!(seen.probes(&["http://new.example.org/health"]), 1);
    assert_eq!(seen.probes(&["Tls {"]), 1);
}

#[test]
fn until_a_hosts_own_is_there_another_that_was_ordered_serves_it() {
    // Each host had a certificate that no definition names any more; one of them has expired.
    let held = [
        ("old", said(&["new.example.org"], 90, false)),
        ("older", said(&["blog.example.org"], 90, true)),
    ];
    let seen = seen(&held);
    assert_eq!(seen.list, "new.example.org old");
    assert_eq!(seen.pem("old"), Some("PEM of old"));
    assert_eq!(seen.pem("older"), None);
    assert_eq!(seen.pending(), ["blog.example.org"]);
    assert!(
        seen.told[0].ends_with("blog.example.org is served over plain HTTP"),
        "{:?}",
        seen.told
    );

    let held = [("old", said(&["*.example.org"], 90, false))];
    let seen = self::seen(&held);
    assert!(seen.pending().is_empty());
    assert!(
        seen.told[0].ends_with("its hosts keep another one"),
        "{:?}",
        seen.told
    );
    // Its own is there, and nothing is left of the other.
    let held = [held[0].clone(), ("blog", said(&BOTH, 90, false))];
    let seen = self::seen(&held);
    assert_eq!((seen.pem("old"), seen.told.len()), (None, 0));
}

#[test]
fn what_was_ordered_and_has_expired_does_not_hold_up_every_roll() {
    for (expired, tls, verified) in [(true, 0, 0), (false, 2, 2)] {
        let seen = seen(&[("blog", said(&BOTH, 90, expired))]);
        assert!(seen.pending().is_empty());
        assert_eq!(seen.list, "blog.example.org blog\nnew.example.org blog");
        assert_eq!(seen.probes(&["Tls {"]), tls);
        assert_eq!(seen.probes(&["https://"]), 2);
        assert_eq!(seen.probes(&["https://", "verify: true"]), verified);
    }
}

#[test]
fn by_hand_a_certificate_is_to_be_good_for_a_week_or_a_quarter_of_its_life() {
    for (days, wanted) in [(90, 7), (20, 5), (1, 0)] {
        let snapshot = super::example::snapshot();
        let mut materials = materials();
        let own = said(&["*.example.org"], days, false);
        materials.said.insert("wildcard".to_owned(), own);
        let rendered = rendered_with(&snapshot, &materials, &mut Cache::default());
        let gates = format!("{:?}", rendered.bundle.unwrap().releases["vps1"].meta.gates);
        let part = format!("days_left: {wanted}");
        assert!(gates.contains(&part), "{days}: {gates}");
    }
}
