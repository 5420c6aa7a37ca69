//! The worker's HTTP server: hooks, health, metrics, the API and answers to certificate authorities. Everything but the
//! hooks and what takes the API's token only reads.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::challenge;
use super::commands::{self, Commands};
use super::forges::{self, ForgeHook, Sender};
use super::hook::{self, Hook};
use crate::challenges::Challenges;
use crate::queue::EventQueue;
use crate::web::api::{self, Api};
use crate::web::{certificates, metrics, previews};

pub fn router<Q: EventQueue + 'static>(
    api: Arc<Api<Q>>,
    commands: Arc<Commands<Q>>,
    hooks: Option<Hooks<Q>>,
    challenges: Challenges,
) -> Router {
    let previews = previews::router(api.store.clone());
    let reading = Router::new()
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz::<Q>))
        .route("/metrics", get(metrics::metrics::<Q>))
        .route("/api/v1/clusters", get(api::clusters::<Q>))
        .route("/api/v1/clusters/{cluster}", get(api::cluster::<Q>))
        .route(
            "/api/v1/clusters/{cluster}/certificates",
            get(certificates::of_cluster::<Q>),
        )
        .route("/api/v1/rolls", get(api::rolls::<Q>))
        .route("/api/v1/rolls/{id}", get(api::roll::<Q>))
        .route("/api/v1/events", get(api::events::<Q>))
        .route("/api/v1/events/{id}", get(api::event::<Q>))
        .with_state(api)
        .merge(commands::router(commands))
        .merge(previews)
        .merge(challenge::router(challenges));
    match hooks {
        Some(hooks) => reading.merge(posts(hooks)),
        None => reading,
    }
}

/// The hooks of bare repositories and of forges.
pub struct Hooks<Q> {
    pub git: Arc<Hook<Q>>,
    pub forges: Arc<forges::Shared<Q>>,
}

fn posts<Q: EventQueue + 'static>(hooks: Hooks<Q>) -> Router {
    let git = Router::new().route("/hooks/git", post(hook::git::<Q>));
    let senders = [
        Sender::Gitea,
        Sender::Forgejo,
        Sender::GitHub,
        Sender::GitLab,
    ];
    senders
        .into_iter()
        .fold(git.with_state(hooks.git), |router, sender| {
            let hook = Arc::new(ForgeHook::new(sender, Arc::clone(&hooks.forges)));
            let route = Router::new().route(sender.path(), post(forges::take::<Q>));
            router.merge(route.with_state(hook))
        })
}
