//! Gates of simulated nodes.

use tokio::time::{Duration, sleep};
use windlass_core::gate::{Gate, Probe, ProbeResult};
use windlass_core::ids::NodeName;

use crate::ports::Prober;

/// A site is up unless this release breaks it.
#[derive(Default)]
pub(super) struct Probes {
    pub(super) broken: Option<NodeName>,
}

impl Prober for Probes {
    async fn probe(&self, gate: &Gate) -> ProbeResult {
        sleep(Duration::from_millis(10)).await;
        let ok = match &gate.probe {
            Probe::Http(http) => self
                .broken
                .as_ref()
                .is_none_or(|node| !http.url.contains(node.as_str())),
            _ => true,
        };
        let seen = if ok {
            "200 OK"
        } else {
            "503 Service Unavailable"
        };
        ProbeResult {
            ok,
            seen: seen.to_owned(),
        }
    }
}
