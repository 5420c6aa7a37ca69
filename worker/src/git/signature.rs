//! Whether a commit was signed by someone who may change the cluster. The signature covers the commit and with it
//! its whole tree, so that neither the forge nor whoever stole the token to push can decide what nodes run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use git2::{Oid, Repository};

/// What Git signs commits as.
const NAMESPACE: &str = "git";

/// An error says why the commit is not to be trusted. `allowed`: lines of ssh-keygen's ALLOWED SIGNERS.
pub(super) fn verify(repository: &Repository, commit: &str, allowed: &Path) -> anyhow::Result<()> {
    fs::metadata(allowed).with_context(|| format!("cannot read {}", allowed.display()))?;
    let Ok((signature, content)) = repository.extract_signature(&Oid::from_str(commit)?, None)
    else {
        bail!("it is not signed");
    };
    if !signature.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
        bail!("it is not signed with an SSH key");
    }
    let dir = tempfile::tempdir()?;
    let (signed, text) = (dir.path().join("signature"), dir.path().join("content"));
    fs::write(&signed, &*signature)?;
    fs::write(&text, &*content)?;
    let keygen = |what: &str| {
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", what, "-n", NAMESPACE, "-f"]);
        command.arg(allowed).arg("-s").arg(&signed);
        command
    };
    let found = said(keygen("find-principals").stdin(Stdio::null()))
        .context("nobody who may sign has signed it")?;
    let signer = found.lines().next().unwrap_or_default();
    let content = fs::File::open(&text)?;
    said(keygen("verify").args(["-I", signer]).stdin(content))
        .with_context(|| format!("the signature of {signer} is not good"))
        .map(drop)
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().context("cannot start ssh-keygen")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
