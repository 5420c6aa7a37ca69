//! Gates as a component writes them; rendering resolves them to addresses and names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gate::GateScope;
use crate::model::names::Label;
use crate::model::scalars::{Port, Seconds};
use crate::yaml::At;

/// A condition that must hold. Exactly one of `http`, `tls`, `tcp`, `closed`, `dns` and `command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateEntry {
    /// A request to this node, whatever DNS says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpGate>,
    /// The certificate that this node serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsGate>,
    /// A TCP port that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpGate>,
    /// A TCP port that must not be reachable from the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<ClosedGate>,
    /// An answer of this node's name server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsGate>,
    /// A command on the node that succeeds; may hold template expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<At<String>>,
    /// How long it must hold without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<At<Seconds>>,
    /// When it must have begun to hold; absent: the policy's `healthy_deadline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<At<Seconds>>,
    /// Whose turns it watches.
    #[serde(default)]
    pub scope: GateScope,
    /// A template condition; where it is false there is no such gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<At<String>>,
}

/// Exactly one of `site` and `url`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpGate {
    /// `every`, or the name of a site: each of its hosts at its health path, with its scheme and status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<At<String>>,
    /// An address of the web; may hold template expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<At<String>>,
    /// Accepted status codes; absent: the site's, or 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Vec<u16>>,
    /// Something that the body contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The certificate must be one that the worker trusts.
    #[serde(default = "yes")]
    pub verify: bool,
    /// Who asks.
    #[serde(default)]
    pub from: From,
    /// The network whose address is asked; absent: the one where sites are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<At<Label>>,
}

/// Who probes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// The worker, from outside.
    #[default]
    Worker,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsGate {
    /// `every`, or the name of a certificate: served for each host of the sites that use it.
    pub certificate: At<String>,
    #[serde(default = "https")]
    pub port: At<Port>,
    /// It must not expire within this many days; absent: 7, or a quarter of a shorter life; 0 where the worker orders it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_left: Option<u32>,
    /// The network whose address is asked; absent: the one where sites are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<At<Label>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpGate {
    pub port: At<Port>,
    /// The network whose address is asked; absent: the one where sites are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<At<Label>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedGate {
    /// The port.
    pub tcp: At<Port>,
    /// The network whose address is tried; absent: the one where sites are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<At<Label>>,
}

/// Either `zone` with `expect`, or `name`, `type` and `answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsGate {
    /// `every` zone that this node serves, or the name of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<ZoneExpect>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<At<String>>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<At<String>>,
    /// Records that the answer holds, as zone files write them.
    #[serde(default)]
    pub answer: Vec<String>,
    #[serde(default = "domain")]
    pub port: At<Port>,
    /// The network whose address is asked; absent: the one where sites are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<At<Label>>,
}

/// What a name server says of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ZoneExpect {
    /// The primary's serial, or a higher one.
    Serial,
    /// It answers for the zone.
    Authoritative,
}

fn yes() -> bool {
    true
}

fn https() -> At<Port> {
    At::nowhere(Port::new(443))
}

fn domain() -> At<Port> {
    At::nowhere(Port::new(53))
}
