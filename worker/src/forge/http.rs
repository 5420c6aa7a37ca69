//! Asks a forge over HTTPS. Bounded in time and size; never follows a redirect or a link of an answer, so the token
//! goes to the configured forge alone. An answer that did not change since it was asked last is not sent again.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, LINK,
    RETRY_AFTER,
};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::ports::forge::ForgeError;

const ONE_TRY: Duration = Duration::from_secs(20);
/// All tries of one question together.
const DEADLINE: Duration = Duration::from_secs(60);
/// A forge that wants us to wait longer is asked again by a later event.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Lists of a hundred requests or comments with their texts.
const MAX_BODY: usize = 16 * 1024 * 1024;
const MAX_PAGES: u32 = 100;
/// How long GitHub wants to be left alone after a burst, where it does not say.
const BURST_SECONDS: i64 = 60;
/// Its answers say which commit a merge made; those of 2026-03-10 need not. GitHub keeps a version for two years after the next.
const GITHUB_VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");
/// Answers that are remembered for their tags, and the largest of them.
const MAX_REMEMBERED: usize = 200;
const MAX_REMEMBERED_BODY: usize = 512 * 1024;

/// How a forge wants to see the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// `Authorization: Bearer`
    Bearer,
    /// `Authorization: token`
    Token,
    /// `PRIVATE-TOKEN`
    Private,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    /// `https://git.example.org/api/v1`
    base: String,
    login: Login,
    token: PathBuf,
    remembered: Arc<Mutex<BTreeMap<String, Remembered>>>,
}

#[derive(Debug, Clone)]
struct Remembered {
    tag: HeaderValue,
    answer: Answer,
}

#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) body: Value,
    pub(super) headers: HeaderMap,
    /// There is another page.
    more: bool,
}

/// `None`: there is no such thing, or the token may not see it.
pub(super) type Answered = Result<Option<Answer>, ForgeError>;

impl Http {
    pub(super) fn new(
        base: String,
        login: Login,
        token: PathBuf,
        authorities: Option<&[u8]>,
    ) -> Result<Self, String> {
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(ONE_TRY)
            .user_agent("windlass");
        let builder = if base.starts_with("http://") {
            // This machine itself, whatever proxy the environment names.
            builder.no_proxy()
        } else {
            builder.tls_backend_preconfigured(trust(authorities)?)
        };
        let client = builder.build();
        let client = client.map_err(|error| format!("no https is possible: {error}"))?;
        Ok(Self {
            client,
            base,
            login,
            token,
            remembered: Arc::default(),
        })
    }

    pub(super) async fn get(&self, path: &str) -> Answered {
        self.patient(Method::GET, path, None).await
    }

    /// Something that may be done twice.
    pub(super) async fn put(&self, method: Method, path: &str, body: &Value) -> Answered {
        self.patient(method, path, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answered {
        self.patient(Method::DELETE, path, None).await
    }

    /// The first page of a list.
    pub(super) async fn page(&self, path: &str) -> Result<Option<Vec<Value>>, ForgeError> {
        let answer = self.get(path).await?;
        answer
            .map(|answer| match answer.body {
                Value::Array(items) => Ok(items),
                _ => Err(ForgeError::Refused(format!("{path} gives no list"))),
            })
            .transpose()
    }

    /// Something that must not be done twice: where no answer came, nobody knows whether it was done.
    pub(super) async fn once(&self, path: &str, body: &Value) -> Answered {
        self.send(&Method::POST, path, Some(body)).await
    }

    /// All pages of a list. `path` has its question mark already.
    pub(super) async fn list(&self, path: &str) -> Result<Option<Vec<Value>>, ForgeError> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let Some(answer) = self.get(&format!("{path}&page={page}")).await? else {
                return Ok(None);
            };
            let Value::Array(items) = answer.body else {
                return Err(ForgeError::Refused(format!("{path} gives no list")));
            };
            all.extend(items);
            if !answer.more {
                break;
            }
        }
        Ok(Some(all))
    }

