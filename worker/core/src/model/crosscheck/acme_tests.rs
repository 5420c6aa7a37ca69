//! What is to be ordered can be ordered: each mistake is found at its place.

use super::tests::{finds, zone_with};
use crate::model::example::{edited, put};
use crate::model::load;
use crate::snapshot::Snapshot;

const ZONE: &str = "zones/example.org.yaml";
const CLUSTER: &str = "cluster.yaml";
const BLOG: &str = "sites/blog.yaml";

/// The example whose blog wants TLS of its own, with this `acme` and this record in its zone.
fn ordering(acme: &str, record: &str) -> Snapshot {
    let edge = "edge: { role: edge, network: public }\n";
    let mut snapshot = edited(CLUSTER, edge, &format!("{edge}{acme}"));
    let blog = edited(BLOG, "tls: { certificate: wildcard }", "tls: {}");
    let entry = blog.entries[BLOG].clone();
    snapshot.entries.insert(BLOG.to_owned(), entry);
    if !record.is_empty() {
        let entry = zone_with(record).entries[ZONE].clone();
        snapshot.entries.insert(ZONE.to_owned(), entry);
    }
    snapshot
}

const AUTHORITY: &str =
    "acme: { authorities: [{ name: le, directory: \"https://ca.example.net/dir\" }] }\n";

#[test]
fn certificates_are_ordered_from_somebody() {
    finds(&ordering(AUTHORITY, ""), &[]);
    finds(&ordering("", ""), &[("WL153", BLOG, 0)]);
    finds(
        &ordering("acme: { authorities: [] }\n", ""),
        &[("WL156", CLUSTER, 0)],
    );
    let http = AUTHORITY.replace("https:", "http:");
    finds(&ordering(&http, ""), &[("WL156", CLUSTER, 8)]);
    let rooted = AUTHORITY.replace("/dir\"", "/dir\", root: ca/root.pem");
    finds(&ordering(&rooted, ""), &[("WL156", CLUSTER, 8)]);
    let mut with_root = ordering(&rooted, "");
    put(
        &mut with_root,
        "ca/root.pem",
        "-----BEGIN CERTIFICATE-----\n",
    );
    assert!(load(&with_root).model.is_some());
    let contact = AUTHORITY.replace("acme: {", "acme: { contact: [nobody],");
    finds(&ordering(&contact, ""), &[("WL156", CLUSTER, 8)]);
    let twice = AUTHORITY.replace(
        "}] }",
        "}, { name: le, directory: \"https://other.example.net/dir\" }] }",
    );
    finds(&ordering(&twice, ""), &[("WL156", CLUSTER, 8)]);
    let mut unknown = ordering(AUTHORITY, "");
    let text = "names: [shop.example.org]\nacme: { authorities: [lee] }\n";
    put(&mut unknown, "certificates/shop.yaml", text);
    finds(&unknown, &[("WL156", "certificates/shop.yaml", 2)]);
}

#[test]
fn a_certificates_name_is_taken_once() {
    let mut taken = ordering(AUTHORITY, "");
    put(
        &mut taken,
        "certificates/blog.yaml",
        "names: [blog.example.org]\n",
    );
    finds(&taken, &[("WL154", BLOG, 0)]);
}

