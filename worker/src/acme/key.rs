//! Private keys of certificates and the requests signed with them. A key is made once for each order. ring makes no
//! RSA keys, so those come from the `openssl` program, over a pipe.

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::process::Command;
use windlass_core::materials::SecretText;
use windlass_core::model::KeyType;
use windlass_core::model::names::CertName;

/// A new private key, PEM (PKCS #8).
pub(super) async fn make(kind: KeyType) -> Result<SecretText, String> {
    let algorithm = match kind {
        KeyType::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyType::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        KeyType::Rsa2048 => return rsa("2048").await,
        KeyType::Rsa4096 => return rsa("4096").await,
    };
    let key = KeyPair::generate_for(algorithm)
        .map_err(|error| format!("no key could be made: {error}"))?;
    Ok(SecretText::new(&key.serialize_pem()))
}

async fn rsa(bits: &str) -> Result<SecretText, String> {
    let made = Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt"])
        .arg(format!("rsa_keygen_bits:{bits}"))
        .env_clear()
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("an RSA key needs the program openssl: {error}"))?;
    let pem = String::from_utf8(made.stdout).unwrap_or_default();
    if !made.status.success() || KeyPair::from_pem(&pem).is_err() {
        return Err(format!("openssl made no RSA key: {}", made.status));
    }
    Ok(SecretText::new(&pem))
}

/// A certificate signing request (DER) for the names.
pub(super) fn request(key: &SecretText, names: &[CertName]) -> Result<Vec<u8>, String> {
    let broken = |error: rcgen::Error| format!("no request could be made: {error}");
    let key = KeyPair::from_pem(key.reveal()).map_err(broken)?;
    let names: Vec<String> = names.iter().map(|name| name.as_str().to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(broken)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(broken)?;
    Ok(request.der().to_vec())
}
