//! What a lab is to be: which machines, on which base image, with what kind of disk.

use serde::{Deserialize, Serialize};

/// A base image's recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Base {
    /// sshd, HAProxy, BIND: the demo and most tests.
    Core,
    /// Every system of the stack.
    Stack,
}

impl Base {
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Stack => "stack",
        }
    }
}

/// Where a node's writes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disk {
    /// Memory, with a size: quick, and [`super::Node::fill_disk`] works.
    Memory { mib: u32 },
    /// The host's disk: fsync costs what it costs, and Docker's overlay2 works.
    Host,
}

/// One machine. Its addresses are `10.81.LAB.host` and `10.81.LAB.(host + 10)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// At most 8 characters: it becomes part of a network interface's name.
    pub name: String,
    /// The last byte of the primary address, from 3 to 244.
    pub host: u8,
}

impl NodeSpec {
    pub fn new(name: &str, host: u8) -> Self {
        Self {
            name: name.to_owned(),
            host,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabSpec {
    pub base: Base,
    pub disk: Disk,
    pub nodes: Vec<NodeSpec>,
}

impl Default for LabSpec {
    /// vps1 to vps3 and homelab, on the core image, with disks in memory.
    fn default() -> Self {
        Self {
            base: Base::Core,
            disk: Disk::Memory { mib: 512 },
            nodes: vec![
                NodeSpec::new("vps1", 11),
                NodeSpec::new("vps2", 12),
                NodeSpec::new("vps3", 13),
                NodeSpec::new("homelab", 50),
            ],
        }
    }
}

impl LabSpec {
    /// The default lab's machines of these names only: a test that needs one node boots one.
    pub fn only(names: &[&str]) -> Self {
        let mut spec = Self::default();
        spec.nodes
            .retain(|node| names.contains(&node.name.as_str()));
        spec
    }
}
