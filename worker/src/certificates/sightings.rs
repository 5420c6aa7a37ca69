//! What was seen of all clusters' certificates last, for API and metrics. A picture for people, kept in memory only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use windlass_core::ids::ClusterName;

use super::view::CertificateView;

/// One cluster's certificates at one time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Sighted {
    #[schemars(with = "String")]
    pub at: Timestamp,
    pub certificates: Vec<CertificateView>,
}

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sightings(Arc<Mutex<BTreeMap<ClusterName, Sighted>>>);

impl Sightings {
    /// The new picture for the one before.
    pub fn put(&self, cluster: &ClusterName, sighted: Sighted) -> Option<Sighted> {
        self.lock().insert(cluster.clone(), sighted)
    }

    pub fn of(&self, cluster: &ClusterName) -> Option<Sighted> {
        self.lock().get(cluster).cloned()
    }

    pub fn all(&self) -> BTreeMap<ClusterName, Sighted> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClusterName, Sighted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
