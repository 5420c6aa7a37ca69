//! What comes in over HTTP. A hook only wakes: whatever it says, the worker fetches from the remote that it was
//! configured with and looks for itself.

mod body;
pub mod challenge;
pub mod commands;
pub mod connections;
mod delivery;
pub mod forges;
mod gitlab;
pub mod hook;
mod hub;
pub mod rate;
pub mod server;
pub mod signature;
