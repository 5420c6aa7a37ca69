//! Pages and tags, as all forges have them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Value, json};

/// A question to the REST interface.
pub(super) struct Question {
    pub(super) method: String,
    /// Below `/api/v…`, split at its slashes.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Question {
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let mut query = self.query.iter();
        query
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.body[key].as_str().unwrap_or_default().to_owned()
    }
}

pub(super) enum Answer {
    One(StatusCode, Value),
    List(Vec<Value>),
}

pub(super) fn ok(body: Value) -> Answer {
    Answer::One(StatusCode::OK, body)
}

pub(super) fn missing() -> Answer {
    Answer::One(StatusCode::NOT_FOUND, json!({ "message": "Not Found" }))
}

pub(super) fn refuse(status: StatusCode, message: &str) -> Answer {
    Answer::One(status, json!({ "message": message }))
}

impl Answer {
    pub(super) fn respond(self, question: &Question, most: usize) -> Response<Body> {
        match self {
            Self::One(status, body) if status == StatusCode::OK => tagged(question, body, None),
            Self::One(status, body) => plain(status, body),
            Self::List(items) => {
                let wanted = question
                    .query("per_page")
                    .or_else(|| question.query("limit"));
                let size = wanted
                    .and_then(|it| it.parse().ok())
                    .map_or(most, |it: usize| it.min(most));
                let page: usize = question
                    .query("page")
                    .and_then(|it| it.parse().ok())
                    .unwrap_or(1);
                let more = page * size < items.len();
                let items = items
                    .into_iter()
                    .skip((page - 1) * size)
                    .take(size)
                    .collect();
                // The link is to a host of the forge's own idea, which nobody must follow.
                let link = format!("<https://evil.invalid/?page={}>; rel=\"next\"", page + 1);
                tagged(question, Value::Array(items), more.then_some(link))
            }
        }
    }
}

fn tagged(question: &Question, body: Value, link: Option<String>) -> Response<Body> {
    let mut hasher = DefaultHasher::new();
    body.to_string().hash(&mut hasher);
    let tag = format!("W/\"{:x}\"", hasher.finish());
    let known = question.headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return plain(StatusCode::NOT_MODIFIED, Value::Null);
    }
    let mut response = plain(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag.parse().unwrap());
    if let Some(link) = link {
        headers.insert(header::LINK, link.parse().unwrap());
    }
    response
}

pub(super) fn plain(status: StatusCode, body: Value) -> Response<Body> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    response.body(Body::from(body)).unwrap()
}
