//! What earlier checks said, by the digest of everything they could see: a one-line change re-checks only what
//! it touches. Only programs that ended by themselves are remembered: a timeout or a missing program may be
//! different the next time. Bounded, because the worker runs for months.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use windlass_core::ids::Digest;

const MAX_ENTRIES: usize = 2000;
const MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub struct Remembered {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Exit status and output.
    said: BTreeMap<Digest, (i32, String)>,
    oldest_first: VecDeque<Digest>,
    bytes: usize,
}

impl Remembered {
    pub(super) fn get(&self, key: &Digest) -> Option<(i32, String)> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.said.get(key).cloned()
    }

    pub(super) fn put(&self, key: Digest, status: i32, output: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = (status, output.to_owned());
        if inner.said.insert(key, entry).is_some() {
            return;
        }
        inner.bytes += output.len();
        inner.oldest_first.push_back(key);
        while inner.said.len() > MAX_ENTRIES || inner.bytes > MAX_BYTES {
            let Some(oldest) = inner.oldest_first.pop_front() else {
                return;
            };
            if let Some((_, output)) = inner.said.remove(&oldest) {
                inner.bytes -= output.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_when_there_is_too_much() {
        let remembered = Remembered::default();
        let long = "x".repeat(60 * 1024);
        let key = |n: usize| Digest::of(&n.to_be_bytes());
        for n in 0..100 {
            remembered.put(key(n), 0, &long);
        }
        assert_eq!(remembered.get(&key(0)), None);
        assert_eq!(remembered.get(&key(99)), Some((0, long)));
        for n in 0..MAX_ENTRIES + 10 {
            remembered.put(key(1000 + n), 1, "");
        }
        let inner = remembered.inner.lock().unwrap();
        assert!(inner.said.len() <= MAX_ENTRIES && inner.bytes <= MAX_BYTES);
    }
}
