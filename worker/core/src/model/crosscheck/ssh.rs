//! How the worker reaches the nodes, and how it knows that it is them.

use super::{View, unknown};
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings};

/// Host keys of sshd: the type, and how the key itself begins in base64 (its type once more).
const KEY_TYPES: [(&str, &str); 5] = [
    ("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAI"),
    ("ssh-rsa", "AAAAB3NzaC1yc2EAAAA"),
    (
        "ecdsa-sha2-nistp256",
        "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI",
    ),
    (
        "ecdsa-sha2-nistp384",
        "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAI",
    ),
    (
        "ecdsa-sha2-nistp521",
        "AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAI",
    ),
];

/// Each node is reached in a network where it has an address, or at an address of its own.
pub(super) fn ways_in(view: &View<'_>, findings: &mut Findings) {
    let networks = &view.model.cluster.networks;
    for (name, node) in &view.model.nodes {
        match (&node.ssh.network, &node.ssh.address) {
            (None, Some(_)) => {}
            (Some(network), None) if !networks.contains_key(&network.value) => {
                let known = networks.keys().map(|name| name.as_str());
                findings.push(
                    unknown(codes::UNKNOWN_NETWORK, "network", network.as_str(), known)
                        .at(node.place(network)),
                );
            }
            (Some(network), None) if !node.addresses.contains_key(&network.value) => findings.push(
                Finding::error(
                    codes::SSH,
                    format!("the node has no address in the network `{network}`"),
                )
                .at(node.place(network))
                .hint("add it to `addresses`, or write `ssh: { address: … }`"),
            ),
            (Some(_), None) => {}
            _ => findings.push(
                Finding::error(
                    codes::SSH,
                    format!("it is not clear where to reach `{name}`"),
                )
                .at(node.whole())
                .hint("write exactly one of `ssh.network` and `ssh.address`"),
            ),
        }
    }
}

/// Host keys are pinned and can be keys.
pub(super) fn host_keys(view: &View<'_>, findings: &mut Findings) {
    for (name, node) in &view.model.nodes {
        let keys = &node.ssh.host_keys;
        if keys.is_empty() {
            findings.push(
                Finding::error(
                    codes::HOST_KEYS,
                    format!("no host key of `{name}` is pinned"),
                )
                .at(node.whole())
                .hint("copy it from /etc/ssh/ssh_host_ed25519_key.pub of the node"),
            );
        }
        for key in keys.iter().filter(|key| !is_host_key(key)) {
            findings.push(
                Finding::error(codes::HOST_KEYS, "this is no public host key")
                    .at(node.place(key))
                    .hint("write `ssh-ed25519 AAAA…` as in /etc/ssh/ssh_host_ed25519_key.pub of the node"),
            );
        }
    }
}

fn is_host_key(text: &str) -> bool {
    let mut words = text.split(' ');
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return false;
    };
    let is_base64 = |key: &str| {
        let digits = key.trim_end_matches('=');
        key.len().is_multiple_of(4)
            && key.len() - digits.len() <= 2
            && digits
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/')
    };
    let long_enough = key.len() >= 68;
    let known = KEY_TYPES
        .iter()
        .any(|(name, start)| *name == kind && key.starts_with(start));
    known && long_enough && is_base64(key) && !text.chars().any(char::is_control)
}
