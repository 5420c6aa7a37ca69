//! Probes gates from the worker: exactly the address that the plan names, one try at a time, and a few words on
//! what was seen. Holding and waiting are the roll's business.

mod dns;
mod http;
mod served;
mod tcp;
mod tls;
mod trust;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use windlass_core::gate::{Gate, Probe, ProbeResult};

use crate::ports::Prober;
pub use served::Seen;
use trust::Trust;

/// One try takes at most this long; the roll tries again until the gate's deadline.
const TRY: Duration = Duration::from_secs(5);

/// A port that says nothing for this long counts as closed. Short, because behind a firewall that drops every
/// probe of a closed port takes all of it.
const SILENCE: Duration = Duration::from_secs(1);

/// The probes over the network.
#[derive(Debug, Clone)]
pub struct NetProber {
    trust: Trust,
    timeout: Duration,
}

impl NetProber {
    /// Trusts this machine's roots and, for clusters with a certificate authority of their own, those in `extra_ca`.
    pub fn new(extra_ca: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self {
            trust: Trust::new(extra_ca)?,
            timeout: TRY,
        })
    }

    /// The certificate that is served at this address for a host, good or not.
    pub async fn served(&self, connect: SocketAddr, host: &str) -> Result<Seen, String> {
        served::look(connect, host, &self.trust, self.timeout).await
    }
}

impl Prober for NetProber {
    fn probe(&self, gate: &Gate) -> impl Future<Output = ProbeResult> + Send {
        let probe = gate.probe.clone();
        async move {
            let seen = match &probe {
                Probe::Http(wanted) => http::probe(wanted, &self.trust, self.timeout).await,
                Probe::Tls {
                    connect,
                    name,
                    days_left,
                    serial,
                } => {
                    let wanted = tls::Wanted {
                        name,
                        days_left: *days_left,
                        serial: serial.as_deref(),
                    };
                    tls::probe(*connect, &wanted, &self.trust, self.timeout).await
                }
                Probe::Tcp { connect } => tcp::open(*connect, self.timeout).await,
                Probe::Closed { connect } => tcp::closed(*connect, self.timeout.min(SILENCE)).await,
                Probe::Dns {
                    server,
                    name,
                    rtype,
                    expect,
                } => dns::probe(*server, name, rtype, expect, self.timeout).await,
                Probe::Command { .. } => Err("a command is run on the node, not here".to_owned()),
            };
            match seen {
                Ok(seen) => ProbeResult { ok: true, seen },
                Err(seen) => ProbeResult { ok: false, seen },
            }
        }
    }
}

#[cfg(test)]
mod tests;
