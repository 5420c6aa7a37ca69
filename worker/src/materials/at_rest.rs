//! What the worker writes down of private keys: sealed to its own age identities where it has some, else as it is, in
//! files of mode 0600. Each sealing and opening is a process, so what was opened once is remembered.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windlass_core::ids::Digest;
use windlass_core::materials::SecretText;

use super::age::{self, AgeError};

const ARMOR: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
/// Beyond this everything remembered is forgotten: it is opened again where it is needed.
const REMEMBERED: usize = 512;

/// Cheap to clone; the clones remember together.
#[derive(Debug, Clone, Default)]
pub struct AtRest {
    identities: Arc<[PathBuf]>,
    opened: Arc<Mutex<BTreeMap<Digest, SecretText>>>,
}

impl AtRest {
    pub fn new(identities: &[PathBuf]) -> Self {
        Self {
            identities: identities.into(),
            opened: Arc::default(),
        }
    }

    pub fn is_sealed(text: &str) -> bool {
        text.starts_with(ARMOR)
    }

    /// Whether there is an identity to seal to.
    pub fn seals(&self) -> bool {
        !self.identities.is_empty()
    }

    /// The text as it is to be written. Blocks for some milliseconds.
    pub fn seal(&self, secret: &SecretText) -> Result<String, AgeError> {
        if self.identities.is_empty() {
            return Ok(secret.reveal().to_owned());
        }
        let armored = age::seal_for_us(secret, &self.identities)?;
        let armored = String::from_utf8(armored).map_err(|_| AgeError::Unusable)?;
        self.remember(Digest::of(armored.as_bytes()), secret);
        Ok(armored)
    }

    /// What was written: one that was not sealed yet is taken as it is.
    pub fn open(&self, text: &str) -> Result<SecretText, AgeError> {
        if !Self::is_sealed(text) {
            return Ok(SecretText::new(text));
        }
        let digest = Digest::of(text.as_bytes());
        if let Some(known) = self.lock().get(&digest) {
            return Ok(known.clone());
        }
        if self.identities.is_empty() {
            return Err(AgeError::NotForUs);
        }
        let secret = age::open_whole(text.as_bytes(), &self.identities)?;
        self.remember(digest, &secret);
        Ok(secret)
    }

    fn remember(&self, digest: Digest, secret: &SecretText) {
        let mut opened = self.lock();
        if opened.len() >= REMEMBERED {
            opened.clear();
        }
        opened.insert(digest, secret.clone());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, SecretText>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_identity_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let identity = |name: &str| {
            let file = dir.path().join(name);
            let made = Command::new("age-keygen").arg("-o").arg(&file).output();
            assert!(made.unwrap().status.success());
            AtRest::new(&[file])
        };
        let (ours, theirs) = (identity("ours"), identity("theirs"));
        let secret = SecretText::new("-----BEGIN PRIVATE KEY-----\nhunter2\n");
        let sealed = ours.seal(&secret).unwrap();
        assert!(AtRest::is_sealed(&sealed) && !sealed.contains("hunter2"));
        // A worker that has just started remembers nothing.
        let again = AtRest::new(&ours.identities);
        assert_eq!(again.open(&sealed).unwrap(), secret);
        assert!(matches!(theirs.open(&sealed), Err(AgeError::NotForUs)));
        let none = AtRest::default();
        assert!(matches!(none.open(&sealed), Err(AgeError::NotForUs)));
        assert_eq!(none.seal(&secret).unwrap(), secret.reveal());
        assert_eq!(ours.open(secret.reveal()).unwrap(), secret);
    }
}
