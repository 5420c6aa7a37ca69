//! Events in the form of CloudEvents 1.0. They say that something may have happened, never what: whoever takes
//! one looks for itself.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::model::names::Label;

/// One reason to look at a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    pub specversion: SpecVersion,
    /// The same id twice is one event.
    pub id: String,
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// Who says so: `/hooks/git`, `/timer`, `/cli`.
    pub source: String,
    /// The cluster.
    pub subject: ClusterName,
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// What only the sender knows: how far a roll has come, what a person asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SpecVersion {
    #[serde(rename = "1.0")]
    V1,
}

/// Who may take an event, and beside which others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// One at a time for each cluster, over all workers: what may end in a roll.
    Cluster,
    /// Many at once, by any worker; a roll neither waits for them nor holds them up.
    Shared,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum EventKind {
    /// The watched branch may have moved.
    #[serde(rename = "windlass.git.moved.v1")]
    Moved,
    /// Time to compare the nodes with the newest commit, moved or not: nodes that were away catch up.
    #[serde(rename = "windlass.sweep.v1")]
    Sweep,
    /// A comparison is due: every worker says so, and whoever has the cluster's lane makes one `Probe` of it.
    #[serde(rename = "windlass.timer.v1")]
    Timer,
    /// A person wants another look: after a quarantine was lifted or a rewind accepted.
    #[serde(rename = "windlass.asked.v1")]
    Asked,
    /// The worker has new certificates.
    #[serde(rename = "windlass.certificate.issued.v1")]
    Certificate,
    /// The next turn of a roll under way. It comes before every other reason to look.
    #[serde(rename = "windlass.roll.turn.v1")]
    Turn,
    /// A pull request may have changed; `data` is a `RequestChanged`.
    #[serde(rename = "windlass.request.changed.v1")]
    Request,
    /// A certificate may be due; `data` is a `CertificateDue`.
    #[serde(rename = "windlass.certificate.due.v1")]
    Order,
    /// Time to compare the nodes with what they should hold, reading only.
    #[serde(rename = "windlass.drift.due.v1")]
    Probe,
}

/// What `windlass.request.changed.v1` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestChanged {
    /// The pull request's number at the forge.
    pub request: u64,
    /// A comment on it that may hold a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<u64>,
}

/// What `windlass.asked.v1` says, and `windlass.git.moved.v1` where it follows from a released merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// What was rolled back may be tried again.
    Retry,
    /// This commit may be rolled although the branch was rewound to it.
    AcceptRewind(String),
    /// This bundle waits, and may be rolled though it is not what was reviewed.
    Release(Digest),
}

/// What `windlass.certificate.issued.v1` says where several workers share a cluster's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificatesIssued {
    pub certificates: Vec<Label>,
    /// Chains and keys (PEM) by certificate, as JSON, encrypted with age to the workers' own identities.
    pub sealed: String,
}

/// What `windlass.certificate.due.v1` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateDue {
    /// One that a person wants renewed; absent: all are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Label>,
    /// That one is not to wait because of what failed before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// A roll has ended, with this commit on the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled: Option<Rolled>,
}

/// How the nodes stood when a roll had ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rolled {
    /// The commit that every reachable node holds, or the one that was looked at; absent: there is none yet.
    pub commit: Option<String>,
    #[schemars(with = "String")]
    pub at: Timestamp,
}

impl EventKind {
    pub const ALL: [Self; 9] = [
        Self::Moved,
        Self::Sweep,
        Self::Timer,
        Self::Asked,
        Self::Certificate,
        Self::Turn,
        Self::Request,
        Self::Order,
        Self::Probe,
    ];

    pub fn lane(self) -> Lane {
        match self {
            Self::Moved
            | Self::Sweep
            | Self::Timer
            | Self::Asked
            | Self::Certificate
            | Self::Turn => Lane::Cluster,
            Self::Request | Self::Order | Self::Probe => Lane::Shared,
        }
    }

    /// The kinds of the shared lane.
    pub fn shared() -> impl Iterator<Item = Self> {
        let all = Self::ALL.into_iter();
        all.filter(|kind| kind.lane() == Lane::Shared)
    }

    /// Of this kind one at a time for each cluster, over all workers, though its lane is shared: an authority counts
    /// orders, and two for the same name would be one too many.
    pub fn is_serial(self) -> bool {
        self == Self::Order
    }

    /// Looking twice for the same reason shows nothing new.
    pub fn is_one_look(self) -> bool {
        matches!(self, Self::Sweep | Self::Timer) || self.lane() == Lane::Shared
    }

    /// Its name in the broker's routing keys and queues.
    pub fn key(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Sweep => "sweep",
            Self::Timer => "timer",
            Self::Asked => "asked",
            Self::Certificate => "certificate",
            Self::Turn => "turn",
            Self::Request => "request",
            Self::Order => "order",
            Self::Probe => "probe",
        }
    }

    /// What reports call the trigger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Moved => "push",
            Self::Sweep => "sweep",
            Self::Timer => "timer",
            Self::Asked => "asked",
            Self::Certificate => "certificate",
            Self::Turn => "turn",
            Self::Request => "request",
            Self::Order => "order",
            Self::Probe => "probe",
        }
    }
}

impl Event {
    pub fn new(
        kind: EventKind,
        source: &str,
        subject: &ClusterName,
        id: impl Into<String>,
    ) -> Self {
        Self {
            specversion: SpecVersion::V1,
            id: id.into(),
            kind,
            source: source.to_owned(),
            subject: subject.clone(),
            time: Timestamp::now(),
            data: None,
        }
    }

    pub fn with(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_shape_of_a_cloud_event() {
        let cluster: ClusterName = "example".parse().unwrap();
        let mut event = Event::new(EventKind::Moved, "/hooks/git", &cluster, "7");
        event.time = Timestamp::UNIX_EPOCH;
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"specversion":"1.0","id":"7","type":"windlass.git.moved.v1","source":"/hooks/git","subject":"example","time":"1970-01-01T00:00:00Z"}"#
        );
        let with = serde_json::to_string(&event.with(serde_json::json!({"roll": 7}))).unwrap();
        assert!(with.ends_with(r#","data":{"roll":7}}"#), "{with}");
    }

    #[test]
    fn unknown_types_and_versions_are_refused() {
        let known = r#"{"specversion":"1.0","id":"7","type":"windlass.sweep.v1","source":"/timer","subject":"example","time":"1970-01-01T00:00:00Z"}"#;
        assert!(serde_json::from_str::<Event>(known).is_ok());
        for (from, to) in [
            ("sweep.v1", "sweep.v9"),
            ("\"1.0\"", "\"2.0\""),
            ("example", "../x"),
        ] {
            assert!(serde_json::from_str::<Event>(&known.replace(from, to)).is_err());
        }
    }
}
