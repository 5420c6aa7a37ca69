//! A broker's number, from which its ports follow, and the promise that whatever has a number goes away with
//! its owner.
//!
//! Many tests run at the same time, each in a process of its own that may be killed at any moment. The number is
//! a lock on a file, shared with a small shell process that waits for the owner's death and clears up: the lock
//! is free when both are gone. Should the shell process be killed as well, the next owner of the number clears up.

use std::fs::{self, File, TryLockError};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

const REAP: &str = include_str!("../../broker/reap.sh");
const NUMBERS: std::ops::Range<u16> = 0..200;
/// Below the ports that the kernel gives out by itself, so that a broker that is down for a while finds its own
/// ports free when it comes back.
const FIRST_PORT: u16 = 21_000;
const PORTS: u16 = 20;

pub(super) struct Slot {
    dir: PathBuf,
    first_port: u16,
    lifeline: Option<Child>,
}

impl Slot {
    pub(super) fn take() -> Result<Self> {
        let root = root()?;
        for number in NUMBERS {
            let path = root.join(format!("{number}.lock"));
            let lock = File::create(&path).with_context(|| format!("cannot write {path:?}"))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error).context("cannot lock"),
            }
            let first_port = FIRST_PORT + number * PORTS;
            let dir = root.join(number.to_string());
            reap(&dir)?;
            if !(first_port..first_port + PORTS).all(is_free) {
                continue;
            }
            fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            let lifeline = Some(lifeline(&dir, lock)?);
            return Ok(Self {
                dir,
                first_port,
                lifeline,
            });
        }
        bail!("all {} numbers for brokers are taken", NUMBERS.len())
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lets everything outlive us. Whoever ends the process that is given ends all of it.
    pub(super) fn leave_running(&mut self) -> Result<u32> {
        let lifeline = self.lifeline.take().context("it has no lifeline")?;
        let input = lifeline.stdin.context("its lifeline has no input")?;
        let mut keeper = Command::new("sleep");
        keeper
            .arg("infinity")
            .stdin(Stdio::null())
            .stdout(input)
            .stderr(Stdio::null());
        let keeper = keeper.process_group(0).spawn();
        Ok(keeper.context("cannot start sleep")?.id())
    }

    /// The `n`th of the ports that are ours.
    pub(super) fn port(&self, n: u16) -> u16 {
        assert!(n < PORTS, "a broker has {PORTS} ports");
        self.first_port + n
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(mut lifeline) = self.lifeline.take() {
            // It sees the end of its input and does the rest.
            drop(lifeline.stdin.take());
            let _ = lifeline.wait();
        }
    }
}

/// This user's own folder for what all tests share.
pub(crate) fn root() -> Result<PathBuf> {
    let user = fs::metadata("/proc/self")?.uid();
    let root = std::env::temp_dir().join(format!("windlass-brokers-{user}"));
    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(&root);
    made.with_context(|| format!("cannot make {}", root.display()))?;
    let owner = fs::symlink_metadata(&root)?.uid();
    ensure!(owner == user, "{} is another user's", root.display());
    Ok(root)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn reap(dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let reaped = Command::new("bash")
        .args(["-c", REAP, "reap"])
        .arg(dir)
        .status()
        .context("cannot run bash")?;
    ensure!(reaped.success() && !dir.exists(), "{dir:?} stays");
    Ok(())
}

/// Holds the lock as its standard output: nobody takes the number before everything is cleared up.
fn lifeline(dir: &Path, lock: File) -> Result<Child> {
    let mut command = Command::new("bash");
    command
        .args(["-c", REAP, "reap", "--when-stdin-closes"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(lock)
        .stderr(Stdio::null());
    // Its own process group, so that Ctrl-C reaches the owner only.
    command.process_group(0);
    command.spawn().context("cannot start the lifeline")
}
