//! What people read: one module for each kind of thing that is reported. Text only; where it goes is the
//! caller's.

pub mod findings;
