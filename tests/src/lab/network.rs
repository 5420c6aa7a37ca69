//! A lab's network: a bridge in a network namespace of its own, so that nothing on the host (Docker's
//! forwarding rules, another lab) can interfere; and one veth pair through which the host reaches it.
//!
//! `.1` is the bridge: what runs inside the namespace speaks from there, as somebody outside would.
//! `.2` is the host: a worker or a test in the host's namespace speaks from there.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::command::{feed, run};

pub(super) const BRIDGE: &str = "br-lab";

pub(super) fn address(lab: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 81, lab, host)
}

pub(super) fn namespace(lab: u8) -> String {
    format!("windlass-lab-{lab}")
}

/// The machine's name on the host; nspawn puts `vb-` before it for the interface in the bridge.
pub(super) fn machine(lab: u8, node: &str) -> String {
    format!("w{lab}-{node}")
}

pub(super) fn interface(lab: u8, node: &str) -> String {
    format!("vb-{}", machine(lab, node))
}

pub(super) fn create(lab: u8) -> Result<()> {
    let ns = namespace(lab);
    let host_link = format!("wl{lab}");
    let outside = format!("{}/24", address(lab, 1));
    let host = format!("{}/24", address(lab, 2));
    run(&["ip", "netns", "add", &ns])?;
    let inside = format!(
        "link set lo up\n\
         link add {BRIDGE} type bridge\n\
         address add {outside} dev {BRIDGE}\n\
         link set {BRIDGE} up\n"
    );
    batch(&["-n", &ns], &inside)?;
    batch(
        &[],
        &format!("link add {host_link} type veth peer name host netns {ns}\n"),
    )?;
    batch(&["-n", &ns], &format!("link set host master {BRIDGE} up\n"))?;
    batch(
        &[],
        &format!("address add {host} dev {host_link}\nlink set {host_link} up\n"),
    )
}

/// Forgets an interface that a killed node may have left. The kernel removes it as well, with the node's namespace, at a moment
/// of its own.
pub(super) fn forget(lab: u8, node: &str) -> Result<()> {
    let (ns, interface) = (namespace(lab), interface(lab, node));
    let is_left = || -> Result<bool> {
        let links = run(&["ip", "-n", &ns, "-brief", "link", "show"])?;
        let own = format!("{interface}@");
        Ok(links.lines().any(|line| line.starts_with(&own)))
    };
    if is_left()? {
        let deleted = run(&["ip", "-n", &ns, "link", "delete", &interface]);
        if is_left()? {
            deleted?;
        }
    }
    Ok(())
}

pub(super) fn set_link(lab: u8, node: &str, up: bool) -> Result<()> {
    let state = if up { "up" } else { "down" };
    run(&[
        "ip",
        "-n",
        &namespace(lab),
        "link",
        "set",
        &interface(lab, node),
        state,
    ])
    .map(drop)
}

/// Drops every packet between any of `one` and any of `other`.
pub(super) fn partition(lab: u8, one: &[Ipv4Addr], other: &[Ipv4Addr]) -> Result<()> {
    let (one, other) = (set(one), set(other));
    nft(
        lab,
        &format!(
            "add table bridge lab\n\
             add chain bridge lab cut {{ type filter hook forward priority 0; }}\n\
             add rule bridge lab cut ip saddr {one} ip daddr {other} drop\n\
             add rule bridge lab cut ip saddr {other} ip daddr {one} drop\n"
        ),
    )
}

/// Lets everybody speak with everybody again.
pub(super) fn heal(lab: u8) -> Result<()> {
    nft(lab, "add table bridge lab\ndelete table bridge lab\n")
}

/// Limits what a node receives to `kbit` per second, or lifts the limit.
pub(super) fn limit(lab: u8, node: &str, kbit: Option<u32>) -> Result<()> {
    let (ns, interface) = (namespace(lab), interface(lab, node));
    let shaped = run(&["tc", "-n", &ns, "qdisc", "show", "dev", &interface])?.contains("tbf");
    if shaped {
        run(&[
            "tc", "-n", &ns, "qdisc", "delete", "dev", &interface, "root",
        ])?;
    }
    if let Some(kbit) = kbit {
        let rate = format!("{kbit}kbit");
        let shape = [
            "root", "tbf", "rate", &rate, "burst", "16kb", "latency", "50ms",
        ];
        run(&[
            &["tc", "-n", &ns, "qdisc", "add", "dev", &interface][..],
            &shape,
        ]
        .concat())?;
    }
    Ok(())
}

/// `program` inside the lab's network. Not `ip netns exec`: that hides the cgroups.
pub(super) fn command_in(lab: u8, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{}", namespace(lab)))
        .arg("--")
        .arg(program.as_ref());
    command
}

fn batch(options: &[&str], lines: &str) -> Result<()> {
    feed(
        Command::new("ip").args(options).args(["-batch", "-"]),
        lines.as_bytes(),
    )
}

fn nft(lab: u8, script: &str) -> Result<()> {
    feed(command_in(lab, "nft").args(["-f", "-"]), script.as_bytes())
}

fn set(addresses: &[Ipv4Addr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(Ipv4Addr::to_string).collect();
    format!("{{ {} }}", addresses.join(", "))
}
