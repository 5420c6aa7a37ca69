//! A worker as a process of its own, with a state of its own, on one node of the broker.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;
use windlass_tests::broker::{PASSWORD, USER};
use windlass_tests::cluster::program;
use windlass_tests::forge::SECRET;
use windlass_tests::lab::wait_until;

use super::place::{Place, SOON, said};

pub struct Worker {
    dir: PathBuf,
    pub port: u16,
    process: Option<Child>,
}

impl Worker {
    /// Without a broker it has a queue of its own. It looks at the branch by itself when it starts, and then not for hours.
    pub fn start(place: &Place, broker: Option<SocketAddr>, name: &str) -> Result<Self> {
        Self::start_with(place, broker, name, "1h")
    }

    /// `sweep`: how often it compares the nodes.
    pub fn start_with(
        place: &Place,
        broker: Option<SocketAddr>,
        name: &str,
        sweep: &str,
    ) -> Result<Self> {
        let cluster = format!(
            "{{ name: example, poll: 1h, repository: {{ url: {} }} }}",
            place.repository().display()
        );
        let (dir, key) = (place.dir.path().join(name), place.lab.ssh_key());
        Self::begin(&dir, &key, broker, (&cluster, sweep))
    }

    /// With a directory of its own, and this in its configuration's `clusters`.
    pub fn watching(cluster: &str, dir: &Path, ssh_key: &Path, broker: SocketAddr) -> Result<Self> {
        Self::begin(dir, ssh_key, Some(broker), (cluster, "20s"))
    }

    fn begin(
        dir: &Path,
        ssh_key: &Path,
        broker: Option<SocketAddr>,
        (cluster, sweep): (&str, &str),
    ) -> Result<Self> {
        let dir = dir.to_path_buf();
        fs::create_dir(&dir)?;
        let port = windlass_tests::port::free()?;
        fs::write(dir.join("hook"), SECRET)?;
        fs::write(dir.join("password"), PASSWORD)?;
        let queue = broker.map_or_else(
            || "queue: embedded".to_owned(),
            |address| {
                format!("queue: amqp://{USER}@{address}/v0\nbroker: {{ password_file: password }}")
            },
        );
        let config = format!(
            "state: state
listen: 127.0.0.1:{port}
public_url: http://127.0.0.1:{port}
hook: {{ secret_files: [hook] }}
ssh: {{ identity_file: {} }}
sweep: {sweep}
{queue}
clusters: [{cluster}]
",
            ssh_key.display(),
        );
        fs::write(dir.join("worker.yaml"), config)?;
        let mut worker = Self {
            dir,
            port,
            process: None,
        };
        worker.run()?;
        Ok(worker)
    }

    pub fn run(&mut self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))?;
        let before = self.log().matches("the worker is ready").count();
        let mut command = Command::new(program()?);
        command.args(["worker", "--config"]);
        command.arg(self.dir.join("worker.yaml"));
        self.process = Some(command.stdin(Stdio::null()).stderr(log).spawn()?);
        let ready = || self.log().matches("the worker is ready").count() > before;
        wait_until(SOON, ready).with_context(|| self.log())
    }

    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// SIGSTOP and the like.
    pub fn signal(&self, name: &str) -> Result<()> {
        let process = self.process.as_ref().context("it does not run")?;
        let mut kill = Command::new("kill");
        said(kill.args([&format!("-{name}"), &process.id().to_string()])).map(drop)
    }

    /// Sends a signed hook; the status of the answer.
    pub fn hook(&self, delivery: &str) -> Result<u16> {
        let body = "{\"refs\":[\"refs/heads/main\"]}";
        let mut openssl = Command::new("sh");
        let script = "printf %s \"$1\" | openssl dgst -sha256 -hmac \"$2\" -r";
        let digest = said(openssl.args(["-c", script, "sh", body, SECRET]))?;
        let digest = digest.split(' ').next().unwrap_or_default();
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]);
        curl.args(["--max-time", "10"]);
        curl.args(["-H", &format!("X-Windlass-Signature: sha256={digest}")]);
        curl.args(["-H", &format!("X-Windlass-Delivery: {delivery}")]);
        let url = format!("http://127.0.0.1:{}/hooks/git", self.port);
        Ok(said(curl.args(["-d", body, &url]))?.parse()?)
    }

    /// The status of the answer to a question.
    pub fn get(&self, path: &str) -> Result<u16> {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]);
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        Ok(said(curl.args(["--max-time", "30", &url]))?.parse()?)
    }

    pub fn json(&self, path: &str) -> Result<Value> {
        let mut curl = Command::new("curl");
        curl.args(["-sf", "--max-time", "30"]);
        let text = said(curl.arg(format!("http://127.0.0.1:{}{path}", self.port)))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Whether it carries out a turn now.
    pub fn rolls(&self) -> bool {
        let cluster = self.json("/api/v1/clusters/example");
        cluster.is_ok_and(|cluster| !cluster["live"].is_null())
    }

    /// What it has told: rolls with their outcomes, the newest first.
    pub fn reports(&self) -> Result<Vec<Value>> {
        let all = self.json("/api/v1/rolls?cluster=example&limit=500")?;
        Ok(all.as_array().cloned().unwrap_or_default())
    }

    /// The rolls of which it has begun a turn.
    pub fn begun(&self) -> BTreeSet<String> {
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains("a turn begins"));
        let roll = |line: &str| {
            let (_, rest) = line.split_once("roll=")?;
            let word = rest.split_whitespace().next()?;
            Some(word.trim_matches('"').to_owned())
        };
        lines.filter_map(roll).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A test that failed must not leave it behind.
        drop(self.kill());
    }
}
