//! The right to roll a cluster, as a value: nothing can be driven without one, and there is one for each cluster and
//! state directory. The operating system gives it back when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use windlass_core::ids::ClusterName;

#[derive(Debug)]
pub struct RollPermit {
    cluster: ClusterName,
    lock: File,
}

impl RollPermit {
    /// `None` while another process, or another task of this one, rolls the cluster.
    pub fn take(state_dir: &Path, cluster: &ClusterName) -> anyhow::Result<Option<Self>> {
        let path = state_dir.join(format!("roll-{cluster}.lock"));
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self {
                cluster: cluster.clone(),
                lock,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }
}

impl Drop for RollPermit {
    /// Closing is not enough: a program that is being started by another thread holds a copy of the file for a moment.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(cluster = %self.cluster, %error, "the right to roll is given back when its file is closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_roll_at_a_time_for_each_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let take = |name: &str| RollPermit::take(dir.path(), &name.parse().unwrap()).unwrap();
        let first = take("one");
        assert!(first.is_some());
        assert!(take("one").is_none());
        assert!(take("two").is_some());
        // What a process holds that was forked and has not begun its own program yet.
        let copy = first.as_ref().unwrap().lock.try_clone().unwrap();
        drop(first);
        assert!(take("one").is_some());
        drop(copy);
    }
}
