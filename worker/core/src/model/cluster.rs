//! `cluster.yaml`: the cluster's name, networks, order of nodes and policy.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::acme::Acme;
use super::freeze::Freeze;
use super::names::{DomainName, Label};
use super::recipient::Recipient;
use super::scalars::{OneOrMany, Percent, Seconds};
use crate::ids::{ClusterName, ComponentName, NodeName};
use crate::yaml::At;

/// The cluster: its name, networks, nodes' order and policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Nodes remember which cluster they belong to; never change it.
    pub name: ClusterName,
    /// The cluster's own domain.
    pub domain: DomainName,
    /// Name of a network → its addresses in CIDR form, one or a list. Nodes' addresses must lie inside.
    #[schemars(with = "BTreeMap<Label, OneOrMany<String>>")]
    pub networks: BTreeMap<Label, At<OneOrMany<IpNet>>>,
    /// Every node once, in the order in which they take their turns.
    pub order: Vec<At<NodeName>>,
    /// Where sites are published.
    pub edge: Edge,
    #[serde(default)]
    pub policy: Policy,
    /// Certificates that the worker orders by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
    /// Who can read the encrypted secrets of `secrets/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Secrets>,
    /// Overrides of components' variables for the whole cluster.
    #[serde(default)]
    pub components: BTreeMap<ComponentName, ComponentOverride>,
}

/// The encrypted secrets of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Public keys of age, as `age-keygen -y` prints them: the worker's, and those of the people who change secrets.
    pub recipients: Vec<At<Recipient>>,
}

/// The nodes whose addresses sites' names resolve to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    pub role: At<Label>,
    /// The network whose addresses are published.
    pub network: At<Label>,
    /// A second network to publish, usually the IPv6 one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network6: Option<At<Label>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComponentOverride {
    #[serde(default)]
    pub vars: Map<String, Value>,
}

/// How a roll goes, and what stops it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The sizes of the waves: a number of nodes, a share of them (`30%`) or named nodes. What is left goes one node at a time.
    pub serial: Vec<At<Wave>>,
    /// How long a node's gates must hold before it counts as healthy.
    pub min_healthy_time: At<Seconds>,
    /// How long a node may take to become healthy.
    pub healthy_deadline: At<Seconds>,
    /// How long the roll may go on without a node becoming healthy.
    pub progress_deadline: At<Seconds>,
    /// How long a node waits for a new connection after its change before it goes back by itself.
    pub reconnect_deadline: At<Seconds>,
    pub on_failure: OnFailure,
    pub on_newer_commit: OnNewerCommit,
    pub unreachable: Unreachable,
    pub drift: Drift,
    pub on_divergence: OnDivergence,
    /// Role → how many of its nodes must be reachable before a roll begins.
    pub quorum: BTreeMap<Label, At<u32>>,
    pub limits: Limits,
    /// Times in which nothing is rolled.
    pub freeze: Vec<At<Freeze>>,
    /// Nothing is rolled while it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
}

impl Default for Policy {
    fn default() -> Self {
        let seconds = |seconds| At::nowhere(Seconds::new(seconds));
        Self {
            serial: vec![At::nowhere(Wave::Count(1))],
            min_healthy_time: seconds(10),
            healthy_deadline: seconds(120),
            progress_deadline: seconds(600),
            reconnect_deadline: seconds(30),
            on_failure: OnFailure::default(),
            on_newer_commit: OnNewerCommit::default(),
            unreachable: Unreachable::default(),
            drift: Drift::default(),
            on_divergence: OnDivergence::default(),
            quorum: BTreeMap::new(),
            limits: Limits::default(),
            freeze: Vec::new(),
            lock: None,
        }
    }
}

/// What happens to the roll's other nodes when one fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Every node of the roll goes back, in reverse order.
    #[default]
    RollbackAll,
    /// The failed node goes back, the nodes done stay.
    Stop,
}

/// A newer commit while a roll is under way and healthy. One that waits for a gate which does not hold goes back for it
/// in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnNewerCommit {
    /// It waits until the roll has ended.
    #[default]
    Wait,
    /// The nodes in the middle of their turns end them, and the newer commit is rolled from there; nothing goes back.
    Stop,
}

/// A node that cannot be reached when a roll begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unreachable {
    /// It is left behind and catches up when it returns.
    #[default]
    Skip,
    /// Nothing is rolled.
    Refuse,
}

/// A node that holds something else than it last confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// Nothing is rolled to it until someone decides.
    #[default]
    Refuse,
    /// What was changed by hand is replaced; a copy is kept.
    Overwrite,
}

/// A merged request whose result is not what was reviewed, because the branch moved on meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDivergence {
    /// It is rolled, and the request is told how it differs.
    #[default]
    Roll,
    /// Nothing is rolled until someone who may merge releases what is shown then.
    Wait,
}

/// The share of what exists that one roll may remove, counted from 10 existing up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub dns_records: Percent,
    pub backends: Percent,
    pub files: Percent,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            dns_records: Percent::new(30),
            backends: Percent::new(30),
            files: Percent::new(50),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    pub reason: String,
}

/// One wave of a roll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Wave {
    Count(u32),
    Share(Percent),
    Nodes(Vec<At<NodeName>>),
}

impl<'de> Deserialize<'de> for Wave {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Waves;
        impl<'de> Visitor<'de> for Waves {
            type Value = Wave;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of nodes, a share such as `30%`, or a list of nodes")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Wave, E> {
                u32::try_from(value)
                    .ok()
                    .filter(|count| *count > 0)
                    .map(Wave::Count)
                    .ok_or_else(|| E::custom("a wave has at least one node"))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Wave, E> {
                self.visit_u64(u64::try_from(value).unwrap_or(0))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Wave, E> {
                Percent::try_from(value.to_owned())
                    .map(Wave::Share)
                    .map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Wave, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = seq.next_element()? {
                    nodes.push(node);
                }
                Ok(Wave::Nodes(nodes))
            }
        }
        deserializer.deserialize_any(Waves)
    }
}

impl JsonSchema for Wave {
    fn schema_name() -> Cow<'static, str> {
        "Wave".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let share = generator.subschema_for::<Percent>();
        let node = generator.subschema_for::<NodeName>();
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                share,
                { "type": "array", "items": node, "minItems": 1 },
            ]
        })
    }
}
