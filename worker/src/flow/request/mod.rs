//! What becomes of a request of a forge: it is previewed, told of in one comment and one status, and after the merge
//! the same two tell how it was rolled. An event only wakes: everything is read from the forge and from Git.

mod after;
mod answer;
mod command;
mod look;
mod merges;
mod missed;
mod ours;
mod policy;
mod post;
mod previews;
mod trouble;

pub use command::Command;
pub use look::{Previewer, Publish, Requests};
pub use merges::OfForge;
pub use missed::Missed;
pub use policy::{Policy, Who};
pub use trouble::of_forge;
