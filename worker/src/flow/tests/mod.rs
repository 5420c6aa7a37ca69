//! The flow from real commits to a small fleet that lives in memory.

mod comparing;
mod deploying;
mod fleet;
mod relayed;
mod taking;
mod world;
