//! A request to exactly one node, whatever DNS says and whatever proxy this machine's environment names: the
//! URL's host goes into SNI and `Host`, the connection goes to the gate's address. Redirects are answers, not
//! instructions.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{HOST, LOCATION};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use windlass_core::gate::HttpProbe;

use super::tcp;
use super::trust::{self, Trust};

const MAX_BODY: usize = 256 * 1024;

pub(super) async fn probe(
    wanted: &HttpProbe,
    trust: &Trust,
    timeout: Duration,
) -> Result<String, String> {
    let (url, host) = target(&wanted.url, wanted.connect)?;
    let client = client(&url, wanted, trust, timeout).map_err(|error| words(&error, timeout))?;
    let request = client.get(url).header(HOST, host);
    let response = request
        .send()
        .await
        .map_err(|error| words(&error, timeout))?;
    let seen = seen(&response);
    if !wanted.status.contains(&response.status().as_u16()) {
        return Err(seen);
    }
    let Some(part) = &wanted.body else {
        return Ok(seen);
    };
    let body = body(response)
        .await
        .map_err(|error| words(&error, timeout))?;
    if String::from_utf8_lossy(&body).contains(part.as_str()) {
        Ok(seen)
    } else {
        Err(format!("{seen}, but the body lacks {part:?}"))
    }
}

/// The URL with the gate's port (and address, where it names none), and what belongs into `Host`.
fn target(url: &str, connect: SocketAddr) -> Result<(Url, String), String> {
    let invalid = |_| format!("{url:?} is not a URL that can be probed");
    let mut target = Url::parse(url).map_err(|error| format!("{url:?}: {error}"))?;
    let Some(host) = target.host_str().map(str::to_owned) else {
        return Err(format!("{url:?} has no host"));
    };
    let authority = match target.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    if target.domain().is_none() {
        target.set_ip_host(connect.ip()).map_err(invalid)?;
    }
    target.set_port(Some(connect.port())).map_err(invalid)?;
    Ok((target, authority))
}

fn client(
    url: &Url,
    wanted: &HttpProbe,
    trust: &Trust,
    timeout: Duration,
) -> reqwest::Result<Client> {
    let builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(timeout)
        .pool_max_idle_per_host(0)
        .user_agent("windlass");
    let builder = match url.domain() {
        Some(domain) => builder.resolve(domain, wanted.connect),
        None => builder,
    };
    let builder = if wanted.verify {
        builder.tls_backend_preconfigured((*trust.verified).clone())
    } else {
        builder.tls_danger_accept_invalid_certs(true)
    };
    builder.build()
}

fn seen(response: &Response) -> String {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or("");
    let seen = format!("{} {reason}", status.as_u16());
    let location = response.headers().get(LOCATION);
    match location.and_then(|to| to.to_str().ok()) {
        Some(to) if is_redirect(status) => format!("{seen} to {to}"),
        _ => seen.trim_end().to_owned(),
    }
}

fn is_redirect(status: StatusCode) -> bool {
    status.is_redirection()
}

async fn body(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            break;
        }
    }
    Ok(body)
}

/// The innermost reason: reqwest's own words only say that the request failed.
fn words(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return tcp::no_answer(timeout);
    }
    let mut innermost: &dyn Error = error;
    let mut next = Some(innermost);
    while let Some(reason) = next {
        innermost = reason;
        if let Some(tls) = reason.downcast_ref::<rustls::Error>() {
            return trust::words(tls);
        }
        // An io::Error hides what it wraps from `source`.
        let io = reason.downcast_ref::<std::io::Error>();
        next = match io.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => reason.source(),
        };
    }
    match innermost.downcast_ref::<std::io::Error>() {
        Some(io) => tcp::words(io),
        None => innermost.to_string(),
    }
}
