//! Where finished certificates lie: `<state>/certificates/<cluster>/<name>.pem`, chain and key, mode 0600, in place at
//! once or not at all. Rolls take them from here as they take those that are given by file.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown, lchown,
};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use windlass_core::ids::ClusterName;
use windlass_core::materials::SecretText;
use windlass_core::model::names::Label;

use super::leaf::{self, Leaf};
use crate::materials::AtRest;

/// The folder of one cluster.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
    at_rest: AtRest,
}

impl Shelf {
    pub fn new(state: &Path, cluster: &ClusterName) -> Self {
        Self {
            folder: state.join("certificates").join(cluster.as_str()),
            at_rest: AtRest::default(),
        }
    }

    /// A folder of somebody's own.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            at_rest: AtRest::default(),
        }
    }

    /// What is put here from now on is sealed first.
    pub fn at_rest(self, at_rest: AtRest) -> Self {
        Self { at_rest, ..self }
    }

    /// Seals what lies here from a time before there was anything to seal it to.
    pub fn seal(&self) -> Result<(), String> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return Ok(());
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let is_ours = path.extension().is_some_and(|extension| extension == "pem");
            if is_ours && self.at_rest.seals() && !text.is_empty() && !AtRest::is_sealed(&text) {
                self.write(&path, &SecretText::new(&text))?;
            }
        }
        Ok(())
    }

    /// Holds the cluster's orders still until the returned file is closed: whoever replaces a key or a certificate by
    /// hand must not do so in the middle of an order. `None`: somebody else holds them.
    pub fn claim(&self) -> Result<Option<File>, String> {
        let path = self.folder.with_extension("lock");
        let opened = self.make_folder().and_then(|()| {
            // The folder is the worker's, and root may be who asks: whatever it put there is not followed.
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(false);
            let lock = options.custom_flags(libc::O_NOFOLLOW).open(&path)?;
            give_to_owner_above(&path)?;
            Ok(lock)
        });
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
        self.write(&file, pem)?;
        Ok(file)
    }

    /// As `put_whole`, unless one lies here that was issued later; whether it was put.
    pub fn put_newer(&self, certificate: &Label, pem: &SecretText) -> Result<bool, String> {
        let new = Leaf::read(pem.reveal())?;
        let here = self.leaf(certificate).ok().flatten();
        if here.is_some_and(|here| here.der == new.der || here.lifetime.from > new.lifetime.from) {
            return Ok(false);
        }
        self.put_whole(certificate, pem).map(|_| true)
    }

    fn write(&self, file: &Path, pem: &SecretText) -> Result<(), String> {
        let failed = |why: String| format!("{} cannot be written: {why}", file.display());
        let text = self.at_rest.seal(pem);
        let text = text.map_err(|error| failed(error.to_string()))?;
        self.persist(file, &text)
            .map_err(|error| failed(error.to_string()))
    }

    /// The worker must be able to write where a command of root's came first.
    fn make_folder(&self) -> std::io::Result<()> {
        let above = self.folder.ancestors();
        let missing: Vec<&Path> = above
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        for folder in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => made.and_then(|()| give_to_owner_above(folder))?,
            }
        }
        Ok(())
    }

    fn persist(&self, file: &Path, text: &str) -> std::io::Result<()> {
        self.make_folder()?;
        let mut new = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.folder)?;
        new.as_file()
            .set_permissions(Permissions::from_mode(0o600))?;
        new.write_all(text.as_bytes())?;
        // The worker must be able to read what root puts here for it.
        let folder = std::fs::metadata(&self.folder)?;
        if folder.uid() != new.as_file().metadata()?.uid() {
            fchown(new.as_file(), Some(folder.uid()), Some(folder.gid()))?;
        }
        new.as_file().sync_all()?;
        new.persist(file)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Removes it if it has expired; whether nothing lies here any more.
    pub fn remove_expired(&self, certificate: &Label) -> Result<bool, String> {
        let Some(leaf) = self.leaf(certificate)? else {
            return Ok(true);
        };
        if Timestamp::now() < leaf.lifetime.until {
            return Ok(false);
        }
        let file = self.file(certificate);
        let removed = std::fs::remove_file(&file);
        removed.map_err(|error| format!("{} cannot be removed: {error}", file.display()))?;
        Ok(true)
    }

    /// Chain and key of a certificate, if there is one that can be read.
    pub fn get(&self, certificate: &Label) -> Result<Option<SecretText>, String> {
        let file = self.file(certificate);
        match std::fs::read_to_string(&file) {
            Ok(text) => match self.at_rest.open(&text) {
                Ok(pem) => Ok(Some(pem)),
                Err(error) => Err(format!("{} cannot be decrypted: {error}", file.display())),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
        }
    }

    pub fn leaf(&self, certificate: &Label) -> Result<Option<Leaf>, String> {
        let pem = self.get(certificate)?;
        pem.map(|pem| Leaf::read(pem.reveal())).transpose()
    }
}

/// What root made belongs to whoever owns the folder that it lies in.
fn give_to_owner_above(path: &Path) -> std::io::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = std::fs::metadata(above.unwrap_or_else(|| Path::new(".")))?;
    let own = std::fs::symlink_metadata(path)?;
    if own.uid() == 0 && above.uid() != 0 {
        lchown(path, Some(above.uid()), Some(above.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_leads_elsewhere_is_not_followed() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(state.path(), &"example".parse().unwrap());
        let victim = state.path().join("victim");
        std::fs::create_dir(state.path().join("certificates")).unwrap();
        let lock = shelf.folder().with_extension("lock");
        std::os::unix::fs::symlink(&victim, lock).unwrap();
        shelf.claim().unwrap_err();
        assert!(!victim.exists());
    }

    /// `sudo windlass cert …` before the worker's first order.
    #[test]
    fn what_root_makes_belongs_to_the_worker() {
        let state = tempfile::tempdir().unwrap();
        if std::fs::metadata(state.path()).unwrap().uid() != 0 {
            return;
        }
        lchown(state.path(), Some(65534), Some(65534)).unwrap();
        let shelf = Shelf::new(state.path(), &"example".parse().unwrap());
        drop(shelf.claim().unwrap().unwrap());
        for made in [
            "certificates",
            "certificates/example",
            "certificates/example.lock",
        ] {
            let made = std::fs::metadata(state.path().join(made)).unwrap();
            assert_eq!((made.uid(), made.gid()), (65534, 65534));
        }
    }
}
