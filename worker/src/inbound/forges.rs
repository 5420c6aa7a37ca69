//! `POST /hooks/{gitea,forgejo,github,gitlab}`: a forge says that a branch moved or that a request may have changed.
//! Whoever watches that project is woken; what the delivery says is not passed on, but for numbers that say where to
//! look.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use windlass_core::ids::ClusterName;

use super::body::{Answer, Reader, refuse};
use super::delivery::{Asked, Project, Told};
use super::hook::denied;
use super::rate::Rate;
use super::signature::{Denied, Proof, Secrets};
use super::{gitlab, hub};
use crate::queue::{Event, EventKind, EventQueue, Published};

/// A push of two thousand commits has megabytes. What is larger is found by polling.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
const MAX_READING: usize = 8;
const MAX_PER_MINUTE: u32 = 240;
const MAX_DELIVERY_BYTES: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    Gitea,
    Forgejo,
    GitHub,
    GitLab,
}

/// One watched cluster, as a delivery may speak of it.
#[derive(Debug, Clone)]
pub struct Watch {
    pub cluster: ClusterName,
    pub branch: String,
    /// The repository's URL as the worker fetches it.
    pub url: String,
    /// Its project, where a forge is configured: then requests are looked at.
    pub project: Option<String>,
}

/// Takes the deliveries of one kind of forge.
#[derive(Debug)]
pub struct ForgeHook<Q> {
    sender: Sender,
    shared: Arc<Shared<Q>>,
}

/// What the hooks of all forges have together.
#[derive(Debug)]
pub struct Shared<Q> {
    queue: Q,
    secrets: Secrets,
    watched: Vec<Watch>,
    reader: Reader,
    rate: Rate,
}

impl<Q> Shared<Q> {
    pub fn new(queue: Q, secrets: Secrets, watched: Vec<Watch>) -> Self {
        Self {
            queue,
            secrets,
            watched,
            reader: Reader::new(MAX_BODY_BYTES, MAX_READING),
            rate: Rate::per_minute(MAX_PER_MINUTE),
        }
    }
}

impl<Q> ForgeHook<Q> {
    pub fn new(sender: Sender, shared: Arc<Shared<Q>>) -> Self {
        Self { sender, shared }
    }
}

pub async fn take<Q: EventQueue>(
    State(hook): State<Arc<ForgeHook<Q>>>,
    request: Request<Body>,
) -> Answer {
    match hook.take(request).await {
        Ok(answer) | Err(answer) => answer,
    }
}

impl Sender {
    pub fn path(self) -> &'static str {
        match self {
            Self::Gitea => "/hooks/gitea",
            Self::Forgejo => "/hooks/forgejo",
            Self::GitHub => "/hooks/github",
            Self::GitLab => "/hooks/gitlab",
        }
    }

    fn proof(self, headers: &HeaderMap, now: Timestamp) -> Result<Proof, Denied> {
        let field = |names: &[&str]| {
            let found = names.iter().find_map(|name| headers.get(*name));
            found.map(|value| value.as_bytes().to_vec())
        };
        match self {
            Self::GitHub => Proof::prefixed(field(&["x-hub-signature-256"]).as_deref()),
            Self::Gitea => Proof::hex(field(&["x-gitea-signature"]).as_deref()),
            // The newer name counts: a wrong one is not made good by the older.
            Self::Forgejo => {
                Proof::hex(field(&["x-forgejo-signature", "x-gitea-signature"]).as_deref())
            }
            Self::GitLab => gitlab::proof(headers, now),
        }
    }

    /// Names of headers with the delivery's id, the best first. GitLab's event id is the same for every hook.
    fn delivery(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &["x-github-delivery"],
            Self::Gitea => &["x-gitea-delivery"],
            Self::Forgejo => &["x-forgejo-delivery", "x-gitea-delivery"],
            Self::GitLab => &["webhook-id", "idempotency-key", "x-gitlab-event-uuid"],
        }
    }

    fn read(self, headers: &HeaderMap, body: &Value) -> (Project, Told) {
        let names: &[&str] = match self {
            Self::GitLab => return (gitlab::about(body), gitlab::told(body)),
            Self::GitHub => &["x-github-event"],
            Self::Gitea => &["x-gitea-event"],
            Self::Forgejo => &["x-forgejo-event", "x-gitea-event"],
        };
        let event = header_of(headers, names).unwrap_or_default();
        (hub::about(body), hub::told(event, body))
    }
}

