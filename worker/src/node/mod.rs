//! The nodes as the worker sees them: one multiplexed SSH session each, and `agent.sh` at its other end.
//!
//! `Nodes` implements the ports `NodeReader` and `NodeWriter`. Below it, `session` guards against nodes that
//! hang, were exchanged or vanish in the middle of an answer, `answer` against taking half an answer for a
//! whole one, and `pool` against confirming over a connection that is older than the change it confirms.

mod agent;
mod answer;
mod archive;
mod finding;
mod login;
mod pool;
mod session;
mod state;
mod turnfile;

pub use agent::Nodes;
pub use finding::finding;
pub use login::{Login, Target};
