//! What people read: one module for each kind of thing that is reported. Text only; where it goes is the
//! caller's.

pub mod diff;
pub mod doctor;
pub mod findings;
pub mod machine;
pub mod plan;
pub mod roll;
pub mod step;
pub mod visible;
pub mod words;

#[cfg(test)]
mod tests;
