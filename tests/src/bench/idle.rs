//! What a waiting worker costs: its memory ten seconds after it found nothing to do.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::scale::status_mib;
use super::workspace::Workspace;

const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
pub struct Idle {
    pub resident_mib: f64,
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

/// Starts `windlass worker` on the benchmark's repository, whose commit the nodes hold, and looks at its memory.
pub fn idle(work: &Workspace, logs: &Path) -> Result<Idle> {
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
        peak_mib: of("VmHWM")?,
        binary_mib: f64::from(u32::try_from(size / 1024)?) / 1024.0,
    })
}
