//! How a preview sees nodes: it can read them and has no way to write. Logging in takes longer than looking, and a
//! request is rarely looked at once: the connections of the last look serve the next one while the definitions still
//! name the same machines.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use windlass_core::ids::{NodeName, NodePath};
use windlass_core::model::Model;
use windlass_core::observed::NodeState;

use crate::node::{Login, Nodes, Target};
use crate::ports::{NodeError, NodeReader};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub trait Readers: Send + Sync + 'static {
    type Nodes: NodeReader + 'static;

    /// The nodes that the base's definitions name, where they say: never where a request says.
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
        if let Some(last) = last.as_ref().filter(|last| last.targets == targets) {
            return Ok(Arc::clone(&last.nodes));
        }
        let login = Login {
            key: self.key.clone(),
            connect_timeout: CONNECT_TIMEOUT,
        };
        let nodes = Arc::new(ReadOnly::new(Nodes::new(login, targets.clone())?));
        *last = Some(Last {
            targets,
            nodes: Arc::clone(&nodes),
        });
        Ok(nodes)
    }
}
