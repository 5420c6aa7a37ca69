//! What people and programs can read of the worker over HTTP.

pub mod api;
pub mod certificates;
pub mod metrics;
pub mod previews;
