//! The flow: stages called one after the other, each on one screen. Stages do not call each other.

pub mod compare;
pub mod deploy;
pub mod fleet;
mod heard;
mod looked;
mod meanwhile;
pub mod newer;
mod overtake;
mod packed;
pub mod plan;
pub mod prepare;
pub mod preview;
mod remember;
pub mod request;
mod resume;
pub mod review;
pub mod supposed;
mod take_back;
pub mod trial;
pub mod trouble;
pub mod turn;

#[cfg(test)]
mod tests;
