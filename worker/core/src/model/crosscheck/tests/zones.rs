//! What is asked of zones and their records.

use super::*;

#[test]
fn record_names_and_values_have_their_form() {
    finds(
        &zone_with("  - { name: x_y, type: A, value: 192.0.2.1 }"),
        &[("WL140", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: _dmarc, type: TXT, value: v=DMARC1 }"),
        &[],
    );
    finds(
        &zone_with("  - { name: www.example.net., type: A, value: 192.0.2.1 }"),
        &[("WL141", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: x.example.org, type: A, value: 192.0.2.1 }"),
        &[("WL143", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: x, type: A, value: 192.0.2.256 }"),
        &[("WL142", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: x, type: AAAA, value: 192.0.2.1 }"),
        &[("WL142", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: x, type: MX, value: mail }"),
        &[("WL142", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: x, type: A }"),
        &[("WL142", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: \"@\", type: NS, value: ns.example.net. }"),
        &[("WL149", ZONE, 10)],
    );
}

#[test]
fn aliases_stand_alone() {
    finds(
        &zone_with("  - { name: mail, type: CNAME, value: blog }"),
        &[("WL144", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: \"@\", type: CNAME, value: blog }"),
        &[("WL144", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: x, type: CNAME, values: [blog, shop] }"),
        &[("WL144", ZONE, 10)],
    );
    finds(&zone_with("  - { name: x, type: CNAME, value: blog }"), &[]);
}

#[test]
fn targets_have_their_dot() {
    finds(
        &zone_with("  - { name: x, type: CNAME, value: blog.example.org }"),
        &[("WL143", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: x, type: MX, value: 10 mx.example.net }"),
        &[("WL143", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: x, type: CNAME, value: blog.example.org. }"),
        &[],
    );
}

#[test]
fn targets_exist_and_have_addresses() {
    finds(
        &zone_with("  - { name: x, type: CNAME, value: nothing }"),
        &[("WL152", ZONE, 10)],
    );
    finds(
        &zone_with("  - { name: x, type: MX, value: 10 nothing }"),
        &[("WL146", ZONE, 10)],
    );
    let alias = "  - { name: a, type: CNAME, value: mail }\n  - { name: x, type: MX, value: 10 a }";
    finds(&zone_with(alias), &[("WL145", ZONE, 11)]);
    let glueless =
        "  - { name: sub, type: NS, value: ns.sub }\n  - { name: y, type: A, value: 192.0.2.1 }";
    finds(
        &zone_with(&glueless.replace("ns.sub ", "ns.sub.example.org. ")),
        &[("WL146", ZONE, 10)],
    );
    let glued = "  - { name: sub, type: NS, value: ns.sub }\n  - { name: ns.sub, type: A, value: 192.0.2.1 }";
    finds(&zone_with(glued), &[]);
    finds(
        &edited(ZONE, "vps2.example.org]", "ns2.example.org]"),
        &[("WL146", ZONE, 5)],
    );
}

#[test]
fn zones_are_served_and_timed_well() {
    finds(
        &edited(ZONE, "ttl: 1h", "ttl: 30 days"),
        &[("WL147", ZONE, 1)],
    );
    let two = "  - { name: mail, type: A, value: 10.80.0.21, ttl: 60 }";
    finds(&zone_with(two), &[("WL147", ZONE, 10)]);
    finds(&edited(ZONE, "ttl: 1h", "retry: 2h"), &[("WL148", ZONE, 1)]);
    finds(
        &edited(ZONE, "hostmaster@", "hostmaster."),
        &[("WL148", ZONE, 2)],
    );
    finds(
        &edited(ZONE, "role: dns-primary", "role: edge"),
        &[("WL149", ZONE, 0)],
    );
    finds(
        &edited(
            ZONE,
            "secondaries: { role: dns-secondary }",
            "secondaries: { nodes: [] }",
        ),
        &[("WL149", ZONE, 0)],
    );
}
