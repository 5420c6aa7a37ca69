//! Each cross-check finds what it is for, at its place, and nothing else in an otherwise good repository.

use crate::model::example::{edited, with};
use crate::model::load;
use crate::snapshot::Snapshot;

mod zones;

/// Asserts that the snapshot has exactly these findings: code, file, line.
#[track_caller]
pub(super) fn finds(snapshot: &Snapshot, expected: &[(&str, &str, u32)]) {
    let findings = load(snapshot).findings;
    let found: Vec<(&str, &str, u32)> = findings
        .iter()
        .map(|finding| {
            let at = finding.at.as_ref().unwrap();
            assert!(finding.hint.is_some(), "no hint: {}", finding.message);
            (finding.code.as_str(), at.file.as_str(), at.line)
        })
        .collect();
    assert_eq!(found, expected, "{findings:#?}");
}

/// The example with one more line in its zone, the 10th.
pub(super) fn zone_with(record: &str) -> Snapshot {
    let last = "  - { name: \"@\", type: TXT, value: v=spf1 mx -all }\n";
    edited("zones/example.org.yaml", last, &format!("{last}{record}\n"))
}

const ZONE: &str = "zones/example.org.yaml";
const CLUSTER: &str = "cluster.yaml";
const BLOG: &str = "sites/blog.yaml";
const SHOP: &str = "sites/shop.yaml";
const VPS1: &str = "nodes/vps1.yaml";
const VPS2: &str = "nodes/vps2.yaml";
const GIT: &str = "forwards/git-ssh.yaml";

#[test]
fn hosts_belong_to_one_site() {
    let twice = edited(
        SHOP,
        "www.example.org]",
        "www.example.org, blog.example.org]",
    );
    finds(&twice, &[("WL120", SHOP, 1)]);
    let related = &load(&twice).findings.into_iter().next().unwrap().related;
    assert_eq!(related[0].0.file, BLOG);
    finds(
        &edited(SHOP, "[shop.example.org, www.example.org]", "[]"),
        &[("WL139", SHOP, 0)],
    );
}

#[test]
fn hosts_lie_in_a_zone() {
    let elsewhere = edited(SHOP, "www.example.org]", "www.example.net]");
    finds(&elsewhere, &[("WL121", SHOP, 1)]);
    assert!(load(&elsewhere).model.is_some(), "a warning stops nothing");
    let unmanaged = edited(
        SHOP,
        "www.example.org]\n",
        "www.example.net]\ndns: { manage: false }\n",
    );
    finds(&unmanaged, &[]);
}

#[test]
fn nodes_that_are_named_exist() {
    finds(&edited(SHOP, "[vps1]", "[vps3]"), &[("WL122", SHOP, 2)]);
    finds(
        &edited(GIT, "node: homelab", "node: home"),
        &[("WL122", GIT, 3)],
    );
    finds(
        &edited(CLUSTER, "[homelab]]", "[homelap]]"),
        &[("WL122", CLUSTER, 9)],
    );
}

#[test]
fn roles_that_are_named_are_someones() {
    finds(
        &edited(BLOG, "role: edge", "role: egde"),
        &[("WL123", BLOG, 2)],
    );
    finds(
        &edited(CLUSTER, "quorum: { edge: 1 }", "quorum: { cache: 1 }"),
        &[("WL123", CLUSTER, 10)],
    );
    finds(
        &edited(CLUSTER, "edge: { role: edge,", "edge: { role: egde,"),
        &[("WL123", CLUSTER, 7)],
    );
}

#[test]
fn addresses_lie_in_their_networks() {
    finds(
        &edited(VPS2, "public: 10", "pubic: 10"),
        &[("WL150", VPS2, 0), ("WL124", VPS2, 2), ("WL131", VPS2, 4)],
    );
    finds(
        &edited(VPS2, "10.80.0.12", "10.81.0.12"),
        &[("WL125", VPS2, 2)],
    );
    finds(
        &edited(VPS2, "10.80.0.12", "10.80.0.11"),
        &[("WL126", VPS2, 2)],
    );
    finds(
        &edited(CLUSTER, "network: public }", "network: pub }"),
        &[("WL124", CLUSTER, 7)],
    );
}

#[test]
fn the_order_names_every_node_once() {
    let order = "order: [homelab, vps1, vps2]";
    finds(
        &edited(CLUSTER, order, "order: [homelab, vps1]"),
        &[("WL127", CLUSTER, 6)],
    );
    finds(
        &edited(CLUSTER, order, "order: [homelab, vps1, vps2, vps1]"),
        &[("WL127", CLUSTER, 6)],
    );
}

