//! `POST /hooks/git`: whoever pushed says that a branch may have moved. The body is read up to a limit, its
//! signature is checked over the raw bytes, and only then is it parsed. A delivery id that comes again is the
//! same event.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use serde::Deserialize;
use windlass_core::ids::ClusterName;

use super::body::{Answer, Reader, refuse};
use super::rate::Rate;
use super::signature::{Denied, Secrets};
use crate::queue::{Event, EventKind, EventQueue, Published};

/// The body names a few refs; anything larger is not ours.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Requests being read at once, authenticated or not.
const MAX_READING: usize = 32;
const MAX_PER_MINUTE: u32 = 240;
const MAX_DELIVERY_BYTES: usize = 128;

/// The branch that each cluster watches.
pub type Watched = BTreeMap<ClusterName, String>;

#[derive(Debug)]
pub struct Hook<Q> {
    queue: Q,
    secrets: Secrets,
    watched: Watched,
    reader: Reader,
    rate: Rate,
}

/// What the body may say; anything else in it is left alone.
#[derive(Debug, Deserialize)]
struct Push {
    /// Absent: every cluster that watches one of the refs.
    cluster: Option<String>,
    /// Full names, `refs/heads/main`; absent: any.
    refs: Option<Vec<String>>,
}

impl<Q> Hook<Q> {
    pub fn new(queue: Q, secrets: Secrets, watched: Watched) -> Self {
        Self {
            queue,
            secrets,
            watched,
            reader: Reader::new(MAX_BODY_BYTES, MAX_READING),
            rate: Rate::per_minute(MAX_PER_MINUTE),
        }
    }

    fn woken(&self, push: &Push) -> Vec<&ClusterName> {
        let named = |cluster: &ClusterName| {
            push.cluster
                .as_deref()
                .is_none_or(|name| name == cluster.as_str())
        };
        let moved = |branch: &str| {
            let watched = format!("refs/heads/{branch}");
            push.refs
                .as_ref()
                .is_none_or(|refs| refs.contains(&watched))
        };
        self.watched
            .iter()
            .filter(|(cluster, branch)| named(cluster) && moved(branch))
            .map(|(cluster, _)| cluster)
            .collect()
    }
}

pub async fn git<Q: EventQueue>(
    State(hook): State<Arc<Hook<Q>>>,
    request: Request<Body>,
) -> Answer {
    match hook.take(request).await {
        Ok(answer) | Err(answer) => answer,
    }
}

impl<Q: EventQueue> Hook<Q> {
    async fn take(&self, request: Request<Body>) -> Result<Answer, Answer> {
        let (parts, body) = request.into_parts();
        let body = self.reader.read(body).await?;
        let signature = parts.headers.get("x-windlass-signature");
        let signature = signature.map(axum::http::HeaderValue::as_bytes);
        self.secrets
            .verify(signature, &body)
            .await
            .map_err(denied)?;
        if !self.rate.admit() {
            let words = format!("more than {MAX_PER_MINUTE} hooks a minute");
            return Err((StatusCode::TOO_MANY_REQUESTS, words));
        }
        let delivery = delivery(&parts.headers)?;
        let push: Push = serde_json::from_slice(&body).map_err(|error| {
            refuse(
                StatusCode::BAD_REQUEST,
                &format!("the body is not as expected: {error}"),
            )
        })?;
        let woken = self.woken(&push);
        if woken.is_empty() {
            return Ok((StatusCode::OK, "nothing here watches that\n".to_owned()));
        }
        let mut answer = String::new();
        for cluster in woken {
            answer += &self.publish(cluster, &delivery).await?;
        }
        Ok((StatusCode::ACCEPTED, answer))
    }

    async fn publish(&self, cluster: &ClusterName, delivery: &str) -> Result<String, Answer> {
        let id = format!("hook:{cluster}:{delivery}");
        let event = Event::new(EventKind::Moved, "/hooks/git", cluster, id);
        match self.queue.publish(&event).await {
            Ok(Published::New) => Ok(format!("{cluster}: woken\n")),
            Ok(Published::Known) => Ok(format!("{cluster}: this delivery is known\n")),
            Err(error) => {
                tracing::error!(%cluster, %error, "a hook could not be queued");
                let words = "the queue failed; send it again";
                Err(refuse(StatusCode::SERVICE_UNAVAILABLE, words))
            }
        }
    }
}

pub(super) fn denied(denied: Denied) -> Answer {
    let status = match denied {
        Denied::NoSecret => StatusCode::SERVICE_UNAVAILABLE,
        Denied::Missing | Denied::Malformed | Denied::Wrong | Denied::Stale => {
            StatusCode::UNAUTHORIZED
        }
    };
    tracing::warn!(%denied, "a hook was refused");
    refuse(status, &denied.to_string())
}

fn delivery(headers: &HeaderMap) -> Result<String, Answer> {
    let id = headers
        .get("x-windlass-delivery")
        .and_then(|value| value.to_str().ok())
        .filter(|id| !id.is_empty() && id.len() <= MAX_DELIVERY_BYTES);
    id.map(str::to_owned).ok_or_else(|| {
        let words =
            "the header X-Windlass-Delivery must hold 1 to 128 plain characters, new for each push";
        refuse(StatusCode::BAD_REQUEST, words)
    })
}

#[cfg(test)]
#[path = "hook_tests.rs"]
mod tests;
