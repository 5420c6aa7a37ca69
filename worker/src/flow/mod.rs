//! The flow: stages called one after the other, each on one screen. Stages do not call each other.

pub mod deploy;
pub mod fleet;
mod heard;
pub mod newer;
pub mod plan;
pub mod prepare;
mod remember;
mod resume;
pub mod trial;
pub mod trouble;
pub mod turn;

#[cfg(test)]
mod tests;
