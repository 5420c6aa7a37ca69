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
    shared: Arc<Shared>,
    running: Vec<(Child, JoinHandle<()>)>,
}

#[derive(Default)]
struct Shared {
    done: AtomicUsize,
    failed: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Client {
    /// Requests `https://host/` through each of `nodes`, one after the other, each over a connection of its own.
    pub fn start(lab: &Lab, host: &str, nodes: &[&str], ca: &Path) -> anyhow::Result<Self> {
        let mut client = Self {
            shared: Arc::default(),
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
            let (shared, node) = (Arc::clone(&client.shared), (*node).to_owned());
            let reader = std::thread::spawn(move || shared.count(&node, answers));
            client.running.push((process, reader));
        }
        Ok(client)
    }

    pub fn requests(&self) -> usize {
        self.shared.done.load(Ordering::Relaxed)
    }

    pub fn failed(&self) -> usize {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// The first few failures in words.
    pub fn failures(&self) -> Vec<String> {
        self.shared
            .failures
            .lock()
            .map(|failures| failures.clone())
            .unwrap_or_default()
    }

    /// That there were requests all the time and none has failed.
    pub fn unharmed(&self) -> anyhow::Result<()> {
        let (requests, failed) = (self.requests(), self.failed());
        ensure!(
            failed == 0 && requests > 100,
            "{failed} of {requests} requests failed: {:?}",
            self.failures()
        );
        Ok(())
    }
}

impl Shared {
    fn count(&self, node: &str, answers: ChildStderr) {
        for answer in BufReader::new(answers).lines().map_while(Result::ok) {
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

impl Drop for Client {
    fn drop(&mut self) {
        for (process, _) in &mut self.running {
            drop(process.kill());
            drop(process.wait());
        }
        for (_, reader) in self.running.drain(..) {
            drop(reader.join());
        }
    }
}
