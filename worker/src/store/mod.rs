//! The worker's own database: queue, history, quarantine and the roll's journal in one SQLite file.
//! What other workers learn comes into the same tables (`told`, `learn`). It is a cache and a record. The truth is on the nodes and in Git, so a file that cannot be read is moved
//! aside and made anew.

pub mod clusters;
pub mod handle;
mod learn;
mod open;
mod previews;
pub mod reports;
pub mod requests;
pub mod told;
#[cfg(test)]
mod told_tests;

pub use handle::{Store, StoreError};
