//! One machine of a lab: its life, its faults, and the two ways into it.
//!
//! `ssh` goes through its network and its sshd, as Windlass does. `sh` goes through its namespaces,
//! as a person at its console would: it works when the node is cut off or its firewall is shut.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::boot;
use super::cgroup::NodeCgroup;
use super::command::{capture, finish, run};
use super::disk;
use super::identity;
use super::network;
use super::slot::state_dir;
use super::spec::{Base, Disk, LabSpec, NodeSpec};
use super::wait::wait_until;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
/// Tells a container's init to halt: SIGRTMIN+3.
const HALT: &str = "-37";

/// A machine of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    lab: u8,
    name: String,
    ip: Ipv4Addr,
    secondary_ip: Ipv4Addr,
    host_key: String,
    base: Base,
    disk: Disk,
}

impl Node {
    /// Mounts the node's disk and gives it a host key; nothing runs yet.
    pub(super) fn create(lab: u8, node: &NodeSpec, spec: &LabSpec, image: &Path) -> Result<Self> {
        let name = node.name.clone();
        if name.is_empty() || name.len() > 8 || !(3..=244).contains(&node.host) {
            bail!(
                "node {name} ({}): the name needs 1 to 8 characters, the address 3 to 244",
                node.host
            );
        }
        let mut created = Self {
            lab,
            name,
            ip: network::address(lab, node.host),
            secondary_ip: network::address(lab, node.host + 10),
            host_key: String::new(),
            base: spec.base,
            disk: spec.disk,
        };
        disk::mount(&created, image)?;
        created.host_key = identity::make_host_key(&created)?;
        Ok(created)
    }

