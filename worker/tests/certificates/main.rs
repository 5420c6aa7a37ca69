//! Certificates with the worker as a process of its own and a real pebble. There is no node: the worker itself answers
//! at the address that a node would have, and a small TLS server stands for what the node serves.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod full;
#[cfg(test)]
mod killed;
#[cfg(test)]
#[path = "../../src/acme/tests/pebble.rs"]
#[expect(dead_code, reason = "the tests of orders use more of it")]
mod pebble;
#[cfg(test)]
mod place;
