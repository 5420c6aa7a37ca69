//! `windlass worker`: watches repositories, and rolls what is pushed. Each cluster has two tasks, one that looks
//! for reasons to act and one that acts; the queue stands between them. A third orders certificates.

pub mod ask;
mod consumer;
pub mod desk;
pub mod events;
pub mod forge_setup;
mod handler;
pub mod health;
mod hooks;
mod lookout;
mod orders;
mod queues;
mod renewer;
mod requests;
mod run;
mod shared;
mod systemd;
mod watcher;

pub use run::run;
