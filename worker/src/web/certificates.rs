//! Certificates over the API and as metrics: what was seen when somebody looked last.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use windlass_core::acme::Stand;
use windlass_core::acme::served::Served;
use windlass_core::ids::{ClusterName, NodeName};

use super::api::{Api, missing};
use crate::certificates::{CertificateView, Sighted, Sightings};

pub async fn of_cluster<Q>(State(api): State<Arc<Api<Q>>>, Path(name): Path<String>) -> Response {
    let found = api.clusters.get(name.as_str());
    match found.and_then(|name| api.sightings.of(name)) {
        Some(sighted) => Json(sighted).into_response(),
        None => missing("no cluster of this name is watched, or nobody has looked yet"),
    }
}

type All = BTreeMap<ClusterName, Sighted>;

pub(super) fn metrics(text: &mut String, sightings: &Sightings) {
    let all = sightings.all();
    of_certificates(text, &all);
    of_nodes(text, &all);
    let looked = all.iter();
    let looked =
        looked.map(|(cluster, own)| (format!("cluster=\"{cluster}\""), own.at.as_second()));
    gauge(
        text,
        "looked_timestamp_seconds",
        "When the nodes were last asked what they serve.",
        looked,
    );
}

/// One metric with its labels and numbers.
fn gauge(text: &mut String, name: &str, help: &str, rows: impl Iterator<Item = (String, i64)>) {
    let name = format!("windlass_certificate_{name}");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, number) in rows {
        let _ = writeln!(text, "{name}{{{labels}}} {number}");
    }
}

fn each(all: &All) -> impl Iterator<Item = (String, &CertificateView)> {
    all.iter().flat_map(|(cluster, sighted)| {
        let views = sighted.certificates.iter();
        views.map(move |view| {
            let labels = format!("cluster=\"{cluster}\",certificate=\"{}\"", view.name);
            (labels, view)
        })
    })
}

fn of_certificates(text: &mut String, all: &All) {
    let until = |view: &CertificateView| Some(view.in_use.as_ref()?.until.as_second());
    gauge(
        text,
        "expiry_timestamp_seconds",
        "Until when the certificate in use is in force.",
        each(all).filter_map(|(labels, view)| Some((labels, until(view)?))),
    );
    let due = |view: &CertificateView| Some(view.due.as_ref()?.at.as_second());
    gauge(
        text,
        "next_order_timestamp_seconds",
        "When the certificate is ordered next.",
        each(all).filter_map(|(labels, view)| Some((labels, due(view)?))),
    );
    gauge(
        text,
        "findings",
        "What is worth a look about the certificate: its age (WL328), nodes that are behind (WL329).",
        each(all).filter_map(|(labels, view)| Some((labels, view.findings.len().try_into().ok()?))),
    );
}

fn of_nodes(text: &mut String, all: &All) {
    let served = || {
        each(all).flat_map(|(labels, view)| {
            let of_node = move |own| (format!("{labels},node=\"{}\"", node(own)), own);
            view.served.iter().map(of_node)
        })
    };
    gauge(
        text,
        "served_expiry_timestamp_seconds",
        "Until when the certificate is in force that the node really serves.",
        served().filter_map(|(labels, own)| Some((labels, own.until?.as_second()))),
    );
    gauge(
        text,
        "behind",
        "Whether the node serves another certificate than the one in use.",
        served().map(|(labels, own)| (labels, i64::from(own.stand == Stand::Behind))),
    );
}

fn node(own: &Served) -> &NodeName {
    &own.node
}
