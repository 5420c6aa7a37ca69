//! What rendering needs and Git must not hold: private keys and shared secrets. The edge gives them; a value
//! is never shown, so the type has no way to print itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// A secret text. `Debug` shows only that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<str>);

impl SecretText {
    pub fn new(value: &str) -> Self {
        Self(Arc::from(value))
    }

    /// The value, for a template's context and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Stands in for a missing secret: base64, so that programs that read keys accept it, and plainly no key.
pub const STAND_IN_SECRET: &str = "d2luZGxhc3Mtc3RhbmQtaW4tbm90LWEta2V5LTEyMzQ=";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Materials {
    /// Certificate's name → PEM: chain and key.
    pub certificates: BTreeMap<String, SecretText>,
    pub secrets: BTreeMap<String, SecretText>,
    /// Secrets that the repository has, encrypted for someone else than us.
    pub sealed: BTreeSet<String>,
    /// Certificate's name → its serial in hexadecimal digits, so that a gate can tell the new one from the old.
    pub serials: BTreeMap<String, String>,
    /// Certificates that are being ordered: until they are there, their sites are served without TLS.
    pub pending: BTreeSet<String>,
    /// The PEM for certificates that are missing: self-signed, made by the worker when it starts, so that
    /// checks can run. It is part of a release's digest only where something is missing, and such a bundle
    /// is never rolled.
    pub stand_in_certificate: SecretText,
}

impl Materials {
    /// Nothing but stand-ins.
    pub fn none(stand_in_certificate: SecretText) -> Self {
        Self {
            certificates: BTreeMap::new(),
            secrets: BTreeMap::new(),
            sealed: BTreeSet::new(),
            serials: BTreeMap::new(),
            pending: BTreeSet::new(),
            stand_in_certificate,
        }
    }

    /// The text without any secret value that a template's error message may have quoted.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let values = self.certificates.values().chain(self.secrets.values());
        values
            .flat_map(|secret| secret.reveal().lines())
            .map(str::trim)
            .filter(|line| line.len() >= 6 && !line.starts_with("-----"))
            .fold(text.to_owned(), |text, line| text.replace(line, "…"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_printed() {
        let mut materials = Materials::none(SecretText::new("stand-in-pem"));
        let key = SecretText::new("hunter2hunter2");
        materials.secrets.insert("xfer_key".to_owned(), key);
        let shown = format!("{materials:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("stand-in-pem"));
        assert_eq!(materials.scrub("is hunter2hunter2!"), "is …!");
    }
}
