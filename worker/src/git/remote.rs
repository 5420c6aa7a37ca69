//! Where definitions are fetched from, and how we show who we are. The URL comes from the worker's own
//! configuration, never from a webhook.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use git2::cert::Cert;
use git2::{
    CertificateCheckStatus, Cred, CredentialType, FetchOptions, RemoteCallbacks, RemoteRedirect,
};

use super::authority;

/// How often credentials are offered before giving up: libgit2 asks again after every rejection.
const MAX_TRIES: u32 = 3;

/// A remote repository with the credentials for it. Secrets are read from their files at every fetch, so that
/// a replaced token needs no restart, and none is kept in memory.
#[derive(Debug, Clone)]
pub struct Remote {
    pub url: String,
    pub branch: String,
    pub access: Access,
    /// PEM file with the only authorities whose certificate counts for https; absent: the machine's roots.
    pub authorities: Option<PathBuf>,
    /// ssh-keygen's file of those who may sign what is rolled out; absent: nothing needs a signature.
    pub signers: Option<PathBuf>,
}

#[derive(Debug, Clone, Default)]
pub enum Access {
    /// A local path, or a repository that everyone may read.
    #[default]
    Open,
    /// A token for https.
    Token { user: String, file: PathBuf },
    /// A deploy key for ssh, and the host's keys as `ssh-keyscan` prints them without the host name.
    Key {
        file: PathBuf,
        host_keys: Vec<String>,
    },
}

impl Remote {
    /// A transfer of more than `most` bytes is broken off. That it was is noted in `cut`: the error has another face over
    /// each way of transport.
    pub(super) fn options<'a>(&'a self, most: usize, cut: &'a Cell<bool>) -> FetchOptions<'a> {
        let mut callbacks = self.callbacks();
        callbacks.transfer_progress(move |progress| {
            cut.set(progress.received_bytes() > most);
            !cut.get()
        });
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks)
            .download_tags(git2::AutotagOption::None)
            // A redirect could carry the token to another host.
            .follow_redirects(RemoteRedirect::None);
        options
    }

    fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut tries = 0;
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(move |url, user, allowed| {
            tries += 1;
            if tries > MAX_TRIES {
                return Err(denied("the credentials were refused"));
            }
            self.credentials(url, user, allowed)
        });
        callbacks.certificate_check(|certificate, host| self.certificate(certificate, host));
        callbacks
    }

    fn credentials(
        &self,
        _url: &str,
        user: Option<&str>,
        allowed: CredentialType,
    ) -> Result<Cred, git2::Error> {
        let user = user.unwrap_or("git");
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user);
        }
        match &self.access {
            Access::Open => Err(denied("it asks for credentials and none are configured")),
            Access::Token { user, file } => Cred::userpass_plaintext(user, &secret(file)?),
            Access::Key { file, .. } => Cred::ssh_key_from_memory(user, None, &secret(file)?, None),
        }
    }

    fn certificate(
        &self,
        certificate: &Cert<'_>,
        host: &str,
    ) -> Result<CertificateCheckStatus, git2::Error> {
        if let Some(offered) = certificate.as_x509() {
            return self.authority(offered.data(), host);
        }
        let offered = certificate.as_hostkey();
        let (Some(offered), Access::Key { host_keys, .. }) = (offered, &self.access) else {
            return Err(certificate_error(host, "no host key is pinned"));
        };
        let offered = offered.hostkey().unwrap_or_default();
        if host_keys.iter().any(|pinned| same_key(pinned, offered)) {
            Ok(CertificateCheckStatus::CertificateOk)
        } else {
            Err(certificate_error(
                host,
                "its host key is none of those pinned in `host_keys`",
            ))
        }
    }

    fn authority(
        &self,
        certificate: &[u8],
        host: &str,
    ) -> Result<CertificateCheckStatus, git2::Error> {
        let Some(file) = &self.authorities else {
            // OpenSSL's own verification against the system's roots stands.
            return Ok(CertificateCheckStatus::CertificatePassthrough);
        };
        authority::verify(file, certificate, host)
            .map(|()| CertificateCheckStatus::CertificateOk)
            .map_err(|why| certificate_error(host, &why))
    }
}

/// A person must mend it: trying again later would not.
fn denied(why: &str) -> git2::Error {
    git2::Error::new(git2::ErrorCode::Auth, git2::ErrorClass::Callback, why)
}

fn certificate_error(host: &str, why: &str) -> git2::Error {
    git2::Error::new(
        git2::ErrorCode::Certificate,
        git2::ErrorClass::Net,
        format!("{host}: {why}"),
    )
}

/// Compares the key material of `ssh-ed25519 AAAA… comment` with what the host offered.
fn same_key(pinned: &str, offered: &[u8]) -> bool {
    let material = pinned
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|text| STANDARD.decode(text).ok());
    material.is_some_and(|material| !material.is_empty() && material == offered)
}

fn secret(file: &Path) -> Result<String, git2::Error> {
    std::fs::read_to_string(file)
        .map(|text| text.trim_end().to_owned() + if is_key(&text) { "\n" } else { "" })
        .map_err(|error| denied(&format!("cannot read {}: {error}", file.display())))
}

/// OpenSSH keys must end with a line break, tokens must not.
fn is_key(text: &str) -> bool {
    text.starts_with("-----BEGIN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_key_matches_by_its_material_alone() {
        let blob = b"some key";
        let pinned = format!("ssh-ed25519 {} root@git", STANDARD.encode(blob));
        assert!(same_key(&pinned, blob));
        assert!(!same_key(&pinned, b"another"));
        assert!(!same_key("ssh-ed25519", b""));
        assert!(!same_key("ssh-ed25519  ", b""));
        assert!(!same_key("ssh-ed25519 !!!", b""));
    }
}
