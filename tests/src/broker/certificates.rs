//! An authority of the broker's own, with a certificate for the broker and one for its clients.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

/// Where the files are: PEM each.
#[derive(Debug, Clone)]
pub struct Certificates {
    pub authority: PathBuf,
    /// Chain and key in one file.
    pub client: PathBuf,
    pub(super) server: PathBuf,
    pub(super) server_key: PathBuf,
}

impl Certificates {
    /// `client` becomes the common name of the clients' certificate.
    pub fn make(dir: &Path, client: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        name(&mut params, "broker authority");
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);

        let mut params = CertificateParams::new(["localhost".into(), "127.0.0.1".into()])?;
        name(&mut params, "broker");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let server = params.signed_by(&server_key, &issuer)?;

        let mut params = CertificateParams::new(Vec::new())?;
        name(&mut params, client);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client_key = KeyPair::generate()?;
        let client = params.signed_by(&client_key, &issuer)?;

        let write = |file: &str, pem: String| -> Result<PathBuf> {
            let path = dir.join(file);
            fs::write(&path, pem)?;
            Ok(path)
        };
        Ok(Self {
            authority: write("authority.pem", authority.pem())?,
            client: write("client.pem", client.pem() + &client_key.serialize_pem())?,
            server: write("server.pem", server.pem())?,
            server_key: write("server.key", server_key.serialize_pem())?,
        })
    }
}

fn name(params: &mut CertificateParams, name: &str) {
    params.distinguished_name.push(DnType::CommonName, name);
}
