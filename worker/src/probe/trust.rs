//! Whom probes believe: this machine's roots, plus a certificate authority given in the worker's configuration.
//! One rustls configuration for https and tls probes alike, so that both mean the same by "valid".

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};

#[derive(Debug, Clone)]
pub(super) struct Trust {
    pub(super) verified: Arc<ClientConfig>,
    /// `None`: there is no root to trust at all.
    pub(super) judge: Option<Arc<WebPkiServerVerifier>>,
}

impl Trust {
    pub(super) fn new(extra_ca: Option<&Path>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        // A machine without ca-certificates has none, which is fine where `extra_ca` says enough.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = extra_ca {
            let shown = file.display();
            let certificates = CertificateDer::pem_file_iter(file)
                .with_context(|| format!("reading certificate authorities from {shown}"))?;
            for certificate in certificates {
                let certificate = certificate.with_context(|| format!("{shown} is not PEM"))?;
                roots
                    .add(certificate)
                    .with_context(|| format!("{shown} holds an unusable certificate"))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let judge = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots.clone()),
            Arc::clone(&provider),
        );
        let judge = judge.build().ok();
        let verified = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("no TLS version is usable")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            verified: Arc::new(verified),
            judge,
        })
    }
}

/// What is wrong with a TLS handshake, for people.
pub(super) fn words(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(problem) = error else {
        return match error {
            rustls::Error::AlertReceived(alert) => format!("the server refused TLS: {alert:?}"),
            _ => format!("no TLS: {error}"),
        };
    };
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName => "the certificate is for other names".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("the certificate is for other names: {}", names(presented))
        }
        CertificateError::UnknownIssuer => {
            "the certificate's chain is incomplete, or ends in a root that is not trusted"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "a signature is wrong: the server's key is not the certificate's, or the chain is another's".to_owned()
        }
        CertificateError::Revoked => "the certificate is revoked".to_owned(),
        other => format!("the certificate is not valid: {other}"),
    }
}

/// `DnsName("a.example.org")` is how webpki writes a name.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| {
        let inner = name.split('"').nth(1);
        inner.unwrap_or(name).to_owned()
    };
    presented.iter().map(plain).collect::<Vec<_>>().join(", ")
}
