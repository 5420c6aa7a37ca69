//! One cgroup for each check, so that all its processes and files together meet a limit: limits of single processes do
//! not stop a hundred small ones from taking the machine's memory. Where none may be made the check still runs, with the
//! limits of single processes, and `windlass doctor` says why.
//!
//! With cgroup v2 a group that has processes of its own cannot share out memory to groups below it. So a worker whose unit
//! was delegated to it moves itself into a leaf first; root makes the groups at the top of the tree instead.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Groups are named after the process that made them: what a killed worker left is told from what is in use.
const PREFIX: &str = "windlass-check-";
/// Between two looks whether killed processes are gone; those before it take as long together.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The worker's own place in a delegated unit.
const LEAF: &str = "windlass-worker";

/// Found once: a process has one place in the tree.
static CAGES: LazyLock<Result<Cages, String>> = LazyLock::new(|| {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (mounts, own) = (read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?);
    let cages = Cages::find(&mounts, &own, super::sandbox::is_root())?;
    cages.sweep(|pid| Path::new("/proc").join(pid).exists());
    Ok(cages)
});

#[derive(Debug)]
pub(super) struct Cages {
    parents: Vec<Parent>,
    /// Groups that could not be removed yet, because their processes were still dying.
    left: Mutex<BTreeSet<PathBuf>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parent {
    dir: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Memory and processes in one.
    V2,
    MemoryV1,
    ProcessesV1,
}

/// What all processes of a check may take together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Total {
    pub(super) memory_bytes: u64,
    pub(super) processes: u32,
}

/// The cgroup of one check. Dropped, it is removed when its processes are gone: at once, or before the next is made.
#[derive(Debug)]
pub(super) struct Cage {
    groups: Vec<Parent>,
    left: &'static Mutex<BTreeSet<PathBuf>>,
}

/// Where checks can be caged on this machine; else why not.
pub(super) fn cages() -> Result<&'static Cages, &'static str> {
    CAGES.as_ref().map_err(String::as_str)
}

impl Cages {
    /// From the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`.
    fn find(mounts: &str, own: &str, root: bool) -> Result<Self, String> {
        let parents = match (v1(mounts, own, "memory"), v1(mounts, own, "pids")) {
            (Some(_), _) | (_, Some(_)) if !root => {
                return Err("with cgroup v1 only root may limit memory".to_owned());
            }
            (Some(memory), Some(processes)) => vec![
                Parent {
                    dir: memory,
                    kind: Kind::MemoryV1,
                },
                Parent {
                    dir: processes,
                    kind: Kind::ProcessesV1,
                },
            ],
            _ => {
                let (top, own) = v2(mounts, own).ok_or("no cgroups are mounted here")?;
                let dir = if root { top } else { leave(&own)? };
                enable(&dir)?;
                vec![Parent {
                    dir,
                    kind: Kind::V2,
                }]
            }
        };
        Ok(Self {
            parents,
            left: Mutex::default(),
        })
    }

    /// Makes the group of one check.
    pub(super) fn open(&'static self, total: Total) -> io::Result<Cage> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        retry_removal(&self.left);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let mut cage = Cage {
            groups: Vec::new(),
            left: &self.left,
        };
        for Parent { dir, kind } in &self.parents {
            let (dir, kind) = (dir.join(&name), *kind);
            fs::create_dir(&dir)?;
            cage.groups.push(Parent {
                dir: dir.clone(),
                kind,
            });
            let memory = total.memory_bytes.to_string();
            let processes = total.processes.to_string();
            match kind {
                Kind::V2 => {
                    fs::write(dir.join("memory.max"), memory)?;
                    fs::write(dir.join("pids.max"), processes)?;
                    // Swap would only make the same end slower. Kernels without it have no such file.
                    let _ = fs::write(dir.join("memory.swap.max"), "0");
                    let _ = fs::write(dir.join("memory.oom.group"), "1");
                }
                Kind::MemoryV1 => {
                    fs::write(dir.join("memory.limit_in_bytes"), &memory)?;
                    let _ = fs::write(dir.join("memory.memsw.limit_in_bytes"), memory);
                }
                Kind::ProcessesV1 => fs::write(dir.join("pids.max"), processes)?,
            }
        }
        Ok(cage)
    }

    /// Removes what a worker left that was killed.
    fn sweep(&self, runs: impl Fn(&str) -> bool) {
        for parent in &self.parents {
            for entry in fs::read_dir(&parent.dir).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let owner = name
                    .strip_prefix(PREFIX)
                    .and_then(|rest| rest.split('-').next());
                if owner.is_some_and(|pid| !runs(pid)) {
                    let _ = fs::remove_dir(entry.path());
                }
            }
        }
    }
}

