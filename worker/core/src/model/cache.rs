//! Parsed files by the digest of their content, so that a one-line change parses one file. It holds values
//! only: findings name a file and are made anew each time. Several snapshots (previews, main) share it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Certificate, Cluster, Forward, Node, Site, Zone};
use crate::finding::Findings;
use crate::ids::Digest;
use crate::yaml;

/// Files that no load has used for this many loads are forgotten.
const KEPT_LOADS: u64 = 16;

#[derive(Debug, Default)]
pub struct Cache {
    loads: AtomicU64,
    pub(super) clusters: Store<Cluster>,
    pub(super) nodes: Store<Node>,
    pub(super) sites: Store<Site>,
    pub(super) zones: Store<Zone>,
    pub(super) forwards: Store<Forward>,
    pub(super) certificates: Store<Certificate>,
    pub(super) own: Store<Value>,
}

impl Cache {
    /// Begins a load: forgets what has not been used for long.
    pub(super) fn begin(&self) {
        let load = self.loads.fetch_add(1, Ordering::Relaxed) + 1;
        self.clusters.begin(load);
        self.nodes.begin(load);
        self.sites.begin(load);
        self.zones.begin(load);
        self.forwards.begin(load);
        self.certificates.begin(load);
        self.own.begin(load);
    }

    /// How many parsed files are remembered.
    pub fn len(&self) -> usize {
        self.clusters.len()
            + self.nodes.len()
            + self.sites.len()
            + self.zones.len()
            + self.forwards.len()
            + self.certificates.len()
            + self.own.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The parsed files of one kind, each with the load that used it last.
#[derive(Debug)]
pub(super) struct Store<T>(Mutex<Kept<T>>);

#[derive(Debug)]
struct Kept<T> {
    load: u64,
    values: BTreeMap<Digest, (Arc<T>, u64)>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self(Mutex::new(Kept {
            load: 0,
            values: BTreeMap::new(),
        }))
    }
}

impl<T: DeserializeOwned + JsonSchema> Store<T> {
    pub(super) fn parse(&self, file: &str, bytes: &[u8]) -> Result<Arc<T>, Findings> {
        let digest = Digest::of(bytes);
        if let Some(value) = self.find(&digest) {
            return Ok(value);
        }
        let value = Arc::new(yaml::parse::<T>(file, bytes)?);
        let mut kept = self.lock();
        let load = kept.load;
        kept.values.insert(digest, (Arc::clone(&value), load));
        Ok(value)
    }
}

impl<T> Store<T> {
    fn find(&self, digest: &Digest) -> Option<Arc<T>> {
        let mut kept = self.lock();
        let load = kept.load;
        let (value, used) = kept.values.get_mut(digest)?;
        *used = load;
        Some(Arc::clone(value))
    }

    fn begin(&self, load: u64) {
        let mut kept = self.lock();
        kept.load = load;
        kept.values.retain(|_, (_, used)| *used + KEPT_LOADS > load);
    }

    fn len(&self) -> usize {
        self.lock().values.len()
    }

    /// A panic elsewhere cannot leave a half-made entry behind, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
