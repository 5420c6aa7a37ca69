//! How authorities are spoken to: https with the roots that the repository names or the machine's, bounded in time and
//! size. Remembers when a busy authority says to come back, which the ACME library does not pass on.

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

const TIMEOUT: Duration = Duration::from_secs(30);
/// No answer of an authority is larger, chains with many names included.
const MAX_BODY: usize = 1024 * 1024;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: reqwest::Client,
    again: Arc<Mutex<Option<Timestamp>>>,
}

impl Transport {
    /// Trusts the roots in `root` alone, or the machine's.
    pub(super) fn new(root: Option<&str>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match root {
            None => drop(
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
            ),
            Some(pem) => {
                for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let root =
                        root.map_err(|error| format!("the authority's root is not PEM: {error}"))?;
                    roots
                        .add(root)
                        .map_err(|error| format!("the authority's root is unusable: {error}"))?;
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("no TLS version is usable: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| format!("no https is possible: {error}"))?;
        Ok(Self {
            client,
            again: Arc::default(),
        })
    }

    /// When the authority last said to come back, if it did.
    pub(super) fn again(&self) -> Option<Timestamp> {
        *self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(Body::new(body), MAX_BODY).await;
        let body = body.map_err(|error| Error::Other(error.into()))?;
        let url = parts.uri.to_string();
        let sent = self
            .client
            .request(parts.method, url)
            .headers(parts.headers)
            .body(body);
        let mut response = sent.send().await.map_err(|error| other(&error))?;
        let busy = matches!(
            response.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        if busy && let Some(again) = retry_after(response.headers()) {
            *self.again.lock().unwrap_or_else(PoisonError::into_inner) = Some(again);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| other(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_BODY {
                return Err(Error::Other("the authority's answer has no end".into()));
            }
        }
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = response.status();
        parts.headers = response.headers().clone();
        Ok(BytesResponse {
            parts,
            body: Box::new(Bytes::from(bytes)),
        })
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send(request))
    }
}

/// reqwest's own words only say that the request failed; the innermost reason says why.
fn other(error: &reqwest::Error) -> Error {
    let mut words = error.to_string();
    let mut inner = error.source();
    while let Some(reason) = inner {
        words = reason.to_string();
        inner = reason.source();
    }
    if error.is_timeout() {
        words = format!("no answer within {} s", TIMEOUT.as_secs());
    }
    Error::Other(words.into())
}

/// Seconds, or a date (RFC 9110).
fn retry_after(headers: &HeaderMap) -> Option<Timestamp> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<i64>() {
        Ok(seconds) => Timestamp::now()
            .checked_add(SignedDuration::from_secs(seconds.clamp(0, 30 * 86_400)))
            .ok(),
        Err(_) => jiff::fmt::rfc2822::parse(value)
            .ok()
            .map(|zoned| zoned.timestamp()),
    }
}
