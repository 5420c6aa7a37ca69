//! A real `windlass worker` that watches a cluster's bare repository, and what its API tells.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::fixture::{Cluster, run};
use super::keys::private;
use super::said::Said;
use crate::lab::wait_until;
use crate::port;

pub struct Worker {
    child: Child,
    config: PathBuf,
    log: PathBuf,
    url: String,
    program: PathBuf,
    hook_secret: PathBuf,
    /// Set where people want to look further.
    outlives_us: bool,
}

/// How the roll of a commit ended.
#[derive(Debug, Clone)]
pub struct Report {
    /// "rolled-out", "rolled-back", "refused", "unchanged", "stuck".
    pub outcome: String,
    pub bundle: Option<String>,
    /// As people are told.
    pub text: String,
    pub value: Value,
}

impl Report {
    fn of(roll: &Value) -> anyhow::Result<Self> {
        let outcome = serde_json::from_value(roll.clone()).context("an outcome")?;
        Ok(Self {
            outcome: roll["outcome"].as_str().unwrap_or_default().to_owned(),
            bundle: roll["bundle"].as_str().map(str::to_owned),
            text: windlass_core::report::roll::text(&outcome, None),
            value: roll.clone(),
        })
    }
}

impl Worker {
    /// `queue` is what the configuration says of it: nothing, or lines. The worker number `n` has a state of its own.
    pub(super) fn start(
        cluster: &Cluster,
        program: &Path,
        queue: &str,
        n: usize,
    ) -> anyhow::Result<Self> {
        let own = if n == 0 { String::new() } else { n.to_string() };
        let listen = SocketAddr::from(([127, 0, 0, 1], port::free()?));
        let hook_secret = cluster.dir().join("hook-secret");
        if !hook_secret.exists() {
            private(
                &hook_secret,
                run(Command::new("openssl").args(["rand", "-hex", "32"]))?
                    .trim()
                    .as_bytes(),
            )?;
        }
        let config = cluster.dir().join(format!("worker{own}.yaml"));
        let log = cluster.dir().join(format!("worker{own}.log"));
        let acme = cluster
            .answers()
            .get(n)
            .map_or_else(String::new, |address| {
                format!("acme: {{ listen: \"{address}\" }}\n")
            });
        let opened = cluster.age_identity().map_or_else(String::new, |file| {
            format!("age_identities: [{}]\n", file.display())
        });
        let text = format!(
            "state: state{own}\nlisten: {listen}\n{queue}{acme}{opened}hook: {{ secret_files: [hook-secret] }}\n\
             ssh: {{ identity_file: {key} }}\ncertificates: {certificates}\nsecrets: {secrets}\nca_file: {ca}\n\
             sweep: 60s\nclusters:\n  - name: demo\n    poll: 1s\n    repository: {{ url: {bare}, branch: main }}\n",
            key = cluster.ssh_key().display(),
            certificates = cluster.certificates().display(),
            secrets = cluster.secrets().display(),
            ca = cluster.ca().display(),
            bare = cluster.bare().display(),
        );
        std::fs::write(&config, text)?;
        let mut worker = Self {
            child: spawn(program, &config, &log)?,
            config,
            log,
            url: format!("http://{listen}"),
            program: program.to_owned(),
            hook_secret,
            outlives_us: false,
        };
        worker.wait_ready()?;
        Ok(worker)
    }

    fn wait_ready(&mut self) -> anyhow::Result<()> {
        let ready = wait_until(Duration::from_secs(30), || {
            self.child.try_wait().is_ok_and(|ended| ended.is_some()) || self.get("/readyz").is_ok()
        });
        if self.child.try_wait()?.is_some() || ready.is_err() {
            anyhow::bail!("the worker did not start:\n{}", self.log_tail(30));
        }
        Ok(())
    }

    /// `windlass ARGUMENTS --config worker.yaml`, run to its end.
    pub fn says(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let mut command = Command::new(&self.program);
        Said::of(command.args(arguments).arg("--config").arg(&self.config))
    }

    /// kill -9, as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again with what it had on disk.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.program, &self.config, &self.log)?;
        self.wait_ready()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn hook_secret(&self) -> &Path {
        &self.hook_secret
    }

    /// A GET on the worker's HTTP server; the body.
    pub fn get(&self, path: &str) -> anyhow::Result<String> {
        run(Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "5"])
            .arg(format!("{}{path}", self.url)))
    }

    fn json(&self, path: &str) -> anyhow::Result<Value> {
        serde_json::from_str(&self.get(path)?).with_context(|| format!("the answer to {path}"))
    }

    /// The outcome of a commit, once there is one.
    pub fn report(&self, commit: &str) -> anyhow::Result<Option<Report>> {
        Ok(self.reports(commit)?.into_iter().next())
    }

    /// All that was told of a commit, the newest first.
    pub fn reports(&self, commit: &str) -> anyhow::Result<Vec<Report>> {
        let rolls = self.json("/api/v1/rolls?cluster=demo&limit=20")?;
        let all = rolls.as_array().into_iter().flatten();
        let of_commit = all.filter(|roll| roll["commit"] == commit);
        of_commit.map(Report::of).collect()
    }

    /// Whether every event that came was worked on to its end.
    pub fn is_idle(&self) -> anyhow::Result<bool> {
        let events = self.json("/api/v1/events")?;
        let mut all = events.as_array().into_iter().flatten();
        Ok(all.all(|event| event["state"] == "done") && self.live()?.is_empty())
    }

    /// Waits until the roll under way says so of the node.
    pub fn until(&self, node: &str, says: &str) -> anyhow::Result<()> {
        let mut live = Vec::new();
        let said = wait_until(Duration::from_secs(60), || {
            live = self.live().unwrap_or_default();
            live.iter()
                .any(|(name, state)| name == node && state.contains(says))
        });
        said.with_context(|| {
            format!(
                "{node} does not say {says:?}: {live:?}\n{}",
                self.log_tail(30)
            )
        })
    }

    /// Where each node of the roll in progress is.
    pub fn live(&self) -> anyhow::Result<Vec<(String, String)>> {
        let cluster = self.json("/api/v1/clusters/demo")?;
        let nodes = cluster["live"]["nodes"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(nodes
            .iter()
            .map(|node| (text(&node["node"]), text(&node["state"])))
            .collect())
    }

    pub fn is_quarantined(&self, report: &Report) -> anyhow::Result<bool> {
        let cluster = self.json("/api/v1/clusters/demo")?;
        let bundle = report.bundle.as_deref().unwrap_or("none");
        Ok(cluster["quarantine"].to_string().contains(bundle))
    }

    pub fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).context("the worker's log")
    }

    pub fn log_tail(&self, lines: usize) -> String {
        let text = self.log().unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Lets the worker live on; its log.
    pub fn leave_running(mut self) -> PathBuf {
        self.outlives_us = true;
        self.log.clone()
    }
}

fn spawn(program: &Path, config: &Path, log: &Path) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(log)?;
    Command::new(program)
        .args(["worker", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.outlives_us {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
