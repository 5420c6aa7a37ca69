//! Who is meant: which nodes a placement names, and where a node is in the cluster's order.

use super::definitions::{Node, Placement};
use super::{Defined, Model};
use crate::ids::NodeName;

impl Model {
    /// The nodes of a placement in the cluster's order, each once.
    pub fn nodes_of<'a>(&'a self, placement: &'a Placement) -> Vec<&'a NodeName> {
        self.in_order()
            .filter(|(name, node)| match placement {
                Placement::Role(role) => node.has_role(role.as_str()),
                Placement::Nodes(names) => names.iter().any(|at| at.value == **name),
            })
            .map(|(name, _)| name)
            .collect()
    }

    /// All nodes in the cluster's order; those it forgets come last, by name.
    pub fn in_order(&self) -> impl Iterator<Item = (&NodeName, &Defined<Node>)> {
        let order = &self.cluster.order;
        let listed = order
            .iter()
            .enumerate()
            .filter(|(index, name)| !order[..*index].contains(name))
            .filter_map(|(_, name)| self.nodes.get_key_value(&name.value));
        let forgotten = self
            .nodes
            .iter()
            .filter(|(name, _)| !order.iter().any(|at| at.value == **name));
        listed.chain(forgotten)
    }
}

impl Node {
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own.as_str() == role)
    }
}
