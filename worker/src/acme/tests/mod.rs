//! Against a real pebble and its DNS server, each test with its own on free ports.

mod astray;
mod authority;
mod forgotten;
pub(crate) mod joint;
mod killed;
mod limits;
mod name_servers;
mod next_authority;
mod orders;
mod pebble;
mod renewal_info;
mod sealing;
mod slow;
mod through_dns;
pub(crate) mod world;
