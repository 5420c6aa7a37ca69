//! What changes something over the API: waking a cluster, and what is done with events that were given up. Everything
//! else there only reads. Whoever asks shows the token that the configuration names; without one configured nobody
//! may, so that a port that was opened for hooks or metrics gives nothing else away.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use windlass_core::ids::ClusterName;

use super::body::Reader;
use super::rate::Rate;
use super::signature::{Denied, Proof, Secrets};
use crate::queue::{Chosen, Event, EventKind, EventQueue, QueueError};
use crate::web::api::problem;

/// A list of ids is all that a body holds.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Bodies being read at once.
const MAX_READING: usize = 32;
const MAX_PER_MINUTE: u32 = 240;
/// More dead events of each kind are not listed.
const MOST: u32 = 1000;

#[derive(Debug)]
pub struct Commands<Q> {
    queue: Q,
    clusters: BTreeSet<ClusterName>,
    /// `None`: nobody may.
    token: Option<Secrets>,
    reader: Reader,
    rate: Rate,
}

/// `POST /api/v1/events`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wake {
    cluster: String,
    #[serde(default)]
    why: Why,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Why {
    /// Looks for a newer commit.
    #[default]
    Moved,
    /// Compares the nodes with the newest commit, moved or not.
    Sweep,
}

/// The answer to it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Woken {
    /// The event's.
    id: String,
}

/// `POST /api/v1/dead/replay` and `/api/v1/dead/drop`: some, or all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// As `GET /api/v1/dead` tells them.
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    all: bool,
}

impl<Q> Commands<Q> {
    pub fn new(queue: Q, clusters: BTreeSet<ClusterName>, token: Option<Secrets>) -> Self {
        Self {
            queue,
            clusters,
            token,
            reader: Reader::new(MAX_BODY_BYTES, MAX_READING),
            rate: Rate::per_minute(MAX_PER_MINUTE),
        }
    }

    async fn admit(&self, headers: &HeaderMap) -> Result<(), Response> {
        let Some(token) = &self.token else {
            let words = "nobody may do this: name a file with a token as `api: { token_file: … }` in worker.yaml";
            return Err(problem(StatusCode::FORBIDDEN, words));
        };
        let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let accepted = match given.and_then(bearer) {
            Some(given) => token.accept(&Proof::Token(given.to_vec()), b"").await,
            None => Err(Denied::Missing),
        };
        match accepted {
            Ok(()) if self.rate.admit() => Ok(()),
            Ok(()) => {
                let words = format!("more than {MAX_PER_MINUTE} requests a minute");
                Err(problem(StatusCode::TOO_MANY_REQUESTS, &words))
            }
            Err(Denied::NoSecret) => {
                let words = "the file that `api.token_file` names cannot be used; the log has more";
                Err(problem(StatusCode::SERVICE_UNAVAILABLE, words))
            }
            Err(_) => {
                tracing::warn!("a request to change something over the API was refused");
                let words = "this takes `Authorization: Bearer …` with the worker's token";
                let refused = problem(StatusCode::UNAUTHORIZED, words);
                Err(([(WWW_AUTHENTICATE, "Bearer")], refused).into_response())
            }
        }
    }

    /// What the body asks for, once it is known who asks.
    async fn asked<T: DeserializeOwned>(&self, request: Request<Body>) -> Result<T, Response> {
        let (parts, body) = request.into_parts();
        self.admit(&parts.headers).await?;
        let body = self.reader.read(body).await;
        let body = body.map_err(|(status, words)| problem(status, words.trim_end()))?;
        serde_json::from_slice(&body).map_err(|error| {
            let words = format!("the body is not as expected: {error}");
            problem(StatusCode::BAD_REQUEST, &words)
        })
    }
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

pub fn router<Q: EventQueue + 'static>(commands: Arc<Commands<Q>>) -> Router {
    Router::new()
        .route("/api/v1/events", post(send::<Q>))
        .route("/api/v1/dead", get(dead::<Q>))
        .route("/api/v1/dead/replay", post(replay::<Q>))
        .route("/api/v1/dead/drop", post(discard::<Q>))
        .with_state(commands)
}

type Shared<Q> = State<Arc<Commands<Q>>>;

async fn send<Q: EventQueue>(
    State(commands): Shared<Q>,
    request: Request<Body>,
) -> Result<Response, Response> {
    let wake: Wake = commands.asked(request).await?;
    let Some(cluster) = commands.clusters.get(wake.cluster.as_str()) else {
        let words = "no cluster of this name is watched";
        return Err(problem(StatusCode::NOT_FOUND, words));
    };
    let kind = match wake.why {
        Why::Moved => EventKind::Moved,
        Why::Sweep => EventKind::Sweep,
    };
    let id = Uuid::new_v4().to_string();
    let event = Event::new(kind, "/api", cluster, id.clone());
    commands.queue.publish(&event).await.map_err(failed)?;
    tracing::info!(%cluster, id, "woken over the API");
    Ok((StatusCode::ACCEPTED, Json(Woken { id })).into_response())
}

async fn dead<Q: EventQueue>(
    State(commands): Shared<Q>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    commands.admit(&headers).await?;
    let letters = commands.queue.dead_letters(MOST).await.map_err(failed)?;
    Ok(Json(letters).into_response())
}

async fn replay<Q: EventQueue>(
    State(commands): Shared<Q>,
    request: Request<Body>,
) -> Result<Response, Response> {
    let which = chosen(commands.asked(request).await?)?;
    let answered = commands.queue.replay(&which).await.map_err(failed)?;
    let count = answered.done.len();
    tracing::info!(
        count,
        "dead events are given out once more, as asked over the API"
    );
    Ok(Json(answered).into_response())
}

async fn discard<Q: EventQueue>(
    State(commands): Shared<Q>,
    request: Request<Body>,
) -> Result<Response, Response> {
    let which = chosen(commands.asked(request).await?)?;
    let answered = commands.queue.discard(&which).await.map_err(failed)?;
    let count = answered.done.len();
    tracing::info!(count, "dead events are forgotten, as asked over the API");
    Ok(Json(answered).into_response())
}

fn chosen(choice: Choice) -> Result<Chosen, Response> {
    match (choice.all, choice.ids.is_empty()) {
        (true, true) => Ok(Chosen::All),
        (false, false) => Ok(Chosen::These(choice.ids)),
        _ => {
            let words = "write `{\"ids\": […]}` or `{\"all\": true}`";
            Err(problem(StatusCode::BAD_REQUEST, words))
        }
    }
}

fn failed(error: QueueError) -> Response {
    let status = match error {
        QueueError::Unknown(_) => StatusCode::NOT_FOUND,
        QueueError::Backend(_) | QueueError::Lost(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    problem(status, &error.to_string())
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
