//! Nodes, sites, forwards and certificates: one small file each.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::acme::Ordered;
use super::names::{CertName, Host, HostName, Label, UrlPath, UserName};
use super::scalars::{Port, Seconds};
use crate::ids::NodeName;
use crate::yaml::At;

/// Which nodes: those of a role, or these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// Every node with this role.
    Role(At<Label>),
    /// Exactly these nodes.
    Nodes(Vec<At<NodeName>>),
}

/// A machine of the cluster; its name is the file's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// What the node is for; components and sites choose nodes by role.
    pub roles: Vec<At<Label>>,
    /// Name of a network → the node's address in it.
    pub addresses: BTreeMap<Label, At<IpAddr>>,
    pub ssh: Ssh,
    /// Values for templates; those of a component stand under its name.
    #[serde(default)]
    pub vars: Map<String, Value>,
}

/// How the worker reaches the node. One of `network` and `address`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// The node's address in this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Label>>,
    /// A host name or address that stands in no network of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<At<Host>>,
    #[serde(default = "ssh_port")]
    pub port: At<Port>,
    #[serde(default = "ssh_user")]
    pub user: UserName,
    /// The node's public host keys as in /etc/ssh/ssh_host_*_key.pub; any other is refused.
    pub host_keys: Vec<At<String>>,
    /// Run the agent through `sudo -n`.
    #[serde(default)]
    pub sudo: bool,
}

fn ssh_port() -> At<Port> {
    At::nowhere(Port::new(22))
}

fn ssh_user() -> UserName {
    UserName::root()
}

/// A web site: one file feeds every system that must know about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The names it answers to; the first is the main one.
    pub hosts: Vec<At<HostName>>,
    /// Where the application runs.
    pub on: Placement,
    /// Where the application listens on those nodes.
    pub port: At<Port>,
    #[serde(default)]
    pub health: Health,
    /// Absent: plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// From http to https, where there is `tls`.
    #[serde(default = "yes")]
    pub redirect: bool,
    #[serde(default)]
    pub backend: Backend,
    /// What visitors see while no instance is healthy; absent: the cluster's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    #[serde(default)]
    pub dns: SiteDns,
}

fn yes() -> bool {
    true
}

/// How a healthy instance answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    pub path: UrlPath,
    pub status: Vec<At<u16>>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            path: UrlPath::root(),
            status: vec![At::nowhere(200)],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The name of a file in `certificates/`; absent: ordered as `acme` in `cluster.yaml` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<At<Label>>,
}

impl Site {
    /// The name of its certificate; `None` also where it is yet to follow from the policy.
    pub fn certificate(&self) -> Option<&At<Label>> {
        self.tls.as_ref()?.certificate.as_ref()
    }
}

/// How an edge node chooses among the instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Its own instance; the others only when that is down.
    #[default]
    LocalFirst,
    /// All in turn.
    Balance,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Maintenance {
    /// One sentence for the visitor.
    Text(At<String>),
    /// An HTML file of the repository, below `errors/`.
    Page(At<String>),
}

/// What DNS says of the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SiteDns {
    /// Absent: the zone's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<At<Seconds>>,
    /// Derive the address records of the hosts.
    pub manage: bool,
}

impl Default for SiteDns {
    fn default() -> Self {
        Self {
            ttl: None,
            manage: true,
        }
    }
}

/// A TCP port of some nodes that leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    pub listen: At<Port>,
    /// The nodes that listen.
    pub on: Placement,
    pub to: Target,
}

/// A node's address in a network, or an address outside the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<At<NodeName>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Label>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<At<IpAddr>>,
    pub port: At<Port>,
}

/// A certificate by its names; chain and key never stand in Git in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Host names that it covers; `*.` covers exactly one label.
    pub names: Vec<At<CertName>>,
    /// The worker orders it; absent: chain and key are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<Ordered>,
    /// The secret that holds chain and key, in PEM; absent: a file in the worker's directory of certificates does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<At<String>>,
}
