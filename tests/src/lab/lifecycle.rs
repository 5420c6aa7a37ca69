//! A lab from boot to teardown.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::base::base_image;
use super::boot;
use super::command::run;
use super::network;
use super::node::Node;
use super::slot::{self, Slot, reap_stale, state_dir};
use super::spec::LabSpec;

const BOOT: Duration = Duration::from_secs(60);
const PROGRAMS: [&str; 9] = [
    "systemd-nspawn",
    "ip",
    "nft",
    "tc",
    "setsid",
    "nsenter",
    "ssh",
    "ssh-keygen",
    "mount",
];

/// Running machines in a network of their own. Dropping it removes them without a trace.
pub struct Lab {
    slot: Slot,
    nodes: Vec<Node>,
    outlives_us: bool,
}

impl Lab {
    /// Boots the machines and waits until each can be logged in to.
    pub fn boot(spec: &LabSpec) -> Result<Self> {
        Self::availability(spec)?;
        let image = base_image(spec.base)?;
        reap_stale()?;
        let mut lab = Self {
            slot: Slot::take()?,
            nodes: Vec::new(),
            outlives_us: false,
        };
        let number = lab.number();
        let dir = state_dir(number);
        let key = lab.ssh_key();
        run(&[
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "lab",
            "-f",
            &key.to_string_lossy(),
        ])?;
        network::create(number).context("cannot make the lab's network")?;
        for node in &spec.nodes {
            lab.nodes.push(Node::create(number, node, spec, &image)?);
        }
        let known_hosts: String = lab.nodes.iter().map(Node::known_hosts_line).collect();
        fs::write(lab.known_hosts(), known_hosts)?;
        fs::write(
            dir.join("lab.json"),
            serde_json::to_string_pretty(&lab.nodes)?,
        )?;
        for node in &lab.nodes {
            node.prepare(&lab.nodes)
                .with_context(|| format!("cannot prepare {}", node.name()))?;
        }
        lab.each_node(boot::launch)?;
        lab.each_node(|node| node.wait_ssh(BOOT))?;
        Ok(lab)
    }

    /// A lab that another process booted; dropping this leaves it alone.
    pub fn attach(number: u8) -> Result<Self> {
        let slot = Slot::existing(number)?;
        let text = fs::read_to_string(state_dir(number).join("lab.json"))
            .with_context(|| format!("lab {number} is not up yet"))?;
        Ok(Self {
            slot,
            nodes: serde_json::from_str(&text)?,
            outlives_us: true,
        })
    }

    /// A lab that stays until it is taken `down`.
    pub fn boot_kept(spec: &LabSpec) -> Result<Self> {
        let mut lab = Self::boot(spec)?;
        lab.keep()?;
        Ok(lab)
    }

    /// Leaves the lab running when this is dropped and when this process ends, until it is taken `down`.
    pub fn keep(&mut self) -> Result<()> {
        self.slot.keep()?;
        self.outlives_us = true;
        Ok(())
    }

    /// The numbers of the labs on this machine, each with whether it is kept.
    pub fn all() -> Vec<(u8, bool)> {
        slot::numbers()
    }

    /// Why a lab with this base cannot be booted here, in a line.
    pub fn availability(spec: &LabSpec) -> Result<()> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ids = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .unwrap_or_default();
        if ids.split_whitespace().nth(1) != Some("0") {
            bail!("the lab needs root");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let missing =
            |program: &&str| !std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
        let missing: Vec<&str> = PROGRAMS.into_iter().filter(missing).collect();
        if !missing.is_empty() {
            bail!("the lab needs {}: run `make setup`", missing.join(", "));
        }
        run(&["unshare", "--mount", "--net", "--pid", "--fork", "true"])
            .map_err(|error| anyhow!("this machine allows no namespaces: {error}"))?;
        base_image(spec.base).map(drop)
    }

    /// Does `action` on all nodes at the same time.
    fn each_node(&self, action: impl Fn(&Node) -> Result<()> + Sync) -> Result<()> {
        let action = &action;
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .nodes
                .iter()
                .map(|node| scope.spawn(move || action(node)))
                .collect();
            let results = threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?);
            results.collect()
        })
    }

    /// # Panics
    /// When the lab has no such node: that is a mistake in the test.
    pub fn node(&self, name: &str) -> &Node {
        let found = self.nodes.iter().find(|node| node.name() == name);
        found.unwrap_or_else(|| panic!("this lab has no node {name}"))
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn number(&self) -> u8 {
        self.slot.number
    }

    /// The lab's directory; it goes with the lab.
    pub fn dir(&self) -> PathBuf {
        state_dir(self.number())
    }

    /// The private key that root and admin of every node accept; the public one is beside it (`.pub`).
    pub fn ssh_key(&self) -> PathBuf {
        self.dir().join("key")
    }

    /// Every node's host key under its addresses and name.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir().join("known_hosts")
    }

    /// Where connections of the host's own processes come from: a worker's address.
    pub fn host_ip(&self) -> Ipv4Addr {
        network::address(self.number(), 2)
    }

    /// Where connections of [`Lab::run_in_net`] come from: a stranger's address.
    pub fn outside_ip(&self) -> Ipv4Addr {
        network::address(self.number(), 1)
    }

    /// `program` as somebody in the nodes' network would run it: only the lab is to be reached.
    pub fn run_in_net(&self, program: impl AsRef<Path>) -> Command {
        network::command_in(self.number(), program)
    }

    /// Nothing passes between these nodes and those, while everybody else reaches both.
    pub fn partition(&self, these: &[&str], those: &[&str]) -> Result<()> {
        let addresses = |names: &[&str]| -> Vec<Ipv4Addr> {
            names
                .iter()
                .flat_map(|name| [self.node(name).ip(), self.node(name).secondary_ip()])
                .collect()
        };
        network::partition(self.number(), &addresses(these), &addresses(those))
    }

    /// Ends every partition.
    pub fn heal(&self) -> Result<()> {
        network::heal(self.number())
    }

    /// Removes the lab, also a kept one, and says so when something is left.
    pub fn down(mut self) -> Result<()> {
        self.outlives_us = true;
        self.slot.release()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.outlives_us
            && let Err(error) = self.slot.release()
        {
            eprintln!("lab {} is not fully removed: {error:#}", self.number());
        }
    }
}
