//! The pure core of Windlass. It has no I/O, no clock and no randomness: what it is given decides what it
//! returns. Data flows one way, and a module uses only those above it:
//!
//! ```text
//! ids ─ fence ─ finding ─ snapshot ─ (sealed) ─ model ─ (acme) ─ component ─ render ─► release ─ check ─ observed ─ plan ─ roll ─ report ─ preview
//! ```

pub mod acme;
pub mod check;
pub mod codes;
pub mod component;
pub mod fence;
pub mod finding;
pub mod gate;
pub mod ids;
pub mod materials;
pub mod model;
pub mod observed;
pub mod outcome;
pub mod plan;
pub mod preview;
pub mod release;
pub mod render;
pub mod report;
pub mod roll;
pub mod schema;
pub mod sealed;
pub mod snapshot;
pub mod yaml;