impl Cage {
    /// From now on the process and all that it starts are in the group.
    pub(super) fn admit(&self, pid: u32) -> io::Result<()> {
        self.groups
            .iter()
            .try_for_each(|group| fs::write(group.dir.join("cgroup.procs"), pid.to_string()))
    }

    /// Removes it; its processes were killed, and are gone in a moment.
    pub(super) async fn close(self) {
        let left = self.left;
        let own: Vec<PathBuf> = self.groups.iter().map(|group| group.dir.clone()).collect();
        drop(self);
        let mut wait = Duration::from_millis(1);
        while own.iter().any(|dir| dir.exists()) && wait < LONGEST_WAIT {
            tokio::time::sleep(wait).await;
            retry_removal(left);
            wait *= 2;
        }
    }

    /// Whether something in it was killed for want of memory.
    pub(super) fn ran_out(&self) -> bool {
        self.groups.iter().any(|group| {
            let file = match group.kind {
                Kind::V2 => "memory.events",
                Kind::MemoryV1 => "memory.oom_control",
                Kind::ProcessesV1 => return false,
            };
            let text = fs::read_to_string(group.dir.join(file)).unwrap_or_default();
            let killed = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
            killed.is_some_and(|count| count.trim() != "0")
        })
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.extend(self.groups.drain(..).map(|group| group.dir));
        drop(left);
        retry_removal(self.left);
    }
}

fn retry_removal(left: &Mutex<BTreeSet<PathBuf>>) {
    let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
    left.retain(|dir| fs::remove_dir(dir).is_err() && dir.exists());
}

/// Our own group in the v1 hierarchy of this controller.
fn v1(mounts: &str, own: &str, controller: &str) -> Option<PathBuf> {
    let place = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, place) = rest.split_once(':')?;
        controllers
            .split(',')
            .any(|one| one == controller)
            .then_some(place)
    })?;
    let of = |kind: &str, options: &str| {
        kind == "cgroup" && options.split(',').any(|option| option == controller)
    };
    let (top, root) = mounted(mounts, of)?;
    below(&top, &root, place)
}

/// The top of the v2 tree, and our own group in it.
fn v2(mounts: &str, own: &str) -> Option<(PathBuf, PathBuf)> {
    let place = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (top, root) = mounted(mounts, |kind, _| kind == "cgroup2")?;
    let own = below(&top, &root, place)?;
    Some((top, own))
}

/// Mount point and root of the first mount that fits by file system and super options.
fn mounted(mounts: &str, fits: impl Fn(&str, &str) -> bool) -> Option<(PathBuf, String)> {
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut file_system = file_system.split(' ');
        let (kind, options) = (file_system.next()?, file_system.nth(1)?);
        fits(kind, options).then(|| (PathBuf::from(point), root.to_owned()))
    })
}

/// `None`: our own group is not in the part of the tree that is mounted here, as in some containers.
fn below(top: &Path, root: &str, place: &str) -> Option<PathBuf> {
    let place = place.strip_prefix(root.trim_end_matches('/'))?;
    let inside = !place.split('/').any(|part| part == "..");
    inside.then(|| top.join(place.trim_start_matches('/')))
}

/// Moves this process out of its delegated group into a leaf below it; the group that is free now.
fn leave(own: &Path) -> Result<PathBuf, String> {
    let undelegated =
        "this process has no cgroup of its own; a unit gets one by `Delegate=memory pids`";
    if own.ends_with(LEAF) {
        let unit = own.parent().ok_or(undelegated)?;
        return Ok(unit.to_path_buf());
    }
    let inside = fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
    if inside.trim() != std::process::id().to_string() {
        return Err(undelegated.to_owned());
    }
    let leaf = own.join(LEAF);
    fs::create_dir_all(&leaf).map_err(|_| undelegated)?;
    fs::write(leaf.join("cgroup.procs"), inside).map_err(|_| undelegated)?;
    Ok(own.to_path_buf())
}