#[test]
fn the_policy_can_be_carried_out() {
    let serial = "[1, \"50%\", [homelab]]";
    finds(&edited(CLUSTER, serial, "[]"), &[("WL128", CLUSTER, 0)]);
    finds(
        &edited(CLUSTER, serial, "[\"0%\"]"),
        &[("WL128", CLUSTER, 9)],
    );
    finds(
        &edited(CLUSTER, serial, "[[vps1], [vps1, vps2]]"),
        &[("WL128", CLUSTER, 9)],
    );
    finds(
        &edited(CLUSTER, "quorum: { edge: 1 }", "quorum: { edge: 3 }"),
        &[("WL129", CLUSTER, 10)],
    );
    finds(
        &edited(CLUSTER, "policy:\n", "policy:\n  min_healthy_time: 3m\n"),
        &[("WL132", CLUSTER, 9)],
    );
    finds(
        &edited(CLUSTER, "policy:\n", "policy:\n  progress_deadline: 1m\n"),
        &[("WL132", CLUSTER, 9)],
    );
    finds(
        &edited(CLUSTER, "policy:\n", "policy:\n  reconnect_deadline: 0s\n"),
        &[("WL132", CLUSTER, 9)],
    );
    finds(
        &edited(CLUSTER, "2026-12-27T00", "2026-12-20T00"),
        &[("WL133", CLUSTER, 12)],
    );
    finds(
        &edited(
            CLUSTER,
            "policy:\n",
            "policy:\n  lock: { reason: moving house }\n",
        ),
        &[],
    );
}

#[test]
fn host_keys_are_pinned() {
    finds(
        &edited(VPS1, "ssh-ed25519 AAAAC3", "ssh-ed25519 BAAAC3"),
        &[("WL130", VPS1, 6)],
    );
    finds(
        &edited(VPS1, "ssh-ed25519 AAAAC3", "ssh-rsa AAAAC3"),
        &[("WL130", VPS1, 6)],
    );
    let none = edited(
        VPS1,
        "\n    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        " []",
    );
    finds(&none, &[("WL130", VPS1, 0)]);
    let both = edited(
        VPS1,
        "  network: public\n",
        "  network: public\n  address: 10.80.0.11\n",
    );
    finds(&both, &[("WL131", VPS1, 0)]);
}

#[test]
fn ports_are_taken_once_a_node() {
    finds(
        &edited(SHOP, "port: 8082", "port: 8081"),
        &[("WL134", SHOP, 3)],
    );
    finds(
        &edited(BLOG, "port: 8081", "port: 2222"),
        &[("WL134", GIT, 1)],
    );
    finds(
        &edited(GIT, "listen: 2222", "listen: 443"),
        &[("WL134", GIT, 1)],
    );
    finds(
        &edited(GIT, "listen: 2222", "listen: 22"),
        &[("WL134", GIT, 1)],
    );
    finds(
        &edited(GIT, "listen: 2222", "listen: 53"),
        &[("WL134", GIT, 1)],
    );
    let elsewhere = edited(
        GIT,
        "listen: 2222\non: { role: edge }",
        "listen: 8081\non: { nodes: [homelab] }",
    );
    finds(&elsewhere, &[]);
}

#[test]
fn certificates_exist_and_cover_their_hosts() {
    finds(
        &edited(BLOG, "certificate: wildcard", "certificate: wildcart"),
        &[("WL135", BLOG, 5)],
    );
    let deeper = edited(
        BLOG,
        "[blog.example.org]",
        "[a.blog.example.org, example.org]",
    );
    finds(&deeper, &[("WL136", BLOG, 1)]);
    finds(
        &edited(
            "certificates/wildcard.yaml",
            "[\"*.example.org\", example.org]",
            "[]",
        ),
        &[
            ("WL139", "certificates/wildcard.yaml", 0),
            ("WL136", BLOG, 1),
        ],
    );
}

#[test]
fn forwards_lead_somewhere() {
    finds(
        &edited(GIT, "node: homelab, network: public,", "node: homelab,"),
        &[("WL137", GIT, 3)],
    );
    finds(
        &edited(GIT, "node: homelab, network: public,", ""),
        &[("WL137", GIT, 3)],
    );
    finds(
        &edited(GIT, "network: public,", "network: public6,"),
        &[("WL137", GIT, 3)],
    );
    finds(
        &edited(GIT, "network: public,", "network: vpn,"),
        &[("WL124", GIT, 3)],
    );
    finds(
        &edited(GIT, "node: homelab, network: public", "address: 192.0.2.7"),
        &[],
    );
}

#[test]
fn maintenance_and_health_can_be_shown() {
    let page = edited(
        BLOG,
        "port: 8081\n",
        "port: 8081\nmaintenance: { page: errors/gone.html }\n",
    );
    finds(&page, &[("WL138", BLOG, 4)]);
    let text = edited(
        BLOG,
        "port: 8081\n",
        "port: 8081\nmaintenance: { text: \"a\\nb\" }\n",
    );
    finds(&text, &[("WL138", BLOG, 4)]);
    finds(
        &edited(BLOG, "status: [200]", "status: [200, 999]"),
        &[("WL151", BLOG, 4)],
    );
    finds(
        &edited(BLOG, "status: [200]", "status: []"),
        &[("WL139", BLOG, 0)],
    );
}

#[test]
fn edge_nodes_have_an_address_to_publish() {
    let missing = edited(VPS1, "public: 10.80.0.11, ", "");
    finds(&missing, &[("WL150", VPS1, 0), ("WL131", VPS1, 4)]);
}

#[test]
fn checks_that_miss_something_wait_until_every_file_can_be_read() {
    let mut broken = with(VPS1, "roles: [edge\n");
    finds(&broken, &[("WL101", VPS1, 1)]);
    let other = edited(
        BLOG,
        "[blog.example.org]",
        "[blog.example.org, blog.example.org]",
    );
    broken
        .entries
        .insert(BLOG.to_owned(), other.entries[BLOG].clone());
    finds(&broken, &[("WL101", VPS1, 1), ("WL120", BLOG, 1)]);
}
