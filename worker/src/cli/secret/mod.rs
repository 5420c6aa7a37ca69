//! `windlass secret`: the encrypted secrets of a checkout. Plain text is never an argument, and on no disk.

mod args;
mod check;
mod edit;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use windlass_core::materials::SecretText;
use windlass_core::model::Recipient;
use windlass_core::model::cluster::Cluster;
use windlass_core::report::findings;
use windlass_core::sealed::{self, Sealed};
use windlass_core::snapshot::Snapshot;
use windlass_core::yaml;

pub(super) use args::SecretCommand;

use super::Exit;
use super::session::Session;
use crate::materials::age;

pub(super) async fn run(session: &Session<'_>, command: &SecretCommand) -> anyhow::Result<Exit> {
    match command {
        SecretCommand::Set { name } => set(session, name),
        SecretCommand::Edit { name } => edit::run(session, name).await,
        SecretCommand::Rotate { names } => rotate(session, names),
        SecretCommand::Check => check::run(session),
    }
}

fn set(session: &Session<'_>, name: &str) -> anyhow::Result<Exit> {
    let shelf = Shelf::open(session, name)?;
    if std::io::stdin().is_terminal() {
        bail!(
            "the secret is read from standard input: `windlass secret set {name} <FILE`; or type it with `windlass secret edit {name}`"
        );
    }
    let mut text = String::new();
    let most = age::MAX_BYTES as u64 + 3;
    std::io::stdin()
        .take(most)
        .read_to_string(&mut text)
        .context("the secret is no text")?;
    shelf.write(&[(name, age::usable(&text)?)])?;
    session
        .output
        .text(&format!("{} written\n", sealed::path_of(name)));
    Ok(Exit::Done)
}

fn rotate(session: &Session<'_>, names: &[String]) -> anyhow::Result<Exit> {
    let shelf = Shelf::of(session)?;
    let there: Vec<Sealed<'_>> = sealed::all(&shelf.snapshot).collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| !there.iter().any(|sealed| sealed.name == name.as_str()))
    {
        bail!("there is no {}", sealed::path_of(unknown));
    }
    let wanted = there
        .iter()
        .filter(|sealed| names.is_empty() || names.iter().any(|name| name == sealed.name));
    let mut opened = Vec::new();
    for sealed in wanted {
        opened.push((sealed.name, shelf.read(sealed)?));
    }
    shelf.write(&opened)?;
    session.output.text(&format!(
        "{} encrypted anew for {}\n",
        counted(opened.len(), "secret"),
        counted(shelf.recipients.len(), "recipient")
    ));
    Ok(Exit::Done)
}

fn counted(number: usize, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {what}{end}")
}

/// The secrets of a checkout, and for whom they are.
struct Shelf<'a> {
    session: &'a Session<'a>,
    snapshot: std::sync::Arc<Snapshot>,
    recipients: Vec<Recipient>,
}

impl<'a> Shelf<'a> {
    /// For one secret, whose name must be one.
    fn open(session: &'a Session<'_>, name: &str) -> anyhow::Result<Self> {
        if !sealed::is_name(name) {
            bail!("{name:?} is no name for a secret: letters, digits and `_`, no digit first");
        }
        Self::of(session)
    }

    /// Reads `cluster.yaml` alone: whoever mends a repository with secrets in the clear must be able to begin here.
    fn of(session: &'a Session<'_>) -> anyhow::Result<Self> {
        const FILE: &str = "cluster.yaml";
        let snapshot = session.snapshot(None)?;
        let bytes = snapshot
            .file(FILE)
            .context("there is no cluster.yaml here: go to the cluster repository, or give -C")?;
        let cluster = yaml::parse::<Cluster>(FILE, bytes).map_err(|wrong| {
            let text = findings::text(&wrong, &snapshot, findings::Style::Plain);
            anyhow::anyhow!("{FILE} cannot be read\n{}", text.trim_end())
        })?;
        let recipients: Vec<Recipient> = cluster
            .secrets
            .iter()
            .flat_map(|secrets| &secrets.recipients)
            .map(|recipient| recipient.value.clone())
            .collect();
        if recipients.is_empty() {
            bail!(
                "cluster.yaml names nobody who could read a secret: add `secrets: {{ recipients: [age1…] }}` with the public keys that `age-keygen` prints, the worker's and your own"
            );
        }
        Ok(Self {
            session,
            snapshot,
            recipients,
        })
    }

    fn find(&self, name: &str) -> Option<Sealed<'_>> {
        sealed::all(&self.snapshot).find(|sealed| sealed.name == name)
    }

    fn read(&self, sealed: &Sealed<'_>) -> anyhow::Result<SecretText> {
        let identities = self.session.age_identities();
        if identities.is_empty() {
            bail!(
                "to read {} give --age-identity FILE (or WINDLASS_AGE_IDENTITY)",
                sealed.path
            );
        }
        age::open(sealed.armored, identities)
            .with_context(|| format!("{} cannot be decrypted", sealed.path))
    }

    /// All are encrypted before the first is written, and each takes its place as a whole.
    fn write(&self, secrets: &[(&str, SecretText)]) -> anyhow::Result<()> {
        let recipients: Vec<&Recipient> = self.recipients.iter().collect();
        let mut written = Vec::new();
        for (name, secret) in secrets {
            written.push((sealed::path_of(name), age::seal(secret, &recipients)?));
        }
        let root = self.session.repo();
        let folder = root.join(sealed::FOLDER);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        for (path, armored) in written {
            let path = root.join(path);
            replace(&path, &folder, &armored)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

fn replace(path: &Path, folder: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    // Encrypted, and as readable as every other file of a checkout.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
