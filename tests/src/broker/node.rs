//! One RabbitMQ node: a process that can be stopped, killed, frozen and started again with what it had on disk.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::version::Programs;
use crate::lab::wait_until;

/// Long enough for a machine that builds at the same time.
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(60);

/// In the environment of every process of a broker: the broker's directory.
pub(super) const MARK: &str = "WINDLASS_BROKER";
/// In the environment of a node's own processes: the node's directory.
const NODE_MARK: &str = "WINDLASS_BROKER_NODE";

pub struct BrokerNode {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    /// Of the whole broker; what its processes are marked with.
    pub(super) mark: PathBuf,
    pub(super) port: u16,
    pub(super) tls_port: u16,
    pub(super) dist_port: u16,
    pub(super) epmd_port: u16,
    pub(super) programs: Arc<Programs>,
    /// Files of ours that its programs see elsewhere.
    pub(super) shown: Vec<(PathBuf, &'static str)>,
    pub(super) process: Mutex<Option<Child>>,
}

impl BrokerNode {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts it, with what it had on disk when it ran before, and waits until it answers.
    pub fn start(&self) -> Result<()> {
        self.launch()?;
        self.ready()
    }

    pub(super) fn launch(&self) -> Result<()> {
        let mut process = self.process();
        ensure!(process.is_none(), "{} runs already", self.name);
        let log = File::create(self.dir.join("console"))?;
        let mut command = self.command("rabbitmq-server");
        let started = command
            .env(NODE_MARK, &self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        *process =
            Some(started.context("cannot start rabbitmq-server; scripts/setup.sh installs it")?);
        Ok(())
    }

    pub(super) fn ready(&self) -> Result<()> {
        let mut ended = None;
        let waited = wait_until(START, || {
            let mut process = self.process();
            ended = process
                .as_mut()
                .and_then(|child| child.try_wait().ok())
                .flatten();
            ended.is_some() || self.answers()
        });
        if let Some(status) = ended {
            bail!("{} ended at once ({status}): {}", self.name, self.log());
        }
        waited.with_context(|| format!("{} does not answer: {}", self.name, self.log()))
    }

    /// Whether it speaks AMQP: it says hello only when it has started as a whole.
    pub fn answers(&self) -> bool {
        let hello = || -> std::io::Result<u8> {
            let second = Duration::from_secs(1);
            let mut stream = TcpStream::connect_timeout(&self.address(), second)?;
            stream.set_read_timeout(Some(second))?;
            stream.write_all(b"AMQP\0\0\x09\x01")?;
            let mut frame = [0];
            stream.read_exact(&mut frame)?;
            Ok(frame[0])
        };
        matches!(hello(), Ok(1))
    }

    /// Stops it as an admin would.
    pub fn stop(&self) -> Result<()> {
        let mut process = self.process();
        let Some(child) = process.as_mut() else {
            bail!("{} does not run", self.name);
        };
        // Its own process, not what it may be wrapped in.
        let pid = fs::read_to_string(self.dir.join("pid"))?;
        signal("-TERM", &[pid.trim().to_owned()])?;
        wait_until(STOP, || !matches!(child.try_wait(), Ok(None)))
            .with_context(|| format!("{} does not stop: {}", self.name, self.log()))?;
        *process = None;
        Ok(())
    }

    /// Ends it as a power failure would.
    pub fn kill(&self) -> Result<()> {
        let mut process = self.process();
        signal("-KILL", &self.pids()?)?;
        if let Some(mut child) = process.take() {
            child.wait()?;
        }
        wait_until(STOP, || self.pids().is_ok_and(|pids| pids.is_empty()))
    }

    /// It keeps its connections and says nothing more, until `thaw`.
    pub fn freeze(&self) -> Result<()> {
        signal("-STOP", &self.pids()?)
    }

    pub fn thaw(&self) -> Result<()> {
        signal("-CONT", &self.pids()?)
    }

    /// Runs `rabbitmqctl`, which takes a second or three, and gives what it printed.
    pub fn ctl(&self, args: &[&str]) -> Result<String> {
        let mut command = self.command("rabbitmqctl");
        let output = command.arg("--quiet").args(args).output();
        let output = output.context("cannot run rabbitmqctl")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "rabbitmqctl {args:?}: {said}{errors}"
        );
        Ok(said)
    }

    /// Pretends that the disk is full: the broker takes no more messages until it is told otherwise.
    pub fn fill_disk(&self, full: bool) -> Result<()> {
        let limit = if full { "1000000GB" } else { "1MB" };
        self.ctl(&["set_disk_free_limit", limit]).map(drop)
    }

    /// The end of what it logged.
    pub fn log(&self) -> String {
        let mut text = String::new();
        for file in [self.dir.join("log/node.log"), self.dir.join("console")] {
            let whole = fs::read_to_string(file).unwrap_or_default();
            let lines: Vec<&str> = whole.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            text += &last.join("\n");
            text.push('\n');
        }
        text
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// One of its programs, with everything that keeps it away from the machine's own RabbitMQ.
    fn command(&self, program: &str) -> Command {
        let path = |name: &str| self.dir.join(name);
        let mut command = self.programs.command(program, &self.mark, &self.shown);
        command
            .env_remove("NOTIFY_SOCKET")
            .env("HOME", &self.mark)
            .env(MARK, &self.mark)
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_CONFIG_FILES", path("conf.d"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", path("generated"))
            .env("RABBITMQ_MNESIA_BASE", path("data"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_LOGS", path("log/node.log"))
            .env("RABBITMQ_PID_FILE", path("pid"))
            // Few threads that do not spin: tests share a small machine.
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
            );
        command
    }

    fn pids(&self) -> Result<Vec<String>> {
        marked(NODE_MARK, &self.dir)
    }
}

/// The processes that carry this mark in their environment.
fn marked(variable: &str, value: &Path) -> Result<Vec<String>> {
    let mark = format!("{variable}={}", value.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Ok(environment) = fs::read(format!("/proc/{name}/environ")) else {
            continue;
        };
        if environment
            .split(|byte| *byte == 0)
            .any(|one| one == mark.as_bytes())
        {
            found.push(name);
        }
    }
    Ok(found)
}

fn signal(name: &str, pids: &[String]) -> Result<()> {
    // Some may have ended in between.
    let mut kill = Command::new("kill");
    kill.arg(name).args(pids).stderr(Stdio::null());
    kill.status().map(drop).context("cannot run kill")
}
