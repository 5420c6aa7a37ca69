//! Certificates and secrets: given to the worker in two directories, or kept in Git encrypted with age. What is wrong
//! with them is told before anything is rendered, because HAProxy takes an expired certificate, or one for other names,
//! without a word.

pub mod age;
mod at_rest;
mod certificate;
mod load;
pub mod sealed;
mod stand_in;

pub use at_rest::AtRest;
pub use certificate::{examine, fits, usable};
pub use load::{Directories, by_secret, load, ordered, shelf};
