//! One cgroup per node, in every hierarchy of the host, be it v1, hybrid or v2.
//!
//! It is what a node's processes are known by: freezing and killing a node, and telling whether
//! anything of it still runs, must not depend on process ids that may have been reused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::command::run;
use super::wait::wait_until;

pub(super) struct NodeCgroup {
    name: String,
    hierarchies: Vec<Hierarchy>,
}

struct Hierarchy {
    mount: PathBuf,
    is_v2: bool,
    options: String,
}

impl NodeCgroup {
    pub(super) fn of(lab: u8, node: &str) -> Result<Self> {
        Ok(Self {
            name: format!("windlass-lab-{lab}-{node}"),
            hierarchies: hierarchies()?,
        })
    }

    pub(super) fn create(&self) -> Result<()> {
        for hierarchy in &self.hierarchies {
            let dir = hierarchy.mount.join(&self.name);
            fs::create_dir_all(&dir)
                .with_context(|| format!("cannot make cgroup {}", dir.display()))?;
            if hierarchy.has("cpuset") {
                // A v1 cpuset is born empty, and no process can be moved into an empty one.
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    fs::write(dir.join(file), fs::read(hierarchy.mount.join(file))?)?;
                }
                fs::write(dir.join("cgroup.clone_children"), "1")?;
            }
        }
        Ok(())
    }

    /// The files to write a process id to in order to move it into this cgroup.
    pub(super) fn procs_files(&self) -> Vec<PathBuf> {
        self.hierarchies
            .iter()
            .map(|h| h.mount.join(&self.name).join("cgroup.procs"))
            .collect()
    }

    pub(super) fn freeze(&self) -> Result<()> {
        self.set_frozen(true)
    }

    pub(super) fn thaw(&self) -> Result<()> {
        self.set_frozen(false)
    }

    fn set_frozen(&self, frozen: bool) -> Result<()> {
        let hierarchy = self.main()?;
        let dir = hierarchy.mount.join(&self.name);
        let (control, value, state, wanted) = if hierarchy.is_v2 {
            let value = if frozen { "1" } else { "0" };
            (
                "cgroup.freeze",
                value,
                "cgroup.events",
                format!("frozen {value}"),
            )
        } else {
            let value = if frozen { "FROZEN" } else { "THAWED" };
            ("freezer.state", value, "freezer.state", value.to_owned())
        };
        fs::write(dir.join(control), value)
            .with_context(|| format!("cannot freeze or thaw {}", self.name))?;
        wait_until(Duration::from_secs(10), || {
            fs::read_to_string(dir.join(state)).is_ok_and(|text| text.contains(&wanted))
        })
        .with_context(|| format!("{} did not become {wanted}", self.name))
    }

    /// Every process of the node, from its nspawn down to processes in nested cgroups.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        let mut dirs = vec![self.main()?.mount.join(&self.name)];
        while let Some(dir) = dirs.pop() {
            // A cgroup may vanish while it is looked at: then it has no processes.
            let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            dirs.extend(
                entries
                    .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
                    .map(|e| e.path()),
            );
        }
        Ok(found)
    }

    /// SIGKILL to everything at once, as a power cut would; waits until nothing is left.
    pub(super) fn kill(&self) -> Result<()> {
        let mut left = Vec::new();
        let dead = wait_until(Duration::from_secs(20), || {
            left = self.processes().unwrap_or_default();
            if left.is_empty() {
                return true;
            }
            let pids: Vec<String> = left.iter().map(u32::to_string).collect();
            let mut argv = vec!["kill", "-KILL"];
            argv.extend(pids.iter().map(String::as_str));
            // Some may be gone already. A frozen v1 process dies only when it is thawed.
            let _ = run(&argv);
            let _ = self.thaw();
            false
        });
        dead.with_context(|| format!("processes of {} survive SIGKILL: {left:?}", self.name))
    }

    /// The process that is process 1 inside the node.
    pub(super) fn init(&self) -> Option<u32> {
        let is_init = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let ids = status
                .lines()
                .find_map(|line| line.strip_prefix("NSpid:"))
                .unwrap_or_default();
            let ids: Vec<&str> = ids.split_whitespace().collect();
            ids.len() == 2 && ids[1] == "1"
        };
        self.processes().ok()?.into_iter().find(is_init)
    }

    /// The hierarchy that can freeze: v1's freezer where there is one, else v2.
    fn main(&self) -> Result<&Hierarchy> {
        let freezer = self.hierarchies.iter().find(|h| h.has("freezer"));
        freezer
            .or_else(|| self.hierarchies.iter().find(|h| h.is_v2))
            .context("no cgroup hierarchy can freeze")
    }
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        !self.is_v2 && self.options.split(',').any(|option| option == controller)
    }
}

fn hierarchies() -> Result<Vec<Hierarchy>> {
    let mounts =
        fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let found: Vec<Hierarchy> = mounts.lines().filter_map(hierarchy).collect();
    if found.is_empty() {
        bail!("no cgroups are mounted below /sys/fs/cgroup");
    }
    Ok(found)
}

fn hierarchy(mount_line: &str) -> Option<Hierarchy> {
    let mut fields = mount_line.split(' ').skip(1);
    let (mount, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
    let is_v2 = kind == "cgroup2";
    let wanted = (is_v2 || kind == "cgroup") && Path::new(mount).starts_with("/sys/fs/cgroup");
    wanted.then(|| Hierarchy {
        mount: mount.into(),
        is_v2,
        options: options.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_told_apart_by_their_mount_line() {
        let v1 = hierarchy("cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0").unwrap();
        assert!(v1.has("cpuset") && !v1.is_v2);
        let v2 =
            hierarchy("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,memory_recursiveprot 0 0").unwrap();
        assert!(v2.is_v2 && !v2.has("rw"));
        assert!(hierarchy("tmpfs /sys/fs/cgroup tmpfs rw 0 0").is_none());
        assert!(hierarchy("cgroup2 /run/elsewhere cgroup2 rw 0 0").is_none());
    }
}
