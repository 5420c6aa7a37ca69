//! What merging a request would do, from a reference of the remote to a `Preview`. The request is a stranger's: what
//! is its own runs in a process of its own in the sandbox (`inside`), without secrets, and comes back as data
//! (`outside`). Nodes are only read.

mod base;
pub mod inside;
mod look;
mod outside;
mod readers;
mod running;
mod secrets;
mod stubs;
pub(in crate::flow) mod told;
mod wire;

pub use look::{Asked, Previews};
pub use outside::Stranger;
pub use readers::{ReadOnly, Readers, SshReaders};
pub use running::Superseded;
pub use told::conflicts;
