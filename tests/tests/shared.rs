//! Real workers that share one cluster of real machines through a real RabbitMQ.

#[path = "shared/chaos.rs"]
mod chaos;
#[path = "shared/orders.rs"]
mod orders;
#[path = "shared/place.rs"]
mod place;
#[path = "shared/stopped.rs"]
mod stopped;
#[path = "shared/worker.rs"]
mod worker;
