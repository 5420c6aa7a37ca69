//! The driver against a simulated fleet: it fails, is lost, is repeated and is killed at every single step.

mod faults;
mod fleet;
mod node;
mod probes;
mod relay;
mod turns;
mod world;
