//! Starting a machine: systemd-nspawn, in the lab's network and in the node's cgroup.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::disk;
use super::network;
use super::node::Node;
use super::spec::Base;

/// Moves itself into every cgroup of its arguments before `--`, then becomes what comes after it.
const ENTER: &str =
    r#"while [ "$1" != -- ]; do echo $$ >"$1" || exit; shift; done; shift; exec "$@""#;
const NSPAWN: [&str; 11] = [
    "systemd-nspawn",
    "--quiet",
    "--boot",
    "--register=no",
    "--keep-unit",
    "--settings=no",
    "--resolv-conf=off",
    "--timezone=off",
    "--link-journal=no",
    "--console=pipe",
    "--kill-signal=SIGRTMIN+3",
];

/// Boots the machine; returns before it is up.
pub(super) fn launch(node: &Node) -> Result<()> {
    network::forget(node.lab(), node.name())?;
    let cgroup = node.cgroup()?;
    cgroup.create()?;
    let console = fs::File::options()
        .create(true)
        .append(true)
        .open(node.console_path())?;
    // Forked away from us, so that its death leaves us no zombie.
    let mut command = Command::new("setsid");
    command
        .args(["--fork", "sh", "-c", ENTER, "sh"])
        .args(cgroup.procs_files())
        .arg("--");
    let network = format!("--net=/run/netns/{}", network::namespace(node.lab()));
    command.args(["nsenter", &network]).args(NSPAWN);
    command.arg(format!(
        "--machine={}",
        network::machine(node.lab(), node.name())
    ));
    command.arg(format!("--hostname={}", node.name()));
    command.arg(format!("--network-bridge={}", network::BRIDGE));
    command.arg(format!("--directory={}", node.root().display()));
    command.args(stack_options(node)?);
    // Its lock files would stay behind; a lab's directories are nobody else's.
    command.env("SYSTEMD_NSPAWN_LOCK", "0");
    command
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console);
    let status = command.status().context("cannot run setsid")?;
    if !status.success() {
        bail!("cannot start {}: setsid {status}", node.name());
    }
    Ok(())
}

/// What Docker, GlusterFS and the VPNs need of the host.
fn stack_options(node: &Node) -> Result<Vec<String>> {
    if node.base() != Base::Stack {
        return Ok(Vec::new());
    }
    let mut options = vec!["--system-call-filter=@keyring bpf".to_owned()];
    let devices = ["/dev/net/tun", "/dev/fuse", "/dev/kmsg"];
    options.extend(devices.map(|device| format!("--bind={device}")));
    for (name, at) in [("docker", "/var/lib/docker"), ("brick", "/srv/brick")] {
        let dir = disk::dir(node).join(name);
        fs::create_dir_all(&dir)?;
        options.push(format!("--bind={}:{at}", dir.display()));
    }
    Ok(options)
}
