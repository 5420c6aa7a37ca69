//! Makes every path of the configuration absolute.

use std::path::{Path, PathBuf};

use super::Config;

/// systemd's `LoadCredential` puts files below a folder that only it knows.
pub const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY";

/// What paths of the configuration are taken from.
pub(super) struct Bases<'a> {
    /// The folder of the configuration file.
    pub(super) folder: &'a Path,
    pub(super) credentials: Option<&'a Path>,
}

impl Bases<'_> {
    pub(super) fn resolve(&self, config: &mut Config) -> Result<(), String> {
        self.path(&mut config.state)?;
        let ssh = &mut config.ssh.identity_file;
        let options = [
            ssh,
            &mut config.certificates,
            &mut config.secrets,
            &mut config.ca_file,
            &mut config.broker.password_file,
            &mut config.broker.ca_file,
            &mut config.broker.certificate_file,
        ];
        for path in options.into_iter().flatten() {
            self.path(path)?;
        }
        for path in &mut config.age_identities {
            self.path(path)?;
        }
        if let Some(hook) = &mut config.hook {
            for path in &mut hook.value.secret_files {
                self.path(path)?;
            }
        }
        if let Some(api) = &mut config.api {
            self.path(&mut api.value.token_file)?;
        }
        for cluster in &mut config.clusters {
            let repository = &mut cluster.value.repository;
            let files = [
                &mut repository.token_file,
                &mut repository.key_file,
                &mut repository.ca_file,
                &mut repository.signed_by,
            ];
            for path in files.into_iter().flatten() {
                self.path(path)?;
            }
            if let Some(forge) = &mut cluster.value.forge {
                self.path(&mut forge.token_file)?;
                if let Some(path) = &mut forge.ca_file {
                    self.path(path)?;
                }
            }
        }
        Ok(())
    }

    fn path(&self, path: &mut PathBuf) -> Result<(), String> {
        *path = match (path.strip_prefix(CREDENTIALS), self.credentials) {
            (Ok(rest), Some(credentials)) => credentials.join(rest),
            (Ok(_), None) => {
                return Err(format!(
                    "{} needs systemd's LoadCredential=, and CREDENTIALS_DIRECTORY is not set",
                    path.display()
                ));
            }
            (Err(_), _) => self.folder.join(&path),
        };
        Ok(())
    }
}
