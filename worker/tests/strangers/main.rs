//! Previews with everything real but the nodes: Git, the sandbox, this very program in it, HAProxy and BIND.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod formats;
mod hostile;
mod previews;
mod world;
