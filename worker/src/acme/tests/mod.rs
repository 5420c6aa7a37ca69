//! Against a real pebble and its DNS server, each test with its own on free ports.

mod authority;
mod killed;
mod limits;
mod orders;
mod pebble;
pub(crate) mod world;
