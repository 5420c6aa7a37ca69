//! Real workers that share one cluster of real machines through a real RabbitMQ.

#[path = "shared/chaos.rs"]
mod chaos;
#[path = "shared/compared.rs"]
mod compared;
#[path = "shared/forge.rs"]
mod forge;
#[path = "shared/gate.rs"]
mod gate;
#[path = "shared/newer.rs"]
mod newer;
#[path = "shared/ordering.rs"]
mod ordering;
#[path = "shared/orders.rs"]
mod orders;
#[path = "shared/place.rs"]
mod place;
#[path = "shared/requests.rs"]
mod requests;
#[path = "shared/stopped.rs"]
mod stopped;
#[path = "shared/worker.rs"]
mod worker;
