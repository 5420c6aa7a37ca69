//! The queue through RabbitMQ: several workers on several machines share the work on their clusters.
//!
//! What the broker has confirmed it keeps; what it has not confirmed yet is in the worker's own database. The
//! topology is in `topology`, a connection with its consumers in `session`, its coming and going in `keeper`, and
//! what was delivered and waits to be worked on in `shelf`, what workers tell each other in `telling`. docs/queue.md has the drawing.

mod book;
mod dead;
mod figures;
mod inner;
mod keeper;
mod message;
mod outbox;
mod queue;
mod session;
mod settings;
mod shelf;
mod telling;
mod topology;

pub use queue::AmqpQueue;
pub use settings::{BadUrl, Settings};
