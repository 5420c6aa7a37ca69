//! A Git server whose certificate comes from a private authority: its repository names the authority, and then no
//! other is good enough. libgit2 could only be told for all repositories at once.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

/// Whether the certificate that the host showed was signed by a certificate of this file.
pub(super) fn verify(file: &Path, certificate: &[u8], host: &str) -> Result<(), String> {
    let unusable = |why: String| format!("cannot use {}: {why}", file.display());
    let mut roots = RootCertStore::empty();
    let authorities =
        CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))?;
    for authority in authorities {
        let authority = authority.map_err(|error| unusable(error.to_string()))?;
        roots
            .add(authority)
            .map_err(|error| unusable(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    verifier
        .verify_server_cert(&certificate.into(), &[], &name, &[], UnixTime::now())
        .map(drop)
        .map_err(|error| format!("its certificate does not come from `ca_file`: {error}"))
}
