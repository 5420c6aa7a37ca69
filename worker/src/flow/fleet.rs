//! How the worker reaches nodes and probes gates. A trait, so that the flow can be tried on a fleet that fails
//! on purpose.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::model::Model;

use crate::node::{Login, Nodes, Target};
use crate::ports::{NodeWriter, Prober};
use crate::probe::NetProber;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub trait Fleet: Send + Sync + 'static {
    type Nodes: NodeWriter + 'static;
    type Prober: Prober + 'static;

    /// The nodes that the definitions name, where they say.
    fn nodes(&self, model: &Model) -> io::Result<Self::Nodes>;
    fn prober(&self) -> Arc<Self::Prober>;
}

/// Over SSH.
pub struct SshFleet {
    pub key: Option<PathBuf>,
    pub prober: Arc<NetProber>,
}

impl Fleet for SshFleet {
    type Nodes = Nodes;
    type Prober = NetProber;

    fn nodes(&self, model: &Model) -> io::Result<Nodes> {
        let login = Login {
            key: self.key.clone(),
            connect_timeout: CONNECT_TIMEOUT,
        };
        Nodes::new(login, Target::all(model))
    }

    fn prober(&self) -> Arc<NetProber> {
        Arc::clone(&self.prober)
    }
}
