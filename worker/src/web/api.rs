//! `GET /api/v1/…`: the same values that log and command line tell, as JSON. Nothing here changes anything; what does is in
//! `inbound/commands`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_core::ids::ClusterName;

use crate::certificates::Sightings;
use crate::live::{Live, LiveRoll};
use crate::queue::EventQueue;
use crate::store::Store;
use crate::store::clusters::{ClusterRecord, Quarantined};
use crate::store::reports::Report;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

/// What the handlers read from.
#[derive(Debug)]
pub struct Api<Q> {
    pub store: Store,
    pub queue: Q,
    pub clusters: BTreeSet<ClusterName>,
    pub live: Live,
    pub sightings: Sightings,
    /// Set when rolls that were under way at the last stop have been finished.
    pub ready: AtomicBool,
}

/// One cluster as the API tells it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClusterView {
    pub name: ClusterName,
    #[serde(flatten)]
    pub record: ClusterRecord,
    pub quarantine: Vec<Quarantined>,
    /// The roll under way.
    pub live: Option<LiveRoll>,
    /// How the latest roll ended.
    pub latest: Option<Report>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Problem {
    error: String,
}

#[derive(Debug, Deserialize)]
pub struct Listing {
    cluster: Option<ClusterName>,
    limit: Option<u32>,
}

impl Listing {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT)
    }
}

type Shared<Q> = State<Arc<Api<Q>>>;

pub async fn healthz() -> &'static str {
    "ok\n"
}

pub async fn readyz<Q: EventQueue>(State(api): Shared<Q>) -> (StatusCode, &'static str) {
    if !api.ready.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n");
    }
    match api.queue.ready().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the queue fails\n"),
    }
}

pub async fn clusters<Q: EventQueue>(State(api): Shared<Q>) -> Response {
    let mut views = Vec::new();
    for name in &api.clusters {
        match view(&api, name).await {
            Ok(view) => views.push(view),
            Err(error) => return failed(&error),
        }
    }
    Json(views).into_response()
}

pub async fn cluster<Q: EventQueue>(State(api): Shared<Q>, Path(name): Path<String>) -> Response {
    match api.clusters.get(name.as_str()) {
        Some(name) => answer(view(&api, name).await.map(Some)),
        None => missing("no cluster of this name is watched"),
    }
}

pub async fn rolls<Q: EventQueue>(
    State(api): Shared<Q>,
    Query(listing): Query<Listing>,
) -> Response {
    let reports = api.store.reports(listing.cluster.as_ref(), listing.limit());
    answer(reports.await.map(Some))
}

pub async fn roll<Q: EventQueue>(State(api): Shared<Q>, Path(id): Path<i64>) -> Response {
    answer(api.store.report(id).await)
}

pub async fn events<Q: EventQueue>(
    State(api): Shared<Q>,
    Query(listing): Query<Listing>,
) -> Response {
    answer(api.queue.list(listing.limit()).await.map(Some))
}

pub async fn event<Q: EventQueue>(State(api): Shared<Q>, Path(id): Path<String>) -> Response {
    answer(api.queue.show(&id).await)
}

async fn view<Q>(
    api: &Api<Q>,
    name: &ClusterName,
) -> Result<ClusterView, crate::store::StoreError> {
    let store = &api.store;
    Ok(ClusterView {
        name: name.clone(),
        record: store.cluster(name).await?,
        quarantine: store.quarantined(name).await?,
        live: api.live.of(name),
        latest: store.reports(Some(name), 1).await?.pop(),
    })
}

fn answer<T: Serialize, E: std::fmt::Display>(found: Result<Option<T>, E>) -> Response {
    match found {
        Ok(Some(value)) => Json(value).into_response(),
        Ok(None) => missing("there is none"),
        Err(error) => failed(&error),
    }
}

pub(super) fn missing(why: &str) -> Response {
    problem(StatusCode::NOT_FOUND, why)
}

pub(crate) fn problem(status: StatusCode, why: &str) -> Response {
    let error = why.to_owned();
    (status, Json(Problem { error })).into_response()
}

fn failed(error: &impl std::fmt::Display) -> Response {
    tracing::error!(%error, "the API could not answer");
    let words = "the database failed; the log has more";
    problem(StatusCode::INTERNAL_SERVER_ERROR, words)
}
