//! Where the figures were made: without it they mean nothing.

use std::fs;
use std::process::Command;
use std::time::Instant;

use serde::Serialize;

use super::numbers::{Spread, millis};
use super::tool::recipes;
use crate::lab::Lab;

#[derive(Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub system: String,
    pub load_before: String,
    pub load_after: String,
    pub versions: Vec<String>,
    /// A new SSH connection to a node that runs `true`.
    pub login: Option<Spread>,
}

impl Machine {
    pub fn here() -> Self {
        let memory = value("/proc/meminfo", "MemTotal:").unwrap_or_default();
        let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        let system = value("/etc/os-release", "PRETTY_NAME=").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let recipe = fs::read_to_string(recipes().join("requirements.txt")).unwrap_or_default();
        let mut versions: Vec<String> =
            recipe.lines().map(|line| line.replace("==", " ")).collect();
        versions.extend(first_line("haproxy", "-v"));
        Self {
            processor: value("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kib.div_ceil(1024 * 1024),
            system: format!("{}, Linux {}", system.trim_matches('"'), kernel.trim()),
            load_before: load(),
            load_after: String::new(),
            versions,
            login: None,
        }
    }

    pub fn measure_login(&mut self, lab: &Lab) {
        let mut times = Vec::new();
        for node in lab.nodes().iter().cycle().take(8) {
            let start = Instant::now();
            if node.ssh("true").is_ok_and(|output| output.status.success()) {
                times.push(millis(start.elapsed()));
            }
        }
        self.login = Spread::of(&times);
    }

    pub fn finished(&mut self) {
        self.load_after = load();
    }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<&str>>().join(" ")
}

/// What follows `key`, without the separator.
fn value(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim_matches([' ', '\t', ':']).to_owned())
}

fn first_line(program: &str, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}
