//! What end-to-end tests, the demo and the [`bench`] share: the [`lab`] (real Debian machines, cheaply) and the
//! [`cluster`] (a repository of definitions for those machines, with its keys and a running worker).
//!
//! A test that needs the lab is ignored unless asked for, and says why in its name's line:
//!
//! ```ignore
//! #[test]
//! #[ignore = "lab: needs root"]
//! fn a_push_reaches_every_node() -> anyhow::Result<()> {
//!     let lab = Lab::boot(&LabSpec::default())?;
//!     let vps1 = lab.node("vps1");
//!     vps1.sh("systemctl start haproxy")?;
//!     Ok(())
//! }
//! ```
//!
//! `make test` asks for them when it runs as root, so that as root none is ignored and without
//! root each is reported by name.

pub mod bench;
pub mod broker;
pub mod cluster;
pub mod demo;
pub mod forge;
pub mod lab;
pub mod port;
