//! Where finished certificates lie: `<state>/certificates/<cluster>/<name>.pem`, chain and key, mode 0600, in place at
//! once or not at all. Rolls take them from here as they take those that are given by file.

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown};
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

    /// A folder of somebody's own.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
        }
    }

    /// Holds the cluster's orders still until the returned file is closed: whoever replaces a key or a certificate by
    /// hand must not do so in the middle of an order. `None`: somebody else holds them.
    pub fn claim(&self) -> Result<Option<File>, String> {
        let path = self.folder.with_extension("lock");
        let opened = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .and_then(|()| File::create(&path));
        let lock = opened.map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(format!("{} cannot be locked: {error}", path.display()))
            }
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
        let text = format!("{}\n{}\n", chain.trim_end(), key.reveal().trim_end());
        self.put_whole(certificate, &SecretText::new(&text))?;
        Ok(leaf)
    }

    /// As `put`, with both in one text that is known to be good. The file where it lies.
    pub fn put_whole(&self, certificate: &Label, pem: &SecretText) -> Result<PathBuf, String> {
        let file = self.file(certificate);
        self.write(&file, pem)
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        Ok(file)
    }

    fn write(&self, file: &Path, pem: &SecretText) -> std::io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let mut new = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.folder)?;
        new.as_file()
            .set_permissions(Permissions::from_mode(0o600))?;
        new.write_all(pem.reveal().as_bytes())?;
        // The worker must be able to read what root puts here for it.
        let folder = std::fs::metadata(&self.folder)?;
        if folder.uid() != new.as_file().metadata()?.uid() {
            fchown(new.as_file(), Some(folder.uid()), Some(folder.gid()))?;
        }
        new.as_file().sync_all()?;
        new.persist(file)?;
        File::open(&self.folder)?.sync_all()
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
