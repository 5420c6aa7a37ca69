//! The flow from real commits to a small fleet that lives in memory.

mod answering;
mod comparing;
mod deploying;
mod fleet;
mod following;
mod letters;
mod overtaken;
mod pair;
pub(crate) mod paper;
mod relayed;
mod requests;
mod reviewing;
mod shared;
mod taking;
mod world;
