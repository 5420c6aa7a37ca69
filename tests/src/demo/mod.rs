//! `make demo`: a story that a newcomer can follow, and that fails unless each step does what it says.

mod screen;
mod steps;
mod story;

pub use story::{Queue, play};
