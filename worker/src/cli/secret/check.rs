//! `windlass secret check`: nothing is missing, nothing is left over, and everybody who should can read.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use windlass_core::codes::{checks, components, definitions};
use windlass_core::component;
use windlass_core::finding::{Finding, Location};
use windlass_core::model;
use windlass_core::sealed::{self, Sealed};

use super::{Shelf, counted};
use crate::cli::Exit;
use crate::cli::session::Session;
use crate::materials;
use crate::materials::age::{self, AgeError};

pub(super) fn run(session: &Session<'_>) -> anyhow::Result<Exit> {
    let shelf = Shelf::of(session)?;
    let (given, mut findings) = materials::load(&session.directories())?;
    let mut there: BTreeSet<&str> = given.secrets.keys().map(String::as_str).collect();
    let mut count = 0;
    for sealed in sealed::all(&shelf.snapshot) {
        findings.extend(examine(&shelf, &sealed));
        there.insert(sealed.name);
        count += 1;
    }
    let (components, broken) = component::load(&shelf.snapshot);
    findings.extend(broken);
    let model = model::load(&shelf.snapshot).model;
    let is_idle = |secret: &str| model.as_ref().is_some_and(|model| model.is_idle(secret));
    for folder in components.iter() {
        for secret in &folder.definition.secrets {
            if !there.contains(secret.as_str()) && !is_idle(secret) {
                let message = format!("there is no secret `{secret}`");
                let missing = Finding::error(components::MATERIAL_MISSING, message)
                    .at(folder.place(secret))
                    .of(folder.name());
                findings.push(missing.hint(format!("`windlass secret set {secret} <FILE`")));
            }
        }
    }
    let findings = findings.sorted();
    session.output.result(&findings, || {
        let text = session.findings_text(&findings, &shelf.snapshot);
        if findings.has_errors() {
            text
        } else {
            let how = match session.age_identities() {
                [] => "; give --age-identity to see whether they can be decrypted",
                _ => ", and can be decrypted",
            };
            let secrets = counted(count, "secret");
            let recipients = counted(shelf.recipients.len(), "recipient");
            format!("{text}ok: {secrets} for {recipients}{how}\n")
        }
    })?;
    Ok(if findings.has_errors() {
        Exit::Findings
    } else {
        Exit::Done
    })
}

fn examine(shelf: &Shelf<'_>, sealed: &Sealed<'_>) -> Option<Finding> {
    let at = Location::file(sealed.path);
    let identities = shelf.session.age_identities();
    if !identities.is_empty() {
        match age::open(sealed.armored, identities) {
            Ok(_) => {}
            Err(AgeError::NotForUs) => {
                let message = "no identity given here can decrypt it";
                let finding = Finding::error(definitions::RECIPIENT, message).at(at);
                return Some(finding.hint(
                    "whoever can read it adds your public key to `secrets.recipients` and runs `windlass secret rotate`",
                ));
            }
            Err(error) => {
                let message = format!("the secret cannot be decrypted: {error}");
                return Some(Finding::error(checks::SECRET_UNREADABLE, message).at(at));
            }
        }
    }
    let (is, should) = (recipients_of(sealed.armored), shelf.recipients.len());
    if is == Some(should) {
        return None;
    }
    let is = is.map_or_else(|| "an unknown number of".to_owned(), |is| is.to_string());
    let message = format!("it is encrypted for {is} recipients, cluster.yaml names {should}");
    let finding = Finding::error(definitions::RECIPIENT, message).at(at);
    Some(finding.hint("`windlass secret rotate` encrypts all anew"))
}

/// How many it is encrypted for. The header has a stanza for each, beginning with `->`; who they are it does not
/// say. Stanzas called grease are noise that some programs add (C2SP, age-encryption.org/v1).
fn recipients_of(armored: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(armored).ok()?;
    let body: String = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let bytes = STANDARD.decode(body).ok()?;
    let mut count = 0;
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.starts_with(b"--- ") {
            return Some(count);
        }
        let kind = line.strip_prefix(b"-> ".as_slice());
        let kind = kind.and_then(|rest| rest.split(|byte| *byte == b' ').next());
        if kind.is_some_and(|kind| !kind.ends_with(b"-grease")) {
            count += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_counted_by_their_stanzas() {
        let header = "age-encryption.org/v1\n-> X25519 abc\nbody\n-> a-grease x\nbody\n-> piv-p256 q\nbody\n--- mac\n\u{1}";
        let armor = |text: &str| {
            let body = STANDARD.encode(text);
            format!(
                "-----BEGIN AGE ENCRYPTED FILE-----\n{body}\n-----END AGE ENCRYPTED FILE-----\n"
            )
        };
        assert_eq!(recipients_of(armor(header).as_bytes()), Some(2));
        assert_eq!(
            recipients_of(armor(&header.replace("---", "")).as_bytes()),
            None
        );
        assert_eq!(recipients_of(b"-----BEGIN\n!\n"), None);
    }
}
