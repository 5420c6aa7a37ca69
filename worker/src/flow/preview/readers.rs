//! How a preview sees nodes: it can read them and has no way to write. Logging in takes longer than looking, and a
//! request is rarely looked at once: the connections of the last look serve the next one while the definitions still
//! name the same machines.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use windlass_core::ids::{NodeName, NodePath};
use windlass_core::model::Model;
use windlass_core::observed::NodeState;

use crate::node::{Login, Nodes, Target};
use crate::ports::{NodeError, NodeReader};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// As long as `ssh` keeps a connection that nobody uses. What lies in the temporary folder is not relied on for longer:
/// machines clear theirs.
const KEPT: Duration = Duration::from_secs(90);

pub trait Readers: Send + Sync + 'static {
    type Nodes: NodeReader + 'static;

    /// The nodes that these definitions name, where they say: those of the watched branch, never those of a request.
    fn readers(&self, model: &Model) -> io::Result<Arc<Self::Nodes>>;
}

/// Nodes without what could change them: nobody gets at what is inside.
pub struct ReadOnly<N>(N);

impl<N> ReadOnly<N> {
    pub fn new(nodes: N) -> Self {
        Self(nodes)
    }
}

impl<N: NodeReader> NodeReader for ReadOnly<N> {
    async fn status(&self, node: &NodeName) -> Result<NodeState, NodeError> {
        self.0.status(node).await
    }

    async fn read_files(
        &self,
        node: &NodeName,
        paths: &[NodePath],
    ) -> Result<BTreeMap<NodePath, Vec<u8>>, NodeError> {
        self.0.read_files(node, paths).await
    }

    async fn logs(
        &self,
        node: &NodeName,
        unit: &str,
        lines: u32,
    ) -> Result<Vec<String>, NodeError> {
        self.0.logs(node, unit, lines).await
    }
}

/// Over SSH.
pub struct SshReaders {
    key: Option<PathBuf>,
    last: Mutex<Option<Last>>,
}

struct Last {
    used: Instant,
    targets: BTreeMap<NodeName, Target>,
    nodes: Arc<ReadOnly<Nodes>>,
}

impl SshReaders {
    pub fn new(key: Option<PathBuf>) -> Self {
        let last = Mutex::default();
        Self { key, last }
    }
}

impl Readers for SshReaders {
    type Nodes = ReadOnly<Nodes>;

    fn readers(&self, model: &Model) -> io::Result<Arc<Self::Nodes>> {
        let targets = Target::all(model);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |last: &&mut Last| last.targets == targets && last.used.elapsed() < KEPT;
        if let Some(last) = last.as_mut().filter(is_good) {
            last.used = Instant::now();
            return Ok(Arc::clone(&last.nodes));
        }
        let login = Login {
            key: self.key.clone(),
            connect_timeout: CONNECT_TIMEOUT,
        };
        let nodes = Arc::new(ReadOnly::new(Nodes::new(login, targets.clone())?));
        *last = Some(Last {
            used: Instant::now(),
            targets,
            nodes: Arc::clone(&nodes),
        });
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests {
    use windlass_core::model;
    use windlass_core::snapshot::Snapshot;

    use super::*;

    fn model(address: &str) -> Arc<Model> {
        let cluster = "name: example\ndomain: example.org\nnetworks: { public: 10.80.0.0/24 }\norder: [vps1]\nedge: { role: edge, network: public }\n";
        let node = format!(
            "roles: [edge]\naddresses: {{ public: {address} }}\nssh:\n  network: public\n  host_keys:\n    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
        );
        let files = [("cluster.yaml", cluster), ("nodes/vps1.yaml", &node)];
        model::load(&Snapshot::of_texts("c", files)).model.unwrap()
    }

    #[test]
    fn connections_are_kept_as_long_as_the_machines_are_the_same() {
        let readers = SshReaders::new(None);
        let first = readers.readers(&model("10.80.0.1")).unwrap();
        let same = readers.readers(&model("10.80.0.1")).unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        let moved = readers.readers(&model("10.80.0.2")).unwrap();
        assert!(!Arc::ptr_eq(&first, &moved));
    }
}
