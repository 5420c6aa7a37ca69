//! Decrypts the secrets that the repository holds. What is encrypted for others only stays a stand-in, so that
//! whoever has no key can still look; what should open and does not is an error.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use windlass_core::codes::checks;
use windlass_core::finding::{Finding, Findings, Location};
use windlass_core::ids::Digest;
use windlass_core::materials::{Materials, SecretText};
use windlass_core::sealed::{self, Sealed};
use windlass_core::snapshot::Snapshot;

use super::age::{self, AgeError};

/// What was decrypted before, by the digest of what it was encrypted to: each decryption is a process.
#[derive(Debug, Default)]
pub struct Opened(Mutex<BTreeMap<Digest, SecretText>>);

impl Opened {
    fn open(&self, sealed: &Sealed<'_>, identities: &[PathBuf]) -> Result<SecretText, AgeError> {
        let digest = Digest::of(sealed.armored);
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = known().get(&digest) {
            return Ok(secret.clone());
        }
        let secret = age::open(sealed.armored, identities)?;
        known().insert(digest, secret.clone());
        Ok(secret)
    }

    /// Forgets what this snapshot does not hold any more.
    fn keep(&self, snapshot: &Snapshot) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_empty() {
            let there: Vec<Digest> = sealed::all(snapshot)
                .map(|sealed| Digest::of(sealed.armored))
                .collect();
            known.retain(|digest, _| there.contains(digest));
        }
    }
}

/// Adds the repository's secrets to those of the worker's directory.
pub fn add(
    snapshot: &Snapshot,
    identities: &[PathBuf],
    opened: &Opened,
    materials: &mut Materials,
) -> Findings {
    let mut findings = Findings::default();
    opened.keep(snapshot);
    for sealed in sealed::all(snapshot) {
        let at = Location::file(sealed.path);
        if materials.secrets.contains_key(sealed.name) {
            let message = format!(
                "the secret `{}` is also a file in the worker's directory of secrets, which is used",
                sealed.name
            );
            let twice = Finding::warning(checks::SECRET_TWICE, message).at(at);
            findings.push(twice.hint("delete one of them"));
            continue;
        }
        if identities.is_empty() {
            materials.sealed.insert(sealed.name.to_owned());
            continue;
        }
        match opened.open(&sealed, identities) {
            Ok(secret) => {
                materials.secrets.insert(sealed.name.to_owned(), secret);
            }
            Err(AgeError::NotForUs) => {
                materials.sealed.insert(sealed.name.to_owned());
            }
            Err(error) => findings.push(unreadable(&error).at(at)),
        }
    }
    findings
}

fn unreadable(error: &AgeError) -> Finding {
    let message = format!("the secret cannot be decrypted: {error}");
    let finding = Finding::error(checks::SECRET_UNREADABLE, message);
    finding.hint(match error {
        AgeError::Missing => "apt install age",
        AgeError::Unusable => "write it anew with `windlass secret set`",
        _ => "look whether the identity files can be read, and whether the secret came through whole; `windlass secret set` writes it anew",
    })
}
