//! A client that requests a site through every VPS for as long as it lives, from an address that is not the
//! worker's, and counts. Its count of failed requests is what a roll is measured by.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::lab::Lab;

pub struct Client {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    done: AtomicUsize,
    failed: AtomicUsize,
    failures: std::sync::Mutex<Vec<String>>,
}

impl Client {
    /// Requests `https://host/` through each of `nodes`, one after the other without a pause worth naming.
    pub fn start(lab: &Lab, host: &str, nodes: &[&str], ca: &std::path::Path) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = nodes
            .iter()
            .map(|name| {
                let ip = lab.node(name).ip();
                let arguments = vec![
                    "--silent".to_owned(),
                    "--show-error".to_owned(),
                    "--max-time".to_owned(),
                    "5".to_owned(),
                    "--cacert".to_owned(),
                    ca.display().to_string(),
                    "--resolve".to_owned(),
                    format!("{host}:443:{ip}"),
                    "--output".to_owned(),
                    "/dev/null".to_owned(),
                    "--write-out".to_owned(),
                    "%{http_code}".to_owned(),
                    format!("https://{host}/"),
                ];
                let mut command = lab.run_in_net("curl");
                command.args(arguments);
                let (shared, node) = (Arc::clone(&shared), (*name).to_owned());
                std::thread::spawn(move || shared.request(&node, &mut command))
            })
            .collect();
        Self { shared, threads }
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
}

impl Shared {
    fn request(&self, node: &str, command: &mut std::process::Command) {
        while !self.stop.load(Ordering::Relaxed) {
            match command.output() {
                Ok(output) if output.stdout == b"200" => {}
                Ok(output) => self.fail(format!(
                    "{node}: {} {}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr).trim()
                )),
                Err(error) => self.fail(format!("{node}: {error}")),
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            // Leaves the two processors of a small machine to the nodes; no test waits for this.
            std::thread::sleep(Duration::from_millis(40));
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
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}
