//! The keys a cluster needs, made anew for each: a CA with a wildcard certificate, and the TSIG key of the zone
//! transfers. Nothing secret is ever a fixture.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io::Write};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

pub(super) struct Keys {
    pub(super) certificates: PathBuf,
    pub(super) secrets: PathBuf,
    /// The root that clients trust.
    pub(super) ca: PathBuf,
}

impl Keys {
    pub(super) fn make(dir: &Path, domain: &str) -> anyhow::Result<Self> {
        let keys = Self {
            certificates: dir.join("certificates"),
            secrets: dir.join("secrets"),
            ca: dir.join("ca.pem"),
        };
        for folder in [&keys.certificates, &keys.secrets] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        ca.distinguished_name
            .push(rcgen::DnType::CommonName, "Windlass demo CA");
        let root = ca.self_signed(&ca_key)?;
        fs::write(&keys.ca, root.pem())?;

        let leaf_key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(vec![format!("*.{domain}"), domain.to_owned()])?;
        leaf.distinguished_name
            .push(rcgen::DnType::CommonName, domain);
        let certificate = leaf.signed_by(&leaf_key, &Issuer::new(ca, ca_key))?;
        let pem = format!("{}{}", certificate.pem(), leaf_key.serialize_pem());
        private(&keys.certificates.join("wildcard.pem"), pem.as_bytes())?;

        let tsig = std::process::Command::new("openssl")
            .args(["rand", "-base64", "32"])
            .output()?;
        anyhow::ensure!(tsig.status.success(), "openssl rand failed");
        private(&keys.secrets.join("xfer_key"), &tsig.stdout)?;
        Ok(keys)
    }
}

pub(super) fn private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
        .with_context(|| format!("cannot write {}", path.display()))
}
