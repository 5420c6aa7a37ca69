//! A cluster for tests and the demo: the starter repository of `windlass init` with the lab's addresses and
//! keys, a bare repository to push to, certificates and secrets, a real worker that watches it, and a real
//! certificate authority that the worker may order from, with the name server that it asks.

mod authority;
mod client;
mod files;
mod fixture;
mod kept;
mod keys;
mod note;
mod proven;
mod resolver;
mod said;
mod worker;

pub use authority::Authority;
pub use client::Client;
pub use fixture::{Cluster, DOMAIN, program};
pub use kept::Kept;
pub use note::{NOTE, two_machines};
pub use resolver::Resolver;
pub use said::{Said, UnderWay};
pub use worker::{Report, Worker};
