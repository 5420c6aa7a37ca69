//! The lab: systemd-nspawn machines over one read-only base image, in a network of their own.

mod base;
mod boot;
mod cgroup;
mod command;
mod disk;
mod identity;
mod lifecycle;
mod network;
mod node;
mod slot;
mod spec;
mod wait;

pub use base::{base_image, build_base};
pub use lifecycle::Lab;
pub use node::Node;
pub use slot::reap_stale;
pub use spec::{Base, Disk, LabSpec, NodeSpec};
pub use wait::wait_until;
