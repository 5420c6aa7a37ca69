//! Gates: conditions probed before or after a node's turn. Here they are fully resolved (addresses, names,
//! expectations), so that a probe decides nothing.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{ComponentName, NodeName};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// Unique and stable within the release: "haproxy: https://blog.example.org/ on vps1".
    pub label: String,
    pub component: ComponentName,
    pub probe: Probe,
    /// Seconds for which it must hold without a break.
    pub hold: u32,
    /// Seconds until which it must have begun to hold; `None`: the policy's `healthy_deadline`.
    pub deadline: Option<u32>,
    pub scope: GateScope,
    /// Nodes that must hold their new release (turn done, or unchanged) before this gate means anything,
    /// e.g. the primary of a zone.
    pub needs: Vec<NodeName>,
    /// Also probed before the node's turn begins (a condition of the cluster that must hold first).
    pub before: bool,
}

/// Whose turns a gate watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateScope {
    /// In its node's turn, and afterwards until the roll ends.
    #[default]
    Node,
    /// In every turn of the roll, also where its own node is unchanged.
    Cluster,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// A request to exactly this address, whatever DNS says; the URL's host goes into SNI and `Host`.
    Http(HttpProbe),
    /// A TLS handshake with SNI; the served certificate covers the name, is in force, and its chain is complete.
    Tls {
        connect: SocketAddr,
        name: String,
        /** Must not expire within this many days. */
        days_left: u32,
        /** In hexadecimal digits: exactly this certificate, not the one before it. */
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serial: Option<String>,
    },
    /// A TCP connection is accepted.
    Tcp { connect: SocketAddr },
    /// A TCP connection from the worker is refused or ignored: what must not be reachable.
    Closed { connect: SocketAddr },
    /// A DNS answer from exactly this server.
    Dns {
        server: SocketAddr,
        name: String,
        rtype: String,
        expect: DnsExpect,
    },
    /// A command on the node succeeds.
    Command { run: String, timeout: u32 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpProbe {
    pub url: String,
    pub connect: SocketAddr,
    /// Accepted status codes.
    pub status: Vec<u16>,
    /// The body contains this.
    pub body: Option<String>,
    /// The certificate must be valid for an https URL (checked against the worker's trust roots).
    pub verify: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DnsExpect {
    /// NOERROR with at least these records, as zone files write them.
    Answer(Vec<String>),
    /// An SOA whose serial is the primary's or higher (RFC 1982).
    Serial { primary: SocketAddr },
    /// NOERROR and an authoritative SOA.
    Authoritative,
}

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeResult {
    pub ok: bool,
    /// "503 Service Unavailable", "refused", "serial 7 is behind 9".
    pub seen: String,
}

/// Names the public address of a node for labels and probes.
pub fn socket(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}
