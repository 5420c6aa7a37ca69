//! One connection a node, shared by all calls. After an activation it is thrown away, so that everything that
//! follows, above all `extend` and `confirm`, proves that the node can still be reached by someone new. Of those who wait for
//! the same connection one dials: that the node is away is said to all of them at once, and not to one after the other.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;
use tokio::sync::Mutex;
use windlass_core::ids::NodeName;

use super::login::{Login, Target, write_config};
use super::session::Connection;
use crate::ports::NodeError;

pub(super) struct Pool {
    login: Login,
    /// Control sockets, known hosts and configurations; its path must be short.
    dir: TempDir,
    nodes: BTreeMap<NodeName, Slot>,
}

struct Slot {
    target: Target,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    connection: Option<Arc<Connection>>,
    /// When dialling failed last, and why.
    failed: Option<(Instant, NodeError)>,
}

impl Pool {
    pub(super) fn new(login: Login, targets: BTreeMap<NodeName, Target>) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("wl-").tempdir()?;
        let nodes = targets
            .into_iter()
            .map(|(node, target)| {
                let held = Mutex::default();
                (node, Slot { target, held })
            })
            .collect();
        Ok(Self { login, dir, nodes })
    }

    pub(super) fn target(&self, node: &NodeName) -> Result<&Target, NodeError> {
        self.slot(node).map(|slot| &slot.target)
    }

    /// The node's connection, and whether it was dialled only now because there was none that stands.
    pub(super) async fn connection(
        &self,
        node: &NodeName,
    ) -> Result<(Arc<Connection>, bool), NodeError> {
        let slot = self.slot(node)?;
        let asked = Instant::now();
        let mut held = slot.held.lock().await;
        if let Some(connection) = held.connection.as_ref()
            && connection.stands().await
        {
            return Ok((Arc::clone(connection), false));
        }
        held.connection = None;
        if let Some((_, why)) = held.failed.as_ref().filter(|(at, _)| *at > asked) {
            return Err(why.clone());
        }
        let dialled = self.dial(node, &slot.target).await;
        held.failed = dialled
            .as_ref()
            .err()
            .map(|why| (Instant::now(), why.clone()));
        let connection = Arc::new(dialled?);
        held.connection = Some(Arc::clone(&connection));
        Ok((connection, true))
    }

    async fn dial(&self, node: &NodeName, target: &Target) -> Result<Connection, NodeError> {
        let dir = self.dir.path();
        let config = write_config(dir, node, target).map_err(|error| {
            let why = format!("cannot write to {}: {error}", dir.display());
            NodeError::Unreachable {
                node: node.clone(),
                why,
            }
        })?;
        Connection::dial(dir, &config, node, target, &self.login).await
    }

    /// Forgets the node's connection: the next call dials.
    pub(super) async fn retire(&self, node: &NodeName) {
        if let Ok(slot) = self.slot(node) {
            slot.held.lock().await.connection = None;
        }
    }

    fn slot(&self, node: &NodeName) -> Result<&Slot, NodeError> {
        self.nodes.get(node).ok_or_else(|| NodeError::Unreachable {
            node: node.clone(),
            why: "it has no file in nodes/".to_owned(),
        })
    }
}
