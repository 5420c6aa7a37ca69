//! Proves that a hook comes from someone who knows the shared secret.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A shorter secret could be guessed from one observed request.
const MIN_SECRET_BYTES: usize = 16;

/// The files with the secrets that are valid now. They are read for every request, so that replacing a secret
/// needs no restart; two may be valid while senders are changed over.
#[derive(Debug, Clone)]
pub struct Secrets {
    files: Vec<PathBuf>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("the request bears no signature")]
    Missing,
    #[error("the signature is not of the form that is expected here")]
    Malformed,
    #[error("the signature does not match the body")]
    Wrong,
    #[error("the signature's time is more than five minutes away from ours")]
    Stale,
    /// Ours to mend, not the sender's.
    #[error("no secret can be read on the worker")]
    NoSecret,
}

/// What a sender shows to prove that it knows the secret.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    /// HMAC-SHA-256 of the body.
    Body([u8; 32]),
    /// As standardwebhooks.com says: of the id, the time and the body; one of these digests.
    Stamped {
        before: String,
        digests: Vec<[u8; 32]>,
    },
    /// The secret itself.
    Token(Vec<u8>),
}

impl Proof {
    /// `sha256=<hex>`.
    pub fn prefixed(header: Option<&[u8]>) -> Result<Self, Denied> {
        let digits = header.ok_or(Denied::Missing)?.strip_prefix(b"sha256=");
        Self::hex(Some(digits.ok_or(Denied::Malformed)?))
    }

    /// Hexadecimal digits alone.
    pub fn hex(header: Option<&[u8]>) -> Result<Self, Denied> {
        let digits = header.ok_or(Denied::Missing)?;
        decode(digits).map(Self::Body).ok_or(Denied::Malformed)
    }

    /// Compares in constant time.
    fn holds(&self, secret: &[u8], body: &[u8]) -> bool {
        match self {
            Self::Body(digest) => mac(secret, &[body]).is_some_and(|mac| equal(mac, digest)),
            Self::Stamped { before, digests } => digests.iter().any(|digest| {
                let key = standard_key(secret);
                mac(&key, &[before.as_bytes(), body]).is_some_and(|mac| equal(mac, digest))
            }),
            Self::Token(token) => {
                // Digests are compared, not the texts: neither length nor any shared beginning shows.
                let wanted = mac(secret, &[secret]).map(|mac| mac.finalize().into_bytes().into());
                let given = mac(secret, &[token]);
                given
                    .zip(wanted)
                    .is_some_and(|(given, wanted)| equal(given, &wanted))
            }
        }
    }
}

impl Secrets {
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { files }
    }

    /// Checks `sha256=<hex>` over exactly these bytes, in constant time.
    pub async fn verify(&self, header: Option<&[u8]>, body: &[u8]) -> Result<(), Denied> {
        self.accept(&Proof::prefixed(header)?, body).await
    }

    /// Whether the proof is of one of the secrets that are valid now.
    pub async fn accept(&self, proof: &Proof, body: &[u8]) -> Result<(), Denied> {
        let mut usable = false;
        for file in &self.files {
            let Some(secret) = read(file).await else {
                continue;
            };
            usable = true;
            if proof.holds(&secret, body) {
                return Ok(());
            }
        }
        Err(if usable {
            Denied::Wrong
        } else {
            Denied::NoSecret
        })
    }
}

async fn read(file: &PathBuf) -> Option<Vec<u8>> {
    let secret = match tokio::fs::read(file).await {
        Ok(bytes) => bytes.trim_ascii().to_vec(),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "cannot read a secret");
            return None;
        }
    };
    if secret.len() < MIN_SECRET_BYTES {
        tracing::warn!(
            file = %file.display(),
            "a hook secret has fewer than {MIN_SECRET_BYTES} characters and is not used"
        );
        return None;
    }
    Some(secret)
}

fn mac(secret: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    Some(parts.iter().fold(mac, |mac, part| mac.chain_update(part)))
}

fn equal(mac: Hmac<Sha256>, digest: &[u8; 32]) -> bool {
    mac.verify_slice(digest).is_ok()
}

/// GitLab shows a signing secret as `whsec_` and base64 of the key; other secrets are the key as they stand.
fn standard_key(secret: &[u8]) -> Vec<u8> {
    let encoded = secret.strip_prefix(b"whsec_");
    encoded
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .unwrap_or_else(|| secret.to_vec())
}

fn decode(digits: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf %s '{}' | openssl dgst -sha256 -hmac 'correct horse battery staple'`
    const SIGNED: &str = "sha256=ea0a7029e49045b7f35eb49cfd742be15bbc7cb767208ecfe1fab26bda5cdbe8";

    fn secrets(texts: &[&str]) -> (tempfile::TempDir, Secrets) {
        let dir = tempfile::tempdir().unwrap();
        let files = texts.iter().enumerate().map(|(n, text)| {
            let file = dir.path().join(n.to_string());
            std::fs::write(&file, text).unwrap();
            file
        });
        let secrets = Secrets::new(files.collect());
        (dir, secrets)
    }

    #[tokio::test]
    async fn openssl_and_we_agree_on_a_signature() {
        let (_dir, secrets) = secrets(&["correct horse battery staple\n"]);
        assert_eq!(secrets.verify(Some(SIGNED.as_bytes()), b"{}").await, Ok(()));
        let upper = SIGNED.to_uppercase().replace("SHA", "sha");
        assert_eq!(secrets.verify(Some(upper.as_bytes()), b"{}").await, Ok(()));
        let other = secrets.verify(Some(SIGNED.as_bytes()), b"{} ").await;
        assert_eq!(other, Err(Denied::Wrong));
    }

    #[tokio::test]
    async fn either_of_two_secrets_is_valid_while_one_is_replaced() {
        let (dir, secrets) =
            secrets(&["the secret that comes next", "correct horse battery staple"]);
        assert_eq!(secrets.verify(Some(SIGNED.as_bytes()), b"{}").await, Ok(()));
        std::fs::write(dir.path().join("1"), "the old secret is gone now").unwrap();
        let gone = secrets.verify(Some(SIGNED.as_bytes()), b"{}").await;
        assert_eq!(gone, Err(Denied::Wrong));
    }

    #[tokio::test]
    async fn malformed_signatures_and_missing_secrets_are_told_apart() {
        let (dir, secrets) = secrets(&["correct horse battery staple"]);
        assert_eq!(secrets.verify(None, b"{}").await, Err(Denied::Missing));
        let long = format!("{SIGNED}0");
        let signs = SIGNED.replace("sha256=", "sha256=+").replacen('0', "", 1);
        for header in [
            "",
            "sha256=",
            "sha1=00",
            "sha256=zz",
            &long,
            &signs,
            "sha256=\u{e9}",
        ] {
            let denied = secrets.verify(Some(header.as_bytes()), b"{}").await;
            assert_eq!(denied, Err(Denied::Malformed), "{header}");
        }
        for useless in ["short", "", "               "] {
            std::fs::write(dir.path().join("0"), useless).unwrap();
            let denied = secrets.verify(Some(SIGNED.as_bytes()), b"{}").await;
            assert_eq!(denied, Err(Denied::NoSecret));
        }
    }
}
