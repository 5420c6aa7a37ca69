//! How a preview sees nodes: it can read them and has no way to write.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
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
    fn readers(&self, model: &Model) -> io::Result<Self::Nodes>;
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
#[derive(Debug, Clone)]
pub struct SshReaders {
    pub key: Option<PathBuf>,
}

impl Readers for SshReaders {
    type Nodes = ReadOnly<Nodes>;

    fn readers(&self, model: &Model) -> io::Result<Self::Nodes> {
        let login = Login {
            key: self.key.clone(),
            connect_timeout: CONNECT_TIMEOUT,
        };
        Nodes::new(login, Target::all(model)).map(ReadOnly::new)
    }
}
