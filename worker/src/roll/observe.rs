//! Asks all nodes at once how they are.

use std::sync::Arc;

use tokio::task::JoinSet;
use windlass_core::ids::NodeName;
use windlass_core::observed::{Observed, Seen};

use crate::ports::{NodeError, NodeReader};

pub async fn all<N: NodeReader + 'static>(
    nodes: &Arc<N>,
    names: impl IntoIterator<Item = NodeName>,
) -> Observed {
    let mut asked = JoinSet::new();
    for name in names {
        asked.spawn(one(Arc::clone(nodes), name));
    }
    Observed {
        nodes: asked.join_all().await.into_iter().collect(),
    }
}

pub async fn one<N: NodeReader>(nodes: Arc<N>, name: NodeName) -> (NodeName, Seen) {
    let seen = match nodes.status(&name).await {
        Ok(state) => Seen::State(Box::new(state)),
        Err(NodeError::Unreachable { why, .. }) => Seen::Unreachable(why),
        Err(error) => Seen::Refused(error.to_string()),
    };
    (name, seen)
}
