//! A cluster for tests and the demo: the starter repository of `windlass init` with the lab's addresses and
//! keys, a bare repository to push to, certificates and secrets, and a real worker that watches it.

mod client;
mod fixture;
mod keys;
mod said;
mod worker;

pub use client::Client;
pub use fixture::{Cluster, program};
pub use said::{Said, UnderWay};
pub use worker::{Report, Worker};
