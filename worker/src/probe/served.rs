//! The certificate that a server really serves, also where a client would refuse it: for people and metrics, not for
//! gates.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::tcp;
use super::trust::{self, Trust};

/// What was served.
#[derive(Debug, Clone)]
pub struct Seen {
    pub leaf: CertificateDer<'static>,
    /// What a client would have against it.
    pub problem: Option<String>,
}

pub(super) async fn look(
    connect: SocketAddr,
    host: &str,
    trust: &Trust,
    timeout: Duration,
) -> Result<Seen, String> {
    let server = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host:?} is not a host name"))?;
    let Some(inner) = &trust.judge else {
        return Err("this machine trusts no certificate authority at all: install ca-certificates, or give a file of them".to_owned());
    };
    let judge = Arc::new(Remembering {
        inner: Arc::clone(inner),
        against: Mutex::default(),
    });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS version is usable: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&judge) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let stream = tcp::connect(connect, timeout).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = tokio::time::timeout(timeout, connector.connect(server, stream))
        .await
        .map_err(|_| format!("TLS: {}", tcp::no_answer(timeout)))?
        .map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            inner.map_or_else(|| tcp::words(&error), trust::words)
        })?;
    let (_, session) = stream.get_ref();
    let leaf = session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or("no certificate was served")?;
    let problem = judge
        .against
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    Ok(Seen {
        leaf: leaf.clone().into_owned(),
        problem,
    })
}

/// Judges as any client does, remembers the judgement, and goes on: nothing is sent over these connections.
#[derive(Debug)]
struct Remembering {
    inner: Arc<WebPkiServerVerifier>,
    against: Mutex<Option<String>>,
}

impl ServerCertVerifier for Remembering {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let against = judged.err().map(|error| trust::words(&error));
        *self.against.lock().unwrap_or_else(PoisonError::into_inner) = against;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
