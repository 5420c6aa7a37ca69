//! Where finished certificates lie: `<state>/certificates/<cluster>/<name>.pem`, chain and key, mode 0600, in place at
//! once or not at all. Rolls take them from here as they take those that are given by file.

use std::fs::{DirBuilder, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use windlass_core::ids::ClusterName;
use windlass_core::materials::SecretText;
use windlass_core::model::names::Label;

use super::leaf::{self, Leaf};

/// The folder of one cluster.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    pub fn new(state: &Path, cluster: &ClusterName) -> Self {
        Self {
            folder: state.join("certificates").join(cluster.as_str()),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, certificate: &Label) -> PathBuf {
        self.folder.join(format!("{certificate}.pem"))
    }

    /// Puts chain and key in place of what was there.
    pub fn put(&self, certificate: &Label, chain: &str, key: &SecretText) -> Result<Leaf, String> {
        leaf::fits(chain, key.reveal())?;
        let leaf = Leaf::read(chain)?;
        let file = self.file(certificate);
        self.write(&file, chain, key)
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        Ok(leaf)
    }

    fn write(&self, file: &Path, chain: &str, key: &SecretText) -> std::io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let mut new = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.folder)?;
        new.as_file()
            .set_permissions(Permissions::from_mode(0o600))?;
        writeln!(new, "{}\n{}", chain.trim_end(), key.reveal().trim_end())?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        std::fs::File::open(&self.folder)?.sync_all()
    }

    /// Chain and key of a certificate, if there is one that can be read.
    pub fn get(&self, certificate: &Label) -> Result<Option<SecretText>, String> {
        let file = self.file(certificate);
        match std::fs::read_to_string(&file) {
            Ok(pem) => Ok(Some(SecretText::new(&pem))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
        }
    }

    pub fn leaf(&self, certificate: &Label) -> Result<Option<Leaf>, String> {
        let pem = self.get(certificate)?;
        pem.map(|pem| Leaf::read(pem.reveal())).transpose()
    }
}
