//! Judges what a checking program said. Its exit status alone is not the truth: many tools exit 0 and only
//! say what is wrong, so the output counts as well.

mod judge;
mod locate;
mod merge;
mod origin;
mod redact;

pub use judge::judge;
pub use locate::located;
pub use merge::merged;

/// How a checking program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Exit(i32),
    TimedOut,
    /// Killed by a limit or signal.
    Killed(String),
    /// It could not be started at all.
    NotFound(String),
}
