//! What a stranger's templates get in the place of certificates and secrets: which there are, and nothing of what is
//! in them. Equal stubs make equal files of equal definitions, so that a secret file that a request leaves alone is
//! seen to be the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use windlass_core::materials::{Materials, STAND_IN_SECRET, SecretText};
use windlass_core::model::Model;

use crate::materials::{self, Directories};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stubs {
    /// A self-signed certificate with its key, made when the worker started and used for nothing else.
    stand_in: String,
    certificates: BTreeSet<String>,
    secrets: BTreeSet<String>,
    /// Certificates that the worker ordered; absent where it orders none.
    ordered: Option<BTreeSet<String>>,
}

impl Stubs {
    /// The names of what the worker has.
    pub(super) fn of(directories: &Directories) -> anyhow::Result<Self> {
        let (materials, _) = materials::load(directories)?;
        let ordered = directories.ordered.as_deref().map(|dir| {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names
                .filter_map(|name| name.strip_suffix(".pem").map(str::to_owned))
                .collect()
        });
        Ok(Self {
            stand_in: materials.stand_in_certificate.reveal().to_owned(),
            certificates: materials.certificates.into_keys().collect(),
            secrets: materials.secrets.into_keys().collect(),
            ordered,
        })
    }

    pub(super) fn materials(&self, model: &Model) -> Materials {
        let stand_in = SecretText::new(&self.stand_in);
        let mut materials = Materials::none(stand_in.clone());
        let named = |names: &BTreeSet<String>, text: &SecretText| -> BTreeMap<String, SecretText> {
            let names = names.iter();
            names.map(|name| (name.clone(), text.clone())).collect()
        };
        materials.certificates = named(&self.certificates, &stand_in);
        materials.secrets = named(&self.secrets, &SecretText::new(STAND_IN_SECRET));
        let Some(ordered) = &self.ordered else {
            return materials;
        };
        for (name, certificate) in &model.certificates {
            let name = name.as_str();
            if certificate.acme.is_none() {
                continue;
            }
            if ordered.contains(name) {
                let text = stand_in.clone();
                materials.certificates.insert(name.to_owned(), text);
            } else if !materials.certificates.contains_key(name) {
                materials.pending.insert(name.to_owned());
            }
        }
        materials
    }
}
