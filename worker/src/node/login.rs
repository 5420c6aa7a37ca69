//! Where a node is and as whom to log in, and the files that make `ssh` accept exactly the pinned host keys
//! and nothing from the user's or the machine's own configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use windlass_core::ids::NodeName;
use windlass_core::model::definitions::Node;
use windlass_core::model::{Model, address_of};

/// How to reach one node; from its file in `nodes/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// "ssh-ed25519 AAAA…"; any other key is refused.
    pub host_keys: Vec<String>,
    /// The agent runs through `sudo -n`.
    pub sudo: bool,
}

impl Target {
    /// Where the definitions say that the nodes are. A node whose address cannot be told is left out: the model's
    /// own checks have found it before.
    pub fn all(model: &Model) -> BTreeMap<NodeName, Self> {
        let nodes = model.nodes.iter();
        nodes
            .filter_map(|(name, node)| Some((name.clone(), Self::of(node)?)))
            .collect()
    }

    fn of(node: &Node) -> Option<Self> {
        let ssh = &node.ssh;
        let host = match (&ssh.address, &ssh.network) {
            (Some(address), _) => address.value.to_string(),
            (None, Some(network)) => address_of(node, &network.value)?.to_string(),
            (None, None) => return None,
        };
        Some(Self {
            host,
            port: ssh.port.value.get(),
            user: ssh.user.to_string(),
            host_keys: ssh.host_keys.iter().map(|key| key.value.clone()).collect(),
            sudo: ssh.sudo,
        })
    }
}

/// As whom the worker logs in, everywhere.
#[derive(Debug, Clone)]
pub struct Login {
    /// Only this key is offered; without one, those of the SSH agent and of `~/.ssh`.
    pub key: Option<PathBuf>,
    pub connect_timeout: Duration,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            key: None,
            connect_timeout: Duration::from_secs(5),
        }
    }
}

/// Writes `known_hosts` and an `ssh_config` for this node and returns the latter's path.
pub(super) fn write_config(dir: &Path, node: &NodeName, target: &Target) -> io::Result<PathBuf> {
    let known_hosts = dir.join(format!("{node}.keys"));
    fs::write(&known_hosts, known_hosts_text(target))?;
    let config = dir.join(format!("{node}.conf"));
    let text = format!(
        "GlobalKnownHostsFile /dev/null\nUserKnownHostsFile \"{}\"\nUpdateHostKeys no\n\
         PreferredAuthentications publickey\nServerAliveCountMax 3\nTCPKeepAlive yes\n",
        known_hosts.display()
    );
    fs::write(&config, text)?;
    Ok(config)
}

fn known_hosts_text(target: &Target) -> String {
    let host = if target.port == 22 {
        target.host.clone()
    } else {
        format!("[{}]:{}", target.host, target.port)
    };
    let mut text = String::new();
    for key in &target.host_keys {
        // Type and key only: a comment could hold anything.
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        let _ = writeln!(text, "{host} {}", key.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_part_of_the_pinned_name() {
        let mut target = Target {
            host: "10.0.0.1".into(),
            port: 22,
            user: "root".into(),
            host_keys: vec!["ssh-ed25519 AAAA a comment".into()],
            sudo: false,
        };
        assert_eq!(known_hosts_text(&target), "10.0.0.1 ssh-ed25519 AAAA\n");
        target.port = 2222;
        assert_eq!(
            known_hosts_text(&target),
            "[10.0.0.1]:2222 ssh-ed25519 AAAA\n"
        );
    }
}
