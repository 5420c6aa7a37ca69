//! From the model to releases. Rendering is a pure function: the same commit gives the same bytes on any
//! machine, whatever the number of threads.
//!
//! Templates are the repository's, so they may be hostile. What bounds them here: no view of the worker's world
//! (no files, environment, clock or randomness), one file's size (`engine::MAX_OUTPUT`), templates' nesting (by
//! Tera's parser), includes without circles, no recursive macros. What Tera cannot bound is the time and
//! memory of loops that write nothing: the program renders in a process that can be ended first (`flow/trial`).

mod cache;
mod commands;
pub mod component_tests;
mod context;
mod engine;
#[cfg(test)]
mod example;
mod files;
mod filters;
mod gates;
#[cfg(test)]
mod hostile;
mod materials;
mod node;
#[cfg(test)]
mod ordered_tests;
mod plain;
mod questions;
#[cfg(test)]
mod tests;
mod texts;
mod values;
mod vars;

pub use cache::Cache;
pub use node::{Inputs, Rendered, render};
