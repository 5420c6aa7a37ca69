//! What a stranger's templates get in the place of certificates and secrets: which there are, and nothing of what is
//! in them. Equal stubs make equal files of equal definitions, so that a secret file that a request leaves alone is
//! seen to be the same.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use windlass_core::materials::{Materials, Said, SecretText};
use windlass_core::model::Model;
use windlass_core::sealed;
use windlass_core::snapshot::Snapshot;

use crate::materials::{self, Directories};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stubs {
    /// A self-signed certificate with its key, made when the worker started and used for nothing else.
    stand_in: String,
    /// With what each says of itself: what is rendered follows from names and age, and both are public.
    certificates: BTreeMap<String, Said>,
    secrets: BTreeSet<String>,
    /// Whether the worker decrypts those of the repository.
    decrypts: bool,
    /// Certificates that the worker ordered; absent where it orders none.
    ordered: Option<BTreeMap<String, Said>>,
}

impl Stubs {
    /// The names of what the worker has.
    pub(super) fn of(directories: &Directories) -> anyhow::Result<Self> {
        let (materials, _) = materials::load(directories)?;
        let shelf = directories.ordered.as_deref().map(materials::shelf);
        let said = |shelf: BTreeMap<String, (SecretText, Said)>| {
            let shelf = shelf.into_iter();
            shelf.map(|(name, (_, said))| (name, said)).collect()
        };
        Ok(Self {
            stand_in: materials.stand_in_certificate.reveal().to_owned(),
            certificates: materials.said,
            secrets: materials.secrets.into_keys().collect(),
            decrypts: !directories.age_identities.is_empty(),
            ordered: shelf.map(said),
        })
    }

    pub(super) fn materials(&self, model: &Model, snapshot: &Snapshot) -> Materials {
        let stand_in = SecretText::new(&self.stand_in);
        let mut materials = Materials::none(stand_in.clone());
        let names = self.certificates.keys();
        materials.certificates = names.map(|name| (name.clone(), stand_in.clone())).collect();
        materials.said.clone_from(&self.certificates);
        // Another one for each, so that a file that is made from another secret is seen to change.
        let names = self.secrets.iter();
        let stubs = names.map(|name| (name.clone(), stub(name.as_bytes())));
        materials.secrets = stubs.collect();
        for sealed in sealed::all(snapshot) {
            let name = sealed.name.to_owned();
            if !self.decrypts {
                materials.sealed.insert(name);
            } else {
                // Another one for another text, so that a secret that the request replaces is seen to change.
                let stub = stub(sealed.armored);
                materials.secrets.entry(name).or_insert(stub);
            }
        }
        for (name, certificate) in &model.certificates {
            let Some(secret) = &certificate.secret else {
                continue;
            };
            let name = name.to_string();
            materials.said.remove(&name);
            match materials.secrets.get(secret.as_str()) {
                Some(_) => materials.certificates.insert(name, stand_in.clone()),
                None => materials.certificates.remove(&name),
            };
        }
        if let Some(ordered) = &self.ordered {
            let shelf = ordered.iter();
            let shelf = shelf.map(|(name, said)| (name.clone(), (stand_in.clone(), said.clone())));
            materials.add_ordered(model, shelf.collect());
        }
        materials
    }
}

fn stub(of: &[u8]) -> SecretText {
    SecretText::new(&STANDARD.encode(Sha256::digest(of)))
}

#[cfg(test)]
mod tests {
    use windlass_core::model;

    use super::*;

    const CLUSTER: &str = "name: example\ndomain: example.org\nnetworks: { public: 10.80.0.0/24 }\norder: [vps1]\nedge: { role: edge, network: public }\n";
    const NODE: &str = "roles: [edge]\naddresses: { public: 10.80.0.1 }\nssh:\n  network: public\n  host_keys:\n    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n";

    /// What the templates see of `secrets/key.age` with this body.
    fn seen(body: &str, decrypts: bool) -> Materials {
        let armored = format!(
            "-----BEGIN AGE ENCRYPTED FILE-----\n{body}\n-----END AGE ENCRYPTED FILE-----\n"
        );
        let files = [
            ("cluster.yaml", CLUSTER),
            ("nodes/vps1.yaml", NODE),
            ("secrets/key.age", armored.as_str()),
        ];
        let snapshot = Snapshot::of_texts("c", files);
        let model = model::load(&snapshot).model.unwrap();
        let mut stubs = Stubs::of(&Directories::default()).unwrap();
        stubs.decrypts = decrypts;
        stubs.materials(&model, &snapshot)
    }

    #[test]
    fn an_encrypted_secret_that_a_request_replaces_is_seen_to_change() {
        let key = |materials: Materials| materials.secrets["key"].reveal().to_owned();
        let (one, another) = (key(seen("YWdl", true)), key(seen("Ymdl", true)));
        assert_ne!(one, another);
        assert_eq!(one, key(seen("YWdl", true)));
        assert_eq!(STANDARD.decode(one).unwrap().len(), 32);
        let without = seen("YWdl", false);
        assert!(without.secrets.is_empty() && without.sealed.contains("key"));
    }
}