#[test]
fn names_to_be_ordered_can_be_proven() {
    let elsewhere = "  - { name: blog, type: A, value: 203.0.113.7 }";
    finds(&ordering(AUTHORITY, elsewhere), &[("WL155", BLOG, 1)]);
    let no_edge = "  - { name: blog, type: A, value: 10.80.0.20 }";
    finds(&ordering(AUTHORITY, no_edge), &[("WL155", BLOG, 1)]);
    // An alias of a name that the edge has, of one that is elsewhere, a delegated one: all may be proven.
    for record in [
        "  - { name: blog, type: CNAME, value: shop }",
        "  - { name: blog, type: CNAME, value: blog.example.net. }",
        "  - { name: blog, type: NS, value: ns.example.net. }",
    ] {
        finds(&ordering(AUTHORITY, record), &[]);
    }
    let alias = "  - { name: blog, type: CNAME, value: mail }";
    finds(&ordering(AUTHORITY, alias), &[("WL155", BLOG, 1)]);
    for (names, found) in [
        ("[\"*.example.org\"]", 1),
        ("[nobody.example.org]", 1),
        ("[shop.example.org]", 0),
        ("[other.example.net]", 0),
    ] {
        let mut own = ordering(AUTHORITY, "");
        let file = "certificates/own.yaml";
        put(&mut own, file, &format!("names: {names}\nacme: {{}}\n"));
        finds(&own, &[("WL155", file, 1)][..found]);
    }
    let stand_in = "  - { name: \"*\", type: A, value: 10.80.0.20 }";
    let mut own = ordering(AUTHORITY, stand_in);
    put(
        &mut own,
        "certificates/own.yaml",
        "names: [any.example.org]\nacme: {}\n",
    );
    finds(&own, &[("WL155", "certificates/own.yaml", 1)]);
}

/// The example with a wildcard to be ordered, with these words below `acme`.
fn through_dns(dns: &str, record: &str) -> Snapshot {
    let acme = AUTHORITY.replace("acme: {", &format!("acme: {{ {dns},"));
    let mut own = ordering(&acme, record);
    let text = "names: [\"*.example.org\", any.example.org]\nacme: {}\n";
    put(&mut own, "certificates/own.yaml", text);
    own
}

#[test]
fn a_wildcard_needs_a_zone_for_challenges() {
    const OWN: &str = "certificates/own.yaml";
    finds(&through_dns("dns: {}", ""), &[]);
    finds(
        &through_dns("dns: { zone: acme.example.net }", ""),
        &[("WL158", CLUSTER, 8)],
    );
    finds(&through_dns("dns: { network: public }", ""), &[]);
    finds(
        &through_dns("dns: { network: nowhere }", ""),
        &[("WL124", CLUSTER, 8)],
    );
    finds(
        &through_dns("dns: { network: public6 }", ""),
        &[("WL158", CLUSTER, 8), ("WL158", CLUSTER, 8)],
    );

    let mut wanted = ordering(AUTHORITY, "");
    put(
        &mut wanted,
        OWN,
        "names: [shop.example.org]\nacme: { challenge: dns }\n",
    );
    finds(&wanted, &[("WL158", OWN, 0)]);

    // Where something else stands at the challenge's name, or would be hidden by it.
    let text = "  - { name: _acme-challenge.any, type: TXT, value: old }";
    finds(&through_dns("dns: {}", text), &[("WL155", OWN, 1)]);
    let right =
        "  - { name: _acme-challenge.any, type: CNAME, value: any.example.org.acme.example.org. }";
    finds(&through_dns("dns: {}", right), &[]);
    let hidden = "  - { name: \"*\", type: A, value: 10.80.0.20 }";
    finds(&through_dns("dns: {}", hidden), &[("WL155", OWN, 1)]);

    // The zone is the worker's alone.
    let mut own = through_dns("dns: {}", "");
    let zone = "contact: hostmaster@example.org\nprimary: { role: dns-primary }\nsecondaries: { role: dns-secondary }\nnameservers: [vps1.example.org]\n";
    put(&mut own, "zones/acme.example.org.yaml", zone);
    finds(&own, &[]);
    let with_record = format!("{zone}records:\n  - {{ name: x, type: A, value: 10.80.0.20 }}\n");
    put(&mut own, "zones/acme.example.org.yaml", &with_record);
    finds(&own, &[("WL158", "zones/acme.example.org.yaml", 6)]);
    let mut inside = through_dns("dns: {}", "");
    put(
        &mut inside,
        "sites/in.yaml",
        "hosts: [in.acme.example.org]\non: { role: edge }\nport: 8090\n",
    );
    finds(&inside, &[("WL158", "sites/in.yaml", 1)]);
}
