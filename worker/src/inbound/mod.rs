//! What comes in over HTTP. A hook only wakes: whatever it says, the worker fetches from the remote that it was
//! configured with and looks for itself.

pub mod challenge;
pub mod hook;
pub mod rate;
pub mod server;
pub mod signature;
