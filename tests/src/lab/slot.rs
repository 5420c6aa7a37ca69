//! A lab's number, and the promise that whatever has a number goes away with its owner.
//!
//! Many processes boot labs at the same time, so numbers are given out under one file lock. An owner
//! may be killed at any time: a small shell process waits at the other end of a pipe for that and
//! tears the lab down; should it be killed as well, the next boot finds the dead owner's lab.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::command::run;

const STATE: &str = "/run/windlass-lab";
const TEARDOWN: &str = include_str!("../../lab/teardown.sh");
/// Two digits at most: the number is part of interface names, which have 15 characters.
const NUMBERS: std::ops::Range<u8> = 0..100;
/// The owner of a lab that stays until it is taken down by hand.
const KEPT: &str = "kept";

pub(super) fn state_dir(lab: u8) -> PathBuf {
    PathBuf::from(format!("{STATE}/{lab}"))
}

/// A number that is ours, and the process that clears up after us.
pub(super) struct Slot {
    pub(super) number: u8,
    owner: String,
    lifeline: Option<Child>,
}

impl Slot {
    /// Takes a free number.
    pub(super) fn take() -> Result<Self> {
        let owner = owner()?;
        let mut lock = lock()?;
        let number = free_number(&mut lock)?;
        let dir = state_dir(number);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        fs::write(dir.join("owner"), &owner)?;
        fs::write(dir.join("teardown.sh"), TEARDOWN)?;
        let lifeline = Some(lifeline(number, &owner)?);
        Ok(Self {
            number,
            owner,
            lifeline,
        })
    }

    /// From now on the lab outlives its owner: the lifeline finds that it is another's, and ends.
    pub(super) fn keep(&mut self) -> Result<()> {
        let lock = lock()?;
        self.owner = format!("{KEPT} {}", moment()?);
        fs::write(state_dir(self.number).join("owner"), &self.owner)?;
        drop(lock);
        self.end_lifeline()
    }

    /// The kept lab of this number, or the one of a process that still runs.
    pub(super) fn existing(number: u8) -> Result<Self> {
        let owner = read_owner(number).with_context(|| format!("there is no lab {number}"))?;
        Ok(Self {
            number,
            owner,
            lifeline: None,
        })
    }

    /// Removes the lab with everything it started.
    pub(super) fn release(&mut self) -> Result<()> {
        let torn_down = tear_down(self.number, &self.owner);
        self.end_lifeline()?;
        torn_down
    }

    fn end_lifeline(&mut self) -> Result<()> {
        if let Some(mut lifeline) = self.lifeline.take() {
            drop(lifeline.stdin.take());
            lifeline.wait()?;
        }
        Ok(())
    }
}

/// Every lab's number, with whether it is a kept one.
pub(super) fn numbers() -> Vec<(u8, bool)> {
    let taken = NUMBERS.filter_map(|number| Some((number, read_owner(number)?)));
    taken
        .map(|(number, owner)| (number, owner.starts_with(KEPT)))
        .collect()
}

/// Takes down the labs whose owner died without the time to do it.
pub fn reap_stale() -> Result<()> {
    for number in NUMBERS.filter(|number| state_dir(*number).is_dir()) {
        let owner = {
            // Under the lock an owner file is either complete or will never be.
            let _lock = lock()?;
            read_owner(number).unwrap_or_default()
        };
        if state_dir(number).is_dir() && !owner.starts_with(KEPT) && !is_alive(&owner) {
            tear_down(number, &owner)?;
        }
    }
    Ok(())
}

fn lock() -> Result<File> {
    fs::create_dir_all(STATE).with_context(|| format!("cannot make {STATE}"))?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let lock = options
        .open(format!("{STATE}/lock"))
        .context("cannot open the labs' lock")?;
    lock.lock().context("cannot lock the labs' lock")?;
    Ok(lock)
}

/// The next free number after the one given out last: a number that was just freed is not at once
/// somebody else's, so that what looks for its traces finds only its own.
fn free_number(lock: &mut File) -> Result<u8> {
    let mut last = String::new();
    lock.read_to_string(&mut last)?;
    let next = last
        .trim()
        .parse()
        .map_or(0, |last: u8| last % NUMBERS.end + 1);
    for number in NUMBERS.map(|n| (next + n) % NUMBERS.end) {
        if !state_dir(number).exists() && !is_routed(number)? {
            lock.set_len(0)?;
            lock.rewind()?;
            write!(lock, "{number}")?;
            return Ok(number);
        }
    }
    bail!("all {} lab numbers are taken", NUMBERS.len())
}

/// Whether the host already sends the lab's addresses somewhere.
fn is_routed(number: u8) -> Result<bool> {
    let subnet = format!("10.81.{number}.0/24");
    let routes = run(&["ip", "-4", "route", "show", "to", "match", &subnet])?;
    Ok(routes.lines().any(|route| !route.starts_with("default")))
}

fn lifeline(number: u8, owner: &str) -> Result<Child> {
    let script = state_dir(number).join("teardown.sh");
    let log = File::create(state_dir(number).join("teardown.log"))?;
    let mut command = Command::new("bash");
    command
        .arg(script)
        .args(["--when-stdin-closes", &number.to_string(), owner]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log);
    // Its own process group, so that Ctrl-C reaches the owner only.
    command.process_group(0);
    command.spawn().context("cannot start the lab's lifeline")
}

fn tear_down(number: u8, owner: &str) -> Result<()> {
    run(&[
        "bash",
        "-c",
        TEARDOWN,
        "teardown",
        &number.to_string(),
        owner,
    ])
    .map(drop)
}

fn read_owner(number: u8) -> Option<String> {
    fs::read_to_string(state_dir(number).join("owner")).ok()
}

/// `PID START-TIME MOMENT`: the first two tell whether the owner lives, even if its id was reused;
/// the third tells this lab from another one that the same process boots under the same number.
fn owner() -> Result<String> {
    let pid = std::process::id();
    let start = start_time(pid).context("cannot read /proc/self/stat")?;
    Ok(format!("{pid} {start} {}", moment()?))
}

fn moment() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())
}

fn is_alive(owner: &str) -> bool {
    let mut fields = owner.split(' ');
    let pid = fields.next().and_then(|field| field.parse().ok());
    let start = fields.next().and_then(|field| field.parse().ok());
    pid.is_some() && start.is_some() && pid.and_then(start_time) == start
}

fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    // A zombie owns nothing any more.
    if state == "Z" {
        None
    } else {
        fields.nth(18)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_alive_only_as_the_very_process_it_was() {
        let me = owner().unwrap();
        assert!(is_alive(&me));
        let (pid, rest) = me.split_once(' ').unwrap();
        let start: u64 = rest.split(' ').next().unwrap().parse().unwrap();
        assert!(
            !is_alive(&format!("{pid} {} 0", start + 1)),
            "a reused process id"
        );
        assert!(!is_alive(""), "an owner that died before it wrote its name");
    }
}
