//! Real workers on one broker. The definitions they are given are broken on purpose, so that every push ends in a
//! refusal, and no node is needed.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use windlass_tests::cluster::program;
use windlass_tests::lab::wait_until;

use super::place::SOON;

const SECRET: &str = "a secret that nobody guesses";
pub const TOKEN: &str = "a token that nobody guesses";

/// A bare repository with a checkout beside it.
pub struct Repository {
    dir: tempfile::TempDir,
}

impl Repository {
    pub fn make() -> Result<Self> {
        let repository = Self {
            dir: tempfile::tempdir()?,
        };
        repository.git(".", &["init", "-q", "--bare", "-b", "main", "cluster.git"])?;
        repository.git(".", &["init", "-q", "-b", "main", "work"])?;
        Ok(repository)
    }

    /// Pushes a change and gives its commit.
    pub fn push(&self, text: &str) -> Result<String> {
        fs::write(self.dir.path().join("work/cluster.yaml"), text)?;
        self.git("work", &["add", "--all"])?;
        self.git("work", &["commit", "-q", "-m", text])?;
        self.git("work", &["push", "-q", "../cluster.git", "main"])?;
        self.git("work", &["rev-parse", "HEAD"])
    }

    pub fn url(&self) -> PathBuf {
        self.dir.path().join("cluster.git")
    }

    fn git(&self, at: &str, args: &[&str]) -> Result<String> {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
        git.args(["-c", "commit.gpgsign=false"]).args(args);
        said(git.current_dir(self.dir.path().join(at)))
    }
}

/// A worker with a state of its own. It polls seldom: what it learns, it learns through the queue.
pub struct Worker {
    dir: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

impl Worker {
    /// `queue`: lines of the configuration.
    pub fn start(repository: &Repository, queue: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = windlass_tests::port::free()?;
        fs::write(dir.path().join("hook"), SECRET)?;
        fs::write(dir.path().join("token"), TOKEN)?;
        fs::write(
            dir.path().join("password"),
            windlass_tests::broker::PASSWORD,
        )?;
        let url = repository.url();
        let config = format!(
            "state: state
listen: 127.0.0.1:{port}
hook: {{ secret_files: [hook] }}
api: {{ token_file: token }}
sweep: 1h
{queue}
clusters: [{{ name: example, poll: 1h, repository: {{ url: {} }} }}]
",
            url.display()
        );
        fs::write(dir.path().join("worker.yaml"), config)?;
        let mut worker = Self {
            dir,
            port,
            process: None,
        };
        worker.run()?;
        Ok(worker)
    }

    pub fn run(&mut self) -> Result<()> {
        let mut append = File::options();
        let log = append
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))?;
        let started = self.windlass(&["worker"]).stderr(log).spawn();
        self.process = Some(started?);
        let ready = wait_until(SOON, || self.log().contains("the worker is ready"));
        ready.with_context(|| self.log())
    }

    fn windlass(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program().expect("the program is built"));
        command.args(words).stdin(Stdio::null());
        command
            .arg("--config")
            .arg(self.dir.path().join("worker.yaml"));
        command
    }

    /// The command line beside the running worker; what it printed.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        said(&mut self.windlass(words))
    }

    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        said(Command::new("kill").arg(process.id().to_string()))?;
        let mut ended = None;
        let waited = wait_until(SOON, || {
            ended = process.try_wait().ok().flatten();
            ended.is_some()
        });
        waited.with_context(|| self.log())?;
        ensure!(
            ended.is_some_and(|status| status.success()),
            "{}",
            self.log()
        );
        Ok(())
    }

    /// Sends a signed hook; the status of the answer.
    pub fn hook(&self, delivery: &str) -> Result<u16> {
        let body = "{\"refs\":[\"refs/heads/main\"]}";
        let mut openssl = Command::new("sh");
        openssl.args([
            "-c",
            "printf %s \"$1\" | openssl dgst -sha256 -hmac \"$2\" -r",
            "sh",
        ]);
        let digest = said(openssl.args([body, SECRET]))?;
        let digest = digest.split(' ').next().unwrap_or_default();
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--max-time",
            "10",
        ]);
        curl.args(["-H", &format!("X-Windlass-Signature: sha256={digest}")]);
        curl.args(["-H", &format!("X-Windlass-Delivery: {delivery}")]);
        curl.args([
            "-d",
            body,
            &format!("http://127.0.0.1:{}/hooks/git", self.port),
        ]);
        Ok(said(&mut curl)?.parse()?)
    }

    pub fn get(&self, path: &str) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-sf", "--max-time", "30"]);
        said(curl.arg(format!("http://127.0.0.1:{}{path}", self.port)))
    }

    /// Asks the API with this token; the status, and what it says. With a body it is a `POST`.
    pub fn api(&self, path: &str, token: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "30", "-w", "\n%{http_code}"]);
        curl.args(["-H", &format!("Authorization: Bearer {token}")]);
        if let Some(body) = body {
            curl.args(["-d", &body.to_string()]);
        }
        let said = said(curl.arg(format!("http://127.0.0.1:{}{path}", self.port)))?;
        let (body, status) = said.rsplit_once('\n').context("no status")?;
        Ok((status.parse()?, serde_json::from_str(body)?))
    }

    pub fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.get(path)?)?)
    }

    /// Whether this worker told of the commit's refusal.
    pub fn has_refused(&self, commit: &str) -> bool {
        let rolls = self.json("/api/v1/rolls?cluster=example&limit=50");
        let rolls = rolls.ok().and_then(|rolls| rolls.as_array().cloned());
        let of = |roll: &Value| roll["commit"] == commit && roll["outcome"] == "refused";
        rolls.is_some_and(|rolls| rolls.iter().any(of))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A test that failed must not leave it behind.
        drop(self.kill());
    }
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {text}{errors}");
    Ok(text)
}
