//! Orders certificates by ACME (RFC 8555). What is wanted, when it is due and which step comes next is decided in
//! `windlass_core::acme`; here the steps are carried out, each stored in the worker's database before the next one
//! begins. Guards against what costs most: an order repeated instead of resumed, a validation spent on a path that is
//! known to be broken, a key that is lost, or seen.

mod account;
mod asked;
mod asking;
mod by_hand;
mod dns;
mod forget;
mod joint;
mod key;
mod leaf;
mod ledger;
mod orderer;
mod past;
mod paths;
mod proofs;
mod record;
mod resolver;
mod sealing;
mod shelf;
mod steps;
mod transport;
mod trouble;

pub use by_hand::{Reason, revoke, roll_account_key};
pub use dns::Records;
pub use joint::{Common, Hold};
pub use leaf::Leaf;
pub use ledger::{Asked, Ledger, OpenOrder, Suggestion};
pub use orderer::{Access, Announce, Orderer, Ran, Unannounced};
pub use paths::Paths;
pub use resolver::Resolver;
pub use shelf::Shelf;

#[cfg(test)]
pub(crate) mod tests;