/// Lets groups below this one have limits of memory and processes.
fn enable(dir: &Path) -> Result<(), String> {
    let file = dir.join("cgroup.subtree_control");
    let has_both = || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let enabled: Vec<&str> = text.split_whitespace().collect();
        ["memory", "pids"]
            .iter()
            .all(|wanted| enabled.contains(wanted))
    };
    if !has_both() {
        let _ = fs::write(&file, "+memory +pids");
    }
    if has_both() {
        return Ok(());
    }
    Err(format!("{} shares out no memory and pids", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        33 31 0:30 /box /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        34 31 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
        35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn our_place_is_found_in_either_version() {
        let own = "8:pids:/a\n4:memory:/box/b\n0::/c\n";
        let found = |controller| v1(V1, own, controller);
        assert_eq!(
            found("memory"),
            Some(PathBuf::from("/sys/fs/cgroup/memory/b"))
        );
        assert_eq!(found("pids"), Some(PathBuf::from("/sys/fs/cgroup/pids/a")));
        assert_eq!(found("mem"), None);
        // A container's view: the place is not below what is mounted.
        assert_eq!(v1(V1, "4:memory:/elsewhere\n", "memory"), None);
        assert_eq!(v1(V1, "4:memory:/box/../../b\n", "memory"), None);
        let top = PathBuf::from("/sys/fs/cgroup");
        let own = "0::/system.slice/windlass.service\n";
        let unit = top.join("system.slice/windlass.service");
        assert_eq!(v2(V2, own), Some((top, unit)));
    }

    #[test]
    fn only_root_makes_groups_in_v1() {
        let own = "8:pids:/\n4:memory:/box\n0::/\n";
        let why = Cages::find(V1, own, false).unwrap_err();
        assert!(why.contains("only root"), "{why}");
        assert_eq!(Cages::find(V1, own, true).unwrap().parents.len(), 2);
        assert!(
            Cages::find("", "", true)
                .unwrap_err()
                .contains("no cgroups")
        );
    }

    /// A folder in the place of the kernel's tree: it does what the worker asks of it, and no more.
    #[test]
    fn a_delegated_unit_moves_its_worker_into_a_leaf_and_nobody_elses_processes() {
        let dir = tempfile::tempdir().unwrap();
        let unit = dir.path().join("unit");
        fs::create_dir(&unit).unwrap();
        let put = |name: &str, text: &str| fs::write(unit.join(name), text).unwrap();
        put("cgroup.procs", "1\n2\n");
        assert!(leave(&unit).unwrap_err().contains("Delegate"));
        assert!(!unit.join(LEAF).exists());

        put("cgroup.procs", &format!("{}\n", std::process::id()));
        assert_eq!(leave(&unit).unwrap(), unit);
        let moved = fs::read_to_string(unit.join(LEAF).join("cgroup.procs")).unwrap();
        assert_eq!(moved.trim(), std::process::id().to_string());
        assert_eq!(leave(&unit.join(LEAF)).unwrap(), unit);

        put("cgroup.subtree_control", "cpu memory\n");
        enable(&unit).unwrap_err();
        put("cgroup.subtree_control", "cpu memory pids\n");
        enable(&unit).unwrap();
    }

    #[test]
    fn what_a_killed_worker_left_is_removed_and_what_is_in_use_stays() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["windlass-check-1-0", "windlass-check-2-7", "other-1-0"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let cages = Cages {
            parents: vec![Parent {
                dir: dir.path().to_owned(),
                kind: Kind::V2,
            }],
            left: Mutex::default(),
        };
        cages.sweep(|pid| pid == "2");
        let there = |name: &str| dir.path().join(name).exists();
        assert!(!there("windlass-check-1-0") && there("windlass-check-2-7") && there("other-1-0"));
    }
}
