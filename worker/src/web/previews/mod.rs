//! `GET /previews/{id}`: the full preview, server-rendered, readable without JavaScript; there is none. Whoever has the
//! address can read it, so its id cannot be guessed. What comes from a request is escaped by the template, and
//! the policy below lets the browser load our style sheet and nothing else.

mod drawing;
mod lines;
mod view;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tera::{Context, Tera};
use windlass_core::preview::Preview;

use crate::store::Store;
use view::View;

const PAGE: &str = "preview.html";
const TEMPLATE: &str = include_str!("preview.html");
const STYLE: &str = include_str!("preview.css");

const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "private, no-store"),
];

pub fn router(store: Store) -> Router {
    Router::new()
        .route("/previews/style.css", get(style))
        .route("/previews/{id}", get(page))
        .with_state(store)
}

async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], HEADERS, STYLE).into_response()
}

async fn page(State(store): State<Store>, Path(id): Path<String>) -> Response {
    let answer = match store.preview(&id).await {
        Ok(Some(preview)) => html(&preview),
        Ok(None) => {
            let gone = "There is no such preview, or it was too old to be kept.\n";
            return (StatusCode::NOT_FOUND, HEADERS, gone).into_response();
        }
        Err(error) => Err(error.into()),
    };
    match answer {
        Ok(page) => (HEADERS, Html(page)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a preview could not be shown");
            let failed = "The preview could not be shown; the worker's log has more.\n";
            (StatusCode::INTERNAL_SERVER_ERROR, HEADERS, failed).into_response()
        }
    }
}

/// Escapes by the template's name, which ends in `.html`.
fn html(preview: &Preview) -> anyhow::Result<String> {
    let mut tera = Tera::default();
    tera.add_raw_template(PAGE, TEMPLATE)?;
    let context = Context::from_serialize(&View::of(preview))?;
    Ok(tera.render(PAGE, &context)?)
}

#[cfg(test)]
mod tests;
