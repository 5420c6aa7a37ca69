//! A client that requests a site through every VPS for as long as it lives, from an address that is not the
//! worker's, and counts. Its count of failed requests is what a roll is measured by.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context as _, ensure};

use crate::lab::Lab;

/// A minute and node: leaves the two processors of a small machine to the nodes.
const RATE: &str = "480/m";
/// More than any test lives for.
const REQUESTS: &str = "#[1-1000000]";

pub struct Client {
    running: Vec<Running>,
}

struct Running {
    process: Child,
    reader: Option<JoinHandle<()>>,
    seen: Arc<Seen>,
}

/// Through one node.
#[derive(Default)]
struct Seen {
    done: AtomicUsize,
    failed: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Client {
    /// Requests `https://host/` through each of `nodes`, one after the other, each over a connection of its own.
    pub fn start(lab: &Lab, host: &str, nodes: &[&str], ca: &Path) -> anyhow::Result<Self> {
        let mut client = Self {
            running: Vec::new(),
        };
        for node in nodes {
            // One process for all requests: to start one for each costs more than the requests do.
            let mut curl = lab.run_in_net("curl");
            curl.args(["--silent", "--max-time", "5", "--rate", RATE])
                .args([
                    "--http1.1",
                    "--header",
                    "Connection: close",
                    "--no-sessionid",
                ])
                .arg("--cacert")
                .arg(ca)
                .args(["--resolve", &format!("{host}:443:{}", lab.node(node).ip())])
                .args(["--output", "/dev/null"])
                // What goes to its standard output it would keep back for a while.
                .args(["--write-out", "%{stderr}%{http_code} %{errormsg}\n"])
                .arg(format!("https://{host}/{REQUESTS}"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let mut process = curl.spawn().context("cannot start curl")?;
            let answers = process.stderr.take().context("no pipe")?;
            let (seen, node) = (Arc::<Seen>::default(), (*node).to_owned());
            let own = Arc::clone(&seen);
            let reader = std::thread::spawn(move || own.count(&node, answers));
            client.running.push(Running {
                process,
                reader: Some(reader),
                seen,
            });
        }
        Ok(client)
    }

    pub fn requests(&self) -> usize {
        let of = |running: &Running| running.seen.done.load(Ordering::Relaxed);
        self.running.iter().map(of).sum()
    }

    pub fn failed(&self) -> usize {
        let of = |running: &Running| running.seen.failed.load(Ordering::Relaxed);
        self.running.iter().map(of).sum()
    }

    /// The first few failures in words.
    pub fn failures(&self) -> Vec<String> {
        let of = |running: &Running| match running.seen.failures.lock() {
            Ok(failures) => failures.clone(),
            Err(_) => Vec::new(),
        };
        self.running.iter().flat_map(of).collect()
    }

    /// That no request has failed, through no node, and that there still are some through each.
    pub fn unharmed(&mut self) -> anyhow::Result<()> {
        let (requests, failed) = (self.requests(), self.failed());
        ensure!(
            failed == 0,
            "{failed} of {requests} requests failed: {:?}",
            self.failures()
        );
        for running in &mut self.running {
            let done = running.seen.done.load(Ordering::Relaxed);
            let ended = running.process.try_wait()?;
            ensure!(
                done > 30 && ended.is_none(),
                "{done} requests, then {ended:?}"
            );
        }
        Ok(())
    }
}

impl Seen {
    fn count(&self, node: &str, answers: ChildStderr) {
        for answer in BufReader::new(answers).lines() {
            let answer = answer.unwrap_or_else(|error| error.to_string());
            if answer.trim_end() != "200" {
                self.fail(format!("{node}: {answer}"));
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn fail(&self, what: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut failures) = self.failures.lock()
            && failures.len() < 5
        {
            failures.push(what);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}
