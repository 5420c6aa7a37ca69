//! `windlass cert`: a cluster's certificates, on the worker's machine.

mod args;
mod run;

pub use args::CertCommand;
pub(super) use run::{run, told};
