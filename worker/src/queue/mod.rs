//! The queue between what wakes the worker and what it does. Losing, repeating or reordering events can do no
//! harm (they only wake), but none is lost: an event is on disk before it counts as published, and stays until
//! whoever took it says that it is done.

pub mod amqp;
pub mod any;
pub mod conformance;
pub mod embedded;
pub mod event;
pub mod port;
mod queued;
mod rows;
pub mod told;

pub use any::AnyQueue;
pub use event::{
    Asked, CertificateDue, CertificatesIssued, Event, EventKind, Lane, RequestChanged, Rolled,
};
pub use port::{EventQueue, Figures, Lease, Published, QueueError, QueueFigures};
pub use queued::{Answered, Chosen, Content, Left, QueueState, Queued, Unreadable};
pub use told::ToldEvent;
