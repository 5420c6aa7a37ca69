//! What rendering needs and Git must not hold: private keys and shared secrets. The edge gives them; a value
//! is never shown, so the type has no way to print itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::acme::Lifetime;
use crate::model::Model;
use crate::model::names::{CertName, HostName};

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

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// In hexadecimal digits, so that a gate can tell the new one from the old.
    pub serial: String,
    pub names: Vec<CertName>,
    pub lifetime: Lifetime,
    /// By the clock of whoever read it.
    pub expired: bool,
}

impl Said {
    pub fn covers(&self, host: &HostName) -> bool {
        self.names.iter().any(|name| name.covers(host))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Materials {
    /// Certificate's name → PEM: chain and key.
    pub certificates: BTreeMap<String, SecretText>,
    /// Certificate's name → what it says of itself; not of stand-ins.
    pub said: BTreeMap<String, Said>,
    pub secrets: BTreeMap<String, SecretText>,
    /// Secrets that the repository has, encrypted for someone else than us.
    pub sealed: BTreeSet<String>,
    /// Certificates that are to be ordered, and of which there is none yet.
    pub pending: BTreeSet<String>,
    /// Certificates that were ordered and are in force, also those that nobody names any more: where a host's own does not
    /// cover it yet, one of them that does serves it meanwhile.
    pub ordered: BTreeSet<String>,
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
            said: BTreeMap::new(),
            pending: BTreeSet::new(),
            ordered: BTreeSet::new(),
            stand_in_certificate,
        }
    }

    /// Adds what lies on the shelf of those that the worker orders. Until one that is wanted is there, one that was given
    /// as a file serves; without either it is pending.
    pub fn add_ordered(&mut self, model: &Model, shelf: BTreeMap<String, (SecretText, Said)>) {
        for (name, (pem, said)) in shelf {
            let definition = model.certificates.get(name.as_str());
            let is_ordered = definition.is_some_and(|own| own.acme.is_some());
            if !said.expired && (is_ordered || definition.is_none()) {
                self.ordered.insert(name.clone());
            }
            if is_ordered || self.ordered.contains(&name) {
                self.certificates.insert(name.clone(), pem);
                self.said.insert(name, said);
            }
        }
        for (name, own) in &model.certificates {
            if own.acme.is_some() && !self.certificates.contains_key(name.as_str()) {
                self.pending.insert(name.to_string());
            }
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
