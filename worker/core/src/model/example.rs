//! A small valid repository for tests, and ways to break it.

use crate::snapshot::{Entry, Snapshot};

const FILES: [(&str, &str); 9] = [
    (
        "cluster.yaml",
        "name: example
domain: example.org
networks:
  public: 10.80.0.0/24
  public6: [\"2001:db8:80::/64\"]
order: [homelab, vps1, vps2]
edge: { role: edge, network: public }
policy:
  serial: [1, \"50%\", [homelab]]
  quorum: { edge: 1 }
  freeze:
    - { from: \"2026-12-24T00:00[Europe/London]\", until: \"2026-12-27T00:00[Europe/London]\", reason: holidays }
    - { weekly: fri 16:00 - mon 08:00, timezone: Europe/London, reason: weekend }
",
    ),
    (
        "nodes/vps1.yaml",
        "roles: [edge, dns-secondary]
addresses: { public: 10.80.0.11, public6: \"2001:db8:80::11\" }
ssh:
  network: public
  host_keys:
    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
",
    ),
    (
        "nodes/vps2.yaml",
        "roles: [edge, dns-secondary]
addresses: { public: 10.80.0.12 }
ssh:
  network: public
  host_keys:
    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
",
    ),
    (
        "nodes/homelab.yaml",
        "roles: [dns-primary]
addresses: { public: 10.80.0.20 }
ssh:
  address: home.example.net
  port: 2200
  host_keys:
    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
",
    ),
    (
        "sites/blog.yaml",
        "hosts: [blog.example.org]
on: { role: edge }
port: 8081
health: { path: /health, status: [200] }
tls: { certificate: wildcard }
",
    ),
    (
        "sites/shop.yaml",
        "hosts: [shop.example.org, www.example.org]
on: { nodes: [vps1] }
port: 8082
backend: balance
",
    ),
    (
        "zones/example.org.yaml",
        "ttl: 1h
contact: hostmaster@example.org
primary: { role: dns-primary }
secondaries: { role: dns-secondary }
nameservers: [vps1.example.org, vps2.example.org]
records:
  - { name: \"@\", type: MX, value: 10 mail }
  - { name: mail, type: A, value: 10.80.0.20 }
  - { name: \"@\", type: TXT, value: v=spf1 mx -all }
",
    ),
    (
        "forwards/git-ssh.yaml",
        "listen: 2222
on: { role: edge }
to: { node: homelab, network: public, port: 22 }
",
    ),
    (
        "certificates/wildcard.yaml",
        "names: [\"*.example.org\", example.org]
",
    ),
];

pub(crate) fn snapshot() -> Snapshot {
    Snapshot::of_texts("worktree", FILES)
}

/// The example with one passage of a file replaced.
pub(crate) fn edited(path: &str, from: &str, to: &str) -> Snapshot {
    let mut snapshot = snapshot();
    let text = FILES
        .iter()
        .find(|(file, _)| *file == path)
        .map_or("", |(_, text)| text);
    assert!(
        text.contains(from),
        "the example's {path} does not hold {from:?}"
    );
    put(&mut snapshot, path, &text.replacen(from, to, 1));
    snapshot
}

/// The example with one more file.
pub(crate) fn with(path: &str, text: &str) -> Snapshot {
    let mut snapshot = snapshot();
    put(&mut snapshot, path, text);
    snapshot
}

pub(crate) fn put(snapshot: &mut Snapshot, path: &str, text: &str) {
    let entry = Entry::File(text.as_bytes().into());
    snapshot.entries.insert(path.to_owned(), entry);
}