impl<Q: EventQueue> ForgeHook<Q> {
    async fn take(&self, request: Request<Body>) -> Result<Answer, Answer> {
        let shared = &self.shared;
        let (parts, body) = request.into_parts();
        // Who shows nothing is turned away before a byte of the body is read.
        let proof = self.sender.proof(&parts.headers, Timestamp::now());
        let proof = proof.map_err(denied)?;
        let body = shared.reader.read(body).await?;
        shared.secrets.accept(&proof, &body).await.map_err(denied)?;
        if !shared.rate.admit() {
            let words = format!("more than {MAX_PER_MINUTE} hooks a minute");
            return Err(refuse(StatusCode::TOO_MANY_REQUESTS, &words));
        }
        let form = header_of(&parts.headers, &[header::CONTENT_TYPE.as_str()])
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if form {
            let words = "set the webhook's content type to application/json";
            return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, words));
        }
        let read: Value = serde_json::from_slice(&body)
            .map_err(|_| refuse(StatusCode::BAD_REQUEST, "the body is not JSON"))?;
        let id = self.delivery(&parts.headers, &body)?;
        let (project, told) = self.sender.read(&parts.headers, &read);
        self.wake(&project, &told, &id).await
    }

    fn delivery(&self, headers: &HeaderMap, body: &[u8]) -> Result<String, Answer> {
        let names = self.sender.delivery();
        match header_of(headers, names) {
            Some(id) if !id.is_empty() && id.len() <= MAX_DELIVERY_BYTES => Ok(id.to_owned()),
            // Old versions of GitLab give none; the same body is then the same event.
            None if self.sender == Sender::GitLab => {
                let digest = Sha256::digest(body);
                Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
            }
            _ => {
                let words = format!("the header {} must hold 1 to 128 characters", names[0]);
                Err(refuse(StatusCode::BAD_REQUEST, &words))
            }
        }
    }

    async fn wake(&self, project: &Project, told: &Told, id: &str) -> Result<Answer, Answer> {
        let mut answer = String::new();
        for watch in &self.shared.watched {
            if let Some(event) = self.event(watch, project, told, id) {
                answer += &self.publish(&event).await?;
            }
        }
        if answer.is_empty() {
            return Ok((StatusCode::OK, "nothing here watches that\n".to_owned()));
        }
        Ok((StatusCode::ACCEPTED, answer))
    }

    fn event(&self, watch: &Watch, project: &Project, told: &Told, id: &str) -> Option<Event> {
        let named = watch.project.as_deref();
        let named = named.is_some_and(|name| name.eq_ignore_ascii_case(&project.name));
        if !named && !project.is_at(&watch.url) {
            return None;
        }
        let (source, cluster) = (self.sender.path(), &watch.cluster);
        let id = format!("hook:{cluster}:{id}");
        match told {
            Told::Push(moved) if *moved == format!("refs/heads/{}", watch.branch) => {
                Some(Event::new(EventKind::Moved, source, cluster, id))
            }
            Told::Request(asked) if watch.project.is_some() && asked.concerns(&watch.branch) => {
                let event = Event::new(EventKind::Request, source, cluster, id);
                Some(event.with(asked.data()))
            }
            Told::Nothing | Told::Push(_) | Told::Request(_) => None,
        }
    }

    async fn publish(&self, event: &Event) -> Result<String, Answer> {
        let cluster = &event.subject;
        match self.shared.queue.publish(event).await {
            Ok(Published::New) => Ok(format!("{cluster}: woken\n")),
            Ok(Published::Known) => Ok(format!("{cluster}: this delivery is known\n")),
            Err(error) => {
                tracing::error!(%cluster, %error, "a forge's hook could not be queued");
                let words = "the queue failed; send it again";
                Err(refuse(StatusCode::SERVICE_UNAVAILABLE, words))
            }
        }
    }
}

impl Asked {
    fn concerns(&self, branch: &str) -> bool {
        self.branches.is_empty() || self.branches.iter().any(|named| named == branch)
    }

    fn data(&self) -> Value {
        match self.comment {
            Some(comment) => json!({ "request": self.number, "comment": comment }),
            None => json!({ "request": self.number }),
        }
    }
}

fn header_of<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    let found = names.iter().find_map(|name| headers.get(*name));
    found.and_then(|value| value.to_str().ok())
}

#[cfg(test)]
#[path = "forges_payloads.rs"]
mod payloads;
#[cfg(test)]
#[path = "forges_tests.rs"]
mod tests;
