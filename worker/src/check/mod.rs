//! Checks by real programs, run on the worker before any node is touched. What a check runs is decided by a
//! commit, so nothing runs outside the sandbox; where there is none, nothing runs and a finding says so.

mod capture;
mod cgroup;
mod filter;
mod program;
mod remembered;
mod runner;
mod sandbox;
mod tree;

pub use program::{Begun, Program, ProgramError};
pub use remembered::Remembered;
pub use runner::{Cancelled, Checker, Progress};
pub use sandbox::{Limits, Sandbox};
