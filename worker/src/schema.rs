//! The JSON Schemas of what only the worker speaks, beside those of the core.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::certificates::{CertificateView, Sighted};
use crate::cli::{Status, Written};
use crate::inbound::commands::{Choice, Wake, Woken};
use crate::queue::{
    Answered, Asked, CertificateDue, CertificatesIssued, Event, Queued, RequestChanged, ToldEvent,
};

/// All schemas, each with the name of its file.
pub fn all() -> Vec<(&'static str, Value)> {
    let mut all = windlass_core::schema::all();
    all.extend(own());
    all
}

/// An event's data is what its type says: a turn's is in `turn.json`, a pull request's in `request-changed.json`, and so
/// on; docs/queue.md has them all.
pub fn own() -> Vec<(&'static str, Value)> {
    vec![
        ("asked.json", of::<Asked>()),
        ("certificate-due.json", of::<CertificateDue>()),
        ("certificates-issued.json", of::<CertificatesIssued>()),
        ("certificate-state.json", of::<CertificateView>()),
        ("certificates.json", of::<Vec<CertificateView>>()),
        ("certificates-seen.json", of::<Sighted>()),
        ("status.json", of::<Status>()),
        ("rendered.json", of::<Written>()),
        ("event.json", of::<Event>()),
        ("events.json", of::<Vec<Queued>>()),
        ("events-answered.json", of::<Answered>()),
        ("events-chosen.json", of::<Choice>()),
        ("event-wake.json", of::<Wake>()),
        ("event-woken.json", of::<Woken>()),
        ("queued-event.json", of::<Queued>()),
        ("request-changed.json", of::<RequestChanged>()),
        ("told.json", of::<ToldEvent>()),
    ]
}

fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}
