//! Carries rolls out. `driver` performs what `windlass_core::roll::next` says and decides nothing itself; `journal`
//! puts every step on disk before it is done, so that a worker killed anywhere is followed by one that finishes
//! or goes back; `permit` keeps two processes from rolling one cluster.

mod clock;
pub mod driver;
pub mod journal;
pub mod observe;
mod perform;
pub mod permit;
mod run;
pub mod turns;
mod watch;

#[cfg(test)]
mod tests;

pub use driver::{Driver, Observer, RollError, Silent};
pub use journal::{Journal, JournalError, OpenRoll, RollId, StoreJournal};
pub use permit::RollPermit;
