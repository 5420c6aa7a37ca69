//! Certificates by ACME, as far as it can be thought through without asking anybody: which ones a cluster wants,
//! when each is to be ordered or renewed, what a failure means for the next try, and the steps of an order. An
//! order's state is a fold over what was stored of it, so that a worker killed anywhere goes on where it was.

pub mod due;
pub mod failure;
pub mod order;
pub mod served;
pub mod wanted;

pub use due::{Due, Issued, Known, Lifetime, Why, Window, due};
pub use failure::{Failed, Failure};
pub use order::{Entry, Order, Proof, Step};
pub use served::{Place, Served, Sight, Stand, places};
pub use wanted::{Wanted, wanted};

#[cfg(test)]
mod tests;