    async fn patient(&self, method: Method, path: &str, body: Option<&Value>) -> Answered {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(300))
            .with_max_times(3)
            .with_jitter();
        let asking = (|| self.send(&method, path, body))
            .retry(pauses)
            .when(|error| matches!(error, ForgeError::Away { .. }))
            .adjust(|error, pause| match error {
                ForgeError::Away {
                    again: Some(again), ..
                } if *again > LONGEST_WAIT => None,
                ForgeError::Away {
                    again: Some(again), ..
                } => pause.map(|_| *again),
                _ => pause,
            });
        let asked = tokio::time::timeout(DEADLINE, asking).await;
        asked.unwrap_or_else(|_| Err(away(format!("no answer within {DEADLINE:?}"), None)))
    }

    async fn send(&self, method: &Method, path: &str, body: Option<&Value>) -> Answered {
        let token = self.read_token().await?;
        let url = format!("{}{path}", self.base);
        let known = self.known(method, &url);
        let (name, value) = self.login.header(&token)?;
        let mut request = self
            .client
            .request(method.clone(), &url)
            .header(name, value);
        request = request.header(ACCEPT, "application/json");
        if self.login == Login::Bearer {
            request = request.header(GITHUB_VERSION.0, GITHUB_VERSION.1);
        }
        if let Some(known) = &known {
            request = request.header(IF_NONE_MATCH, &known.tag);
        }
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.map_err(|error| unanswered(&error))?;
        match (response.status(), known) {
            (StatusCode::NOT_MODIFIED, Some(known)) => return Ok(Some(known.answer)),
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => return Ok(None),
            _ => {}
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = bounded(response).await?;
        if !status.is_success() {
            return Err(refusal(status, &headers, &bytes, &token));
        }
        let answer = Answer {
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            more: more(&headers),
            headers,
        };
        if method == Method::GET && bytes.len() <= MAX_REMEMBERED_BODY {
            self.remember(url, &answer);
        }
        Ok(Some(answer))
    }

    /// It is read for every question, so that replacing it needs no restart.
    async fn read_token(&self) -> Result<String, ForgeError> {
        let read = tokio::fs::read_to_string(&self.token).await;
        let path = self.token.display();
        match read {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Ok(_) => Err(ForgeError::Denied(format!("{path} is empty"))),
            Err(error) => Err(ForgeError::Denied(format!("cannot read {path}: {error}"))),
        }
    }

    fn known(&self, method: &Method, url: &str) -> Option<Remembered> {
        let remembered = self.remembered.lock();
        let remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        (method == Method::GET).then(|| remembered.get(url).cloned())?
    }

    fn remember(&self, url: String, answer: &Answer) {
        let Some(tag) = answer.headers.get(ETAG).cloned() else {
            return;
        };
        let remembered = self.remembered.lock();
        let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        let answer = answer.clone();
        remembered.insert(url, Remembered { tag, answer });
    }
}

/// This machine's roots, and those that are given.
fn trust(further: Option<&[u8]>) -> Result<ClientConfig, String> {
    let unusable = |why: String| format!("the forge's ca_file is unusable: {why}");
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for root in CertificateDer::pem_slice_iter(further.unwrap_or_default()) {
        let root = root.map_err(|error| unusable(error.to_string()))?;
        let added = roots.add(root);
        added.map_err(|error| unusable(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS version is usable: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

impl Login {
    fn header(self, token: &str) -> Result<(HeaderName, HeaderValue), ForgeError> {
        let (name, text) = match self {
            Self::Bearer => ("authorization", format!("Bearer {token}")),
            Self::Token => ("authorization", format!("token {token}")),
            Self::Private => ("private-token", token.to_owned()),
        };
        let value = HeaderValue::from_str(&text);
        let mut value =
            value.map_err(|_| ForgeError::Denied("the token's file holds no token".to_owned()))?;
        value.set_sensitive(true);
        Ok((HeaderName::from_static(name), value))
    }
}

/// Whether the list goes on. Where it does is not read: the next page's number is known.
fn more(headers: &HeaderMap) -> bool {
    let links = headers.get_all(LINK).iter();
    links
        .filter_map(|link| link.to_str().ok())
        .any(|link| link.contains("rel=\"next\""))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, ForgeError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_BODY {
            return Err(ForgeError::Refused("its answer has no end".to_owned()));
        }
    }
    Ok(bytes)
}

fn away(why: String, again: Option<Duration>) -> ForgeError {
    ForgeError::Away { why, again }
}

/// Without the URL, whose query is nobody's business.
fn unanswered(error: &reqwest::Error) -> ForgeError {
    if error.is_timeout() {
        return away("it took too long to answer".to_owned(), None);
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let why = if error.source().is_some() {
        cause.to_string()
    } else {
        "the connection failed".to_owned()
    };
    away(why, None)
}

fn refusal(status: StatusCode, headers: &HeaderMap, bytes: &[u8], token: &str) -> ForgeError {
    let said = said(bytes, token);
    let number = |name: &str| {
        let text = headers.get(name)?.to_str().ok()?;
        text.trim().parse::<i64>().ok()
    };
    let spent = number("x-ratelimit-remaining") == Some(0);
    // GitHub's limit on bursts may come without a header that says so, and with the time of another limit.
    let burst = !spent && said.contains("secondary rate limit");
    let busy = status == StatusCode::TOO_MANY_REQUESTS
        || (status == StatusCode::FORBIDDEN
            && (spent || burst || headers.contains_key(RETRY_AFTER)));
    if busy || status.is_server_error() {
        let reset = number("x-ratelimit-reset").or_else(|| number("ratelimit-reset"));
        let until = match reset {
            _ if burst => Some(BURST_SECONDS),
            Some(at) if busy => Some(at - Timestamp::now().as_second()),
            _ => None,
        };
        let seconds = number("retry-after").or(until);
        let again =
            seconds.map(|seconds| Duration::from_secs(seconds.clamp(1, 3600).unsigned_abs()));
        return away(format!("{status}{said}"), again);
    }
    match status {
        StatusCode::UNAUTHORIZED => ForgeError::Denied(format!(
            "the token is wrong, was revoked or has expired{said}"
        )),
        StatusCode::FORBIDDEN => ForgeError::Denied(format!("the token may not do that{said}")),
        _ => ForgeError::Refused(format!("{status}{said}")),
    }
}

/// What it says of itself, short, on one line, and never with the token.
fn said(bytes: &[u8], token: &str) -> String {
    let body: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let message = ["message", "error", "error_description"]
        .iter()
        .find_map(|key| body.get(key).filter(|it| !it.is_null()));
    let Some(message) = message else {
        return String::new();
    };
    let text = match message {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = text.replace(token, "…").replace(char::is_control, " ");
    format!(" ({})", text.chars().take(200).collect::<String>())
}
