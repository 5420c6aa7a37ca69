//! What tells one node from another, written into its disk before it first boots.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};

use super::command::run;
use super::node::Node;
use super::slot::state_dir;

const HOST_KEY: &str = "etc/ssh/ssh_host_ed25519_key";
/// The base image's `admin`.
const ADMIN: u32 = 1000;

/// Made by us, so that its public half is known before the node is: host keys are pinned.
pub(super) fn make_host_key(node: &Node) -> Result<String> {
    let key = node.root().join(HOST_KEY);
    run(&[
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        "",
        "-f",
        &key.to_string_lossy(),
    ])?;
    let public = fs::read_to_string(key.with_extension("pub"))?;
    Ok(public.trim().to_owned())
}

pub(super) fn write(node: &Node, all: &[Node]) -> Result<()> {
    let root = node.root();
    put(&root, "etc/hostname", &format!("{}\n", node.name()))?;
    put(
        &root,
        "etc/machine-id",
        &format!("{:016x}{:016x}\n", node.lab(), u32::from(node.ip())),
    )?;
    let names: String = all
        .iter()
        .map(|node| format!("{} {}\n", node.ip(), node.name()))
        .collect();
    put(&root, "etc/hosts", &format!("127.0.0.1 localhost\n{names}"))?;
    let network = format!(
        "[Match]\nName=host0\n[Network]\nAddress={}/24\nAddress={}/24\nGateway=10.81.{}.1\n\
         LinkLocalAddressing=no\nIPv6AcceptRA=no\n",
        node.ip(),
        node.secondary_ip(),
        node.lab()
    );
    put(&root, "etc/systemd/network/10-host0.network", &network)?;
    let key = fs::read_to_string(state_dir(node.lab()).join("key.pub"))?;
    put(&root, "root/.ssh/authorized_keys", &key)?;
    let admins = put(&root, "home/admin/.ssh/authorized_keys", &key)?;
    chown(admins, Some(ADMIN), Some(ADMIN))?;
    Ok(())
}

fn put(root: &Path, path: &str, text: &str) -> Result<std::path::PathBuf> {
    let path = root.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    Ok(path)
}
