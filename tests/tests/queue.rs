//! The worker's queue against real brokers.

#[path = "queue/composed.rs"]
mod composed;
#[path = "queue/conforms.rs"]
mod conforms;
#[path = "queue/faults.rs"]
mod faults;
#[path = "queue/letters.rs"]
mod letters;
#[path = "queue/outbox.rs"]
mod outbox;
#[path = "queue/place.rs"]
mod place;
#[path = "queue/refusals.rs"]
mod refusals;
#[path = "queue/service.rs"]
mod service;
#[path = "queue/told.rs"]
mod told;
#[path = "queue/workers.rs"]
mod workers;
