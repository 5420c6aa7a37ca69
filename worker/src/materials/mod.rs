//! Certificates and secrets: given to the worker in two directories, never kept in Git. What is wrong with them is
//! told before anything is rendered, because HAProxy takes an expired certificate, or one for other names,
//! without a word.

mod certificate;
mod load;
mod stand_in;

pub use certificate::{examine, usable};
pub use load::{Directories, load, ordered};
