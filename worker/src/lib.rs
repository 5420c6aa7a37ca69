//! The Windlass worker: all I/O of the program. See ARCHITECTURE.md for a walk through one push.

pub mod acme;
pub mod certificates;
pub mod challenges;
pub mod check;
pub mod cli;
pub mod config;
mod dns;
pub mod flow;
pub mod forge;
pub mod git;
pub mod inbound;
pub mod live;
pub mod materials;
pub mod node;
pub mod ports;
pub mod probe;
pub mod queue;
pub mod roll;
pub mod schema;
pub mod store;
pub mod telemetry;
pub mod web;
pub mod worker;
