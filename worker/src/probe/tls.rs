//! The served certificate, as a client sees it: what is on the node's disk does not matter, only what is served.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::tcp;
use super::trust::{self, Trust};

/// What must be served.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) days_left: u32,
    /// In hexadecimal digits; `None`: any.
    pub(super) serial: Option<&'a str>,
}

pub(super) async fn probe(
    address: SocketAddr,
    wanted: &Wanted<'_>,
    trust: &Trust,
    timeout: Duration,
) -> Result<String, String> {
    let name = wanted.name;
    // A wildcard is not a name that a client can ask for; any name below it is.
    let asked = match name.strip_prefix("*.") {
        Some(parent) => format!("windlass.{parent}"),
        None => name.to_owned(),
    };
    let server = ServerName::try_from(asked).map_err(|_| format!("{name:?} is not a host name"))?;
    let stream = tcp::connect(address, timeout).await?;
    let connector = TlsConnector::from(trust.verified.clone());
    let stream = tokio::time::timeout(timeout, connector.connect(server, stream))
        .await
        .map_err(|_| format!("TLS: {}", tcp::no_answer(timeout)))?
        .map_err(|error| handshake(&error))?;
    let (_, session) = stream.get_ref();
    let served = session.peer_certificates().and_then(|chain| chain.first());
    let served = served.ok_or("no certificate was served")?;
    let (_, served) = X509Certificate::from_der(served)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let left = served.validity().time_to_expiration();
    let days = left.map_or(0, |left| left.whole_days());
    if days < i64::from(wanted.days_left) {
        return Err(format!("the certificate expires in {days} days"));
    }
    let serial: String = served
        .raw_serial()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if let Some(other) = wanted.serial.filter(|other| *other != serial) {
        return Err(format!(
            "another certificate is served: {serial}, not {other}"
        ));
    }
    Ok(format!("valid for {days} more days"))
}

fn handshake(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.map_or_else(|| tcp::words(error), trust::words)
}