    /// Writes what makes it this machine: name, addresses, keys.
    pub(super) fn prepare(&self, all: &[Self]) -> Result<()> {
        identity::write(self, all)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    pub fn secondary_ip(&self) -> Ipv4Addr {
        self.secondary_ip
    }

    /// Its public SSH host key as `ssh-ed25519 AAAA...`.
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    pub(super) fn known_hosts_line(&self) -> String {
        format!(
            "{},{},{} {}\n",
            self.ip, self.secondary_ip, self.name, self.host_key
        )
    }

    pub(super) fn lab(&self) -> u8 {
        self.lab
    }

    pub(super) fn base(&self) -> Base {
        self.base
    }

    pub(super) fn disk(&self) -> Disk {
        self.disk
    }

    /// Its root directory as the host sees it, for looking at files of a node that is down, too.
    pub fn root(&self) -> PathBuf {
        self.dir().join("root")
    }

    /// Runs `script` with sh as root on the node's console; returns what it printed, or an error with
    /// it when it fails.
    pub fn sh(&self, script: &str) -> Result<String> {
        finish(&mut self.console_command(script)?).with_context(|| format!("on {}", self.name))
    }

    /// As [`Node::sh`], for scripts that may fail.
    pub fn try_sh(&self, script: &str) -> Result<Output> {
        capture(&mut self.console_command(script)?)
    }

    fn console_command(&self, script: &str) -> Result<Command> {
        let init = self
            .cgroup()?
            .init()
            .with_context(|| format!("{} is not running", self.name))?;
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &init.to_string(),
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
        ]);
        command.args(["--root", "--wd", "--", "sh", "-c", script]);
        command
            .env_clear()
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8");
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        Ok(command)
    }

    /// Runs `script` as root over SSH, from the host's address.
    pub fn ssh(&self, script: &str) -> Result<Output> {
        capture(self.ssh_command("root").arg(script))
    }

    /// `ssh` to this node as `user` (root or admin) with the lab's key and pinned host keys.
    pub fn ssh_command(&self, user: &str) -> Command {
        let dir = state_dir(self.lab);
        let mut command = Command::new("ssh");
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ]);
        command.args([
            "-o",
            "ConnectTimeout=3",
            "-o",
            "ServerAliveInterval=2",
            "-o",
            "LogLevel=ERROR",
        ]);
        command.arg("-i").arg(dir.join("key"));
        command.arg("-o").arg(format!(
            "UserKnownHostsFile={}",
            dir.join("known_hosts").display()
        ));
        command.arg(format!("{user}@{}", self.ip));
        command
    }

    /// Waits until it can be logged in to; the error shows the end of its console.
    pub fn wait_ssh(&self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        let sshd_answers = wait_until(limit, || self.has_ssh_banner());
        let left = end
            .saturating_duration_since(Instant::now())
            .max(Duration::from_secs(3));
        let logged_in = sshd_answers.and_then(|()| {
            let mut last = None;
            let result = wait_until(left, || {
                last = self.ssh("true").ok();
                last.as_ref().is_some_and(|output| output.status.success())
            });
            result.with_context(|| {
                last.map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
                    .unwrap_or_default()
            })
        });
        logged_in.with_context(|| {
            format!(
                "{} cannot be logged in to; its console:\n{}",
                self.name,
                self.console_tail(20)
            )
        })
    }

    /// Whether sshd greets. Cheaper than a login, and frozen machines do not.
    fn has_ssh_banner(&self) -> bool {
        let address = SocketAddr::from((self.ip, 22));
        let patience = Duration::from_millis(300);
        let Ok(mut stream) = TcpStream::connect_timeout(&address, patience) else {
            return false;
        };
        let mut start = [0; 4];
        stream.set_read_timeout(Some(patience)).is_ok()
            && stream.read_exact(&mut start).is_ok()
            && &start == b"SSH-"
    }

    /// The last lines that the machine printed on its console.
    pub fn console_tail(&self, lines: usize) -> String {
        let text = fs::read(self.console_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    pub fn is_running(&self) -> bool {
        self.cgroup().is_ok_and(|cgroup| cgroup.init().is_some())
    }

    /// Takes its network cable out.
    pub fn cut(&self) -> Result<()> {
        network::set_link(self.lab, &self.name, false)
    }

    /// Puts its network cable back.
    pub fn join(&self) -> Result<()> {
        network::set_link(self.lab, &self.name, true)
    }

    /// Limits what it receives to `kbit` per second; `None` lifts the limit.
    pub fn limit_network(&self, kbit: Option<u32>) -> Result<()> {
        network::limit(self.lab, &self.name, kbit)
    }

    /// Stops all of it where it is: connections stay open and nothing answers.
    pub fn freeze(&self) -> Result<()> {
        self.cgroup()?.freeze()
    }

    pub fn thaw(&self) -> Result<()> {
        self.cgroup()?.thaw()
    }

    /// Cuts its power. What it had written stays written.
    pub fn kill(&self) -> Result<()> {
        self.cgroup()?.kill()
    }

    /// Boots it again after [`Node::kill`] or [`Node::stop`], and waits until it can be logged in to.
    pub fn start(&self) -> Result<()> {
        if self.is_running() {
            bail!("{} is running already", self.name);
        }
        boot::launch(self)?;
        self.wait_ssh(START)
    }

    /// Shuts it down in order.
    pub fn stop(&self) -> Result<()> {
        let cgroup = self.cgroup()?;
        let init = cgroup
            .init()
            .with_context(|| format!("{} is not running", self.name))?;
        run(&["kill", HALT, &init.to_string()])?;
        let gone = || cgroup.processes().is_ok_and(|left| left.is_empty());
        wait_until(STOP, gone).with_context(|| format!("{} does not shut down", self.name))
    }

    /// Shuts it down in order and boots it again.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    pub(super) fn dir(&self) -> PathBuf {
        state_dir(self.lab).join("nodes").join(&self.name)
    }

    pub(super) fn console_path(&self) -> PathBuf {
        self.dir().join("console.log")
    }

    pub(super) fn cgroup(&self) -> Result<NodeCgroup> {
        NodeCgroup::of(self.lab, &self.name)
    }
}
