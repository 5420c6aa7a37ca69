//! `agent.sh` and its client on real nodes: what is promised in `docs/agent.md`.

#[path = "agent/bench.rs"]
mod bench;
#[path = "agent/foreign.rs"]
mod foreign;
#[path = "agent/going_back.rs"]
mod going_back;
#[path = "agent/killed.rs"]
mod killed;
#[path = "agent/login.rs"]
mod login;
#[path = "agent/packages.rs"]
mod packages;
#[path = "agent/serials.rs"]
mod serials;
#[path = "agent/standing.rs"]
mod standing;
#[path = "agent/takeover.rs"]
mod takeover;
#[path = "agent/turn.rs"]
mod turn;
