//! Components: how one system (haproxy, bind …) is described as data. A component is the owner's to change,
//! so everything in it is checked at load, with a finding for each mistake.

pub mod actions;
pub mod case;
pub mod format;
pub mod gates;
mod load;
mod order;
#[cfg(test)]
mod tests;
mod validate;

pub use load::{Components, Folder, load};
