//! One certificate as commands, API and metrics tell it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use windlass_core::acme::served::Served;
use windlass_core::acme::{Failed, Why};
use windlass_core::finding::Findings;
use windlass_core::model::names::Label;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The worker orders it.
    Ordered,
    /// A person gives it as a file.
    File,
    /// A person gives it as a secret, in the repository or the worker's directory of secrets.
    Secret,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CertificateView {
    pub name: Label,
    pub names: Vec<String>,
    /// The sites that are served with it.
    pub sites: Vec<Label>,
    pub origin: Origin,
    /// Who is asked first when it is ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Label>,
    /// The certificate that rolls take, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<InUse>,
    /// When it is ordered next, and why; absent for one that is given as a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<DueView>,
    /// How far the order has come that is under way, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// What went wrong last, since it went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failed>,
    /// Why what lies there cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// What each node really serves; empty where nobody looked.
    pub served: Vec<Served>,
    pub findings: Findings,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InUse {
    /// In hexadecimal digits.
    pub serial: String,
    #[schemars(with = "String")]
    pub from: Timestamp,
    #[schemars(with = "String")]
    pub until: Timestamp,
    pub days_left: i64,
    pub issuer: String,
    /// The directory that it was ordered from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DueView {
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// An order would be made now.
    pub now: bool,
    pub why: Why,
    pub authority: Label,
    /// At the authority's directory for rehearsals first.
    pub rehearsal: bool,
    /// A failure or a limit puts it off until then.
    pub put_off: bool,
}
