//! A roll as a value: what has happened (`RollState`, a fold over `RollEvent`s) and what is to be done next
//! (`next`). Nothing here acts; a driver performs the steps and tells what came of them. Replaying the
//! recorded events gives the same state, hence the same next steps, so a worker that died can be followed by another.
//!
//! What it guards against: a half-done roll after a crash, a repeated or forgotten step, a node left drained,
//! two nodes out of rotation at once, an answer that never came taken for a yes or a no.

mod apply;
mod event;
mod fate;
mod next;
mod outcome;
mod state;
mod step;
mod turns;
pub mod vigil;

#[cfg(test)]
mod begun;
#[cfg(test)]
mod carried;
#[cfg(test)]
mod network;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod search;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

pub use event::{Act, Entry, Fate, RollEvent};
pub use fate::fate;
pub use next::next;
pub use state::{IllegalEvent, NodeRoll, Place, RollState};
pub use step::{Hold, HoldPurpose, Step, Watched, extend_seconds};
pub use turns::{Reached, TurnMessage};
