//! What a waiting worker costs: its memory when it has found nothing to do, some seconds later.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::scale::status_mib;
use super::tool::{Scenario, Tool};
use super::workspace::{Workspace, succeed};

/// For its first look at the nodes, and ten seconds more.
const WAIT: Duration = Duration::from_secs(20);

#[derive(Debug, Serialize)]
pub struct Idle {
    pub resident_mib: f64,
    /// Of that its own memory; the rest is the program's file, which the system may drop.
    pub own_mib: f64,
    pub peak_mib: f64,
    pub binary_mib: f64,
}

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Starts `windlass worker` on the benchmark's repository, whose newest commit the nodes hold, and looks at its memory.
pub fn idle(work: &Workspace, logs: &Path) -> Result<Idle> {
    // The last commit was only ever shown as a difference.
    succeed(&mut Tool::Windlass.command(Scenario::Change, work))?;
    let config = work.dir().join("worker.yaml");
    let text = format!(
        "state: {}\nssh: {{ identity_file: {} }}\nclusters:\n  - name: bench\n    repository: {{ url: {} }}\n",
        work.dir().join("worker").display(),
        work.identity.display(),
        work.cluster().display()
    );
    fs::write(&config, text)?;
    let log = File::create(logs.join("worker.log"))?;
    let mut command = Command::new(&work.windlass);
    command.arg("worker").arg("--config").arg(&config);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut worker = Worker(command.spawn().context("cannot start the worker")?);
    sleep(WAIT);
    if let Some(status) = worker.0.try_wait()? {
        bail!(
            "the worker ended ({status}), see {}",
            logs.join("worker.log").display()
        );
    }
    let process = worker.0.id().to_string();
    let of = |key| status_mib(&process, key).context("the worker's memory cannot be read");
    let size = fs::metadata(&work.windlass)?.len();
    Ok(Idle {
        resident_mib: of("VmRSS")?,
        own_mib: of("RssAnon")?,
        peak_mib: of("VmHWM")?,
        binary_mib: f64::from(u32::try_from(size / 1024)?) / 1024.0,
    })
}
