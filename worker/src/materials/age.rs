//! Asks the `age` program to encrypt and to decrypt. A program, because its plugins (hardware keys) then work as well,
//! and because the crate would be every tenth that a newcomer compiles. Plain text goes through pipes alone, never
//! through arguments or files.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use windlass_core::materials::SecretText;
use windlass_core::model::Recipient;

/// Larger than any key that a configuration needs.
pub const MAX_BYTES: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    #[error("`age` is not installed (Debian package age)")]
    Missing,
    #[error("`age` cannot be run: {0}")]
    Run(#[from] std::io::Error),
    /// None of our identities is a recipient.
    #[error("no identity given here can decrypt it")]
    NotForUs,
    /// As age says it; it quotes no plain text.
    #[error("age: {0}")]
    Refused(String),
    #[error("it is no text, is empty, or is larger than {} KiB", MAX_BYTES / 1024)]
    Unusable,
}

/// The plain text, without the line's end that editors add.
pub fn open(armored: &[u8], identities: &[PathBuf]) -> Result<SecretText, AgeError> {
    usable(open_whole(armored, identities)?.reveal())
}

/// The plain text as it was sealed, whatever its length.
pub fn open_whole(armored: &[u8], identities: &[PathBuf]) -> Result<SecretText, AgeError> {
    let plain = run(
        std::iter::once(OsStr::new("--decrypt")).chain(ours(identities)),
        armored,
    )?;
    let text = String::from_utf8(plain).map_err(|_| AgeError::Unusable)?;
    Ok(SecretText::new(&text))
}

/// Armored, for ourselves: each of these identities opens it.
pub fn seal_for_us(secret: &SecretText, identities: &[PathBuf]) -> Result<Vec<u8>, AgeError> {
    let flags = [OsStr::new("--encrypt"), OsStr::new("--armor")];
    run(
        flags.into_iter().chain(ours(identities)),
        secret.reveal().as_bytes(),
    )
}

fn ours(identities: &[PathBuf]) -> impl Iterator<Item = &OsStr> {
    identities
        .iter()
        .flat_map(|file| [OsStr::new("--identity"), file.as_os_str()])
}

/// A value as templates get it.
pub fn usable(text: &str) -> Result<SecretText, AgeError> {
    let value = text.trim_end_matches(['\n', '\r']);
    if value.is_empty() || value.len() > MAX_BYTES || value.contains('\0') {
        return Err(AgeError::Unusable);
    }
    Ok(SecretText::new(value))
}

/// Armored, for all of these.
pub fn seal(secret: &SecretText, recipients: &[&Recipient]) -> Result<Vec<u8>, AgeError> {
    let flags = recipients
        .iter()
        .flat_map(|key| [OsStr::new("--recipient"), OsStr::new(key.as_str())]);
    let flags = [OsStr::new("--encrypt"), OsStr::new("--armor")]
        .into_iter()
        .chain(flags);
    run(flags, secret.reveal().as_bytes())
}

fn run<'a>(arguments: impl Iterator<Item = &'a OsStr>, input: &[u8]) -> Result<Vec<u8>, AgeError> {
    let mut command = Command::new("age");
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => AgeError::Missing,
        _ => AgeError::Run(error),
    })?;
    let pipe = child.stdin.take();
    // Written beside the reading: both pipes could be full at once.
    let ended = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends without reading everything says why itself.
            pipe.map(|mut pipe| pipe.write_all(input))
        });
        child.wait_with_output()
    })?;
    judge(ended)
}

fn judge(ended: Output) -> Result<Vec<u8>, AgeError> {
    if ended.status.success() {
        return Ok(ended.stdout);
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    if said.contains("no identity matched any of the recipients") {
        return Err(AgeError::NotForUs);
    }
    let line = said.lines().next().unwrap_or("it ended without a word");
    let line = line
        .trim_start_matches("age: ")
        .trim_start_matches("error: ");
    Err(AgeError::Refused(line.to_owned()))
}
