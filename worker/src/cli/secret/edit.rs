//! `windlass secret edit`. What it guards against: plain text that stays behind when the editor is interrupted.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use windlass_core::sealed;

use super::Shelf;
use crate::cli::Exit;
use crate::cli::session::Session;
use crate::materials::age;

pub(super) async fn run(session: &Session<'_>, name: &str) -> anyhow::Result<Exit> {
    let shelf = Shelf::open(session, name)?;
    let before = match shelf.find(name) {
        Some(sealed) => Some(shelf.read(&sealed)?),
        None => None,
    };
    let text = before.as_ref().map_or("", |secret| secret.reveal());
    let after = age::usable(&edited(name, text).await?);
    let path = sealed::path_of(name);
    if before.is_none() && after.is_err() {
        bail!("nothing was saved: {path} is not written");
    }
    let after = after.context("what was saved cannot be a secret; nothing was changed")?;
    if before.as_ref() == Some(&after) {
        session.output.text(&format!("{path} is as it was\n"));
        return Ok(Exit::Done);
    }
    shelf.write(&[(name, after)])?;
    session.output.text(&format!("{path} written\n"));
    Ok(Exit::Done)
}

async fn edited(name: &str, text: &str) -> anyhow::Result<String> {
    // Ctrl-C belongs to the editor, and whatever ends us must leave no plain text behind.
    let mut ended = [
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ];
    let private = std::fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new()
        .prefix("windlass-")
        .permissions(private)
        .tempdir_in(in_memory())
        .context("cannot make a folder for the editor")?;
    let file = folder.path().join(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .context("cannot write the file for the editor")?;
    let mut editor = editor(&file).spawn().context("cannot start the editor")?;
    let [_, terminate, hangup] = &mut ended;
    let status = tokio::select! {
        status = editor.wait() => status?,
        _ = terminate.recv() => bail!("stopped; nothing was changed"),
        _ = hangup.recv() => bail!("the terminal is gone; nothing was changed"),
    };
    if !status.success() {
        bail!("the editor ended with {status}; nothing was changed");
    }
    std::fs::read_to_string(&file).context("the editor left no text")
}

/// As Git does it: the variable may hold arguments too.
fn editor(file: &Path) -> Command {
    let named = |variable| std::env::var(variable).ok().filter(|text| !text.is_empty());
    let words = named("VISUAL").or_else(|| named("EDITOR"));
    let words = words.unwrap_or_else(|| "vi".to_owned());
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{words} \"$1\""));
    command.arg(words).arg(file).kill_on_drop(true);
    command
}

fn in_memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}
