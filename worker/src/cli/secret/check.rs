//! `windlass secret check`: nothing is missing, nothing is left over, and everybody who should can read.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use windlass_core::codes::{checks, components, definitions};
use windlass_core::component;
use windlass_core::finding::{Finding, Findings, Location};
use windlass_core::materials::{Materials, SecretText};
use windlass_core::model::{self, Model};
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
    let mut opened = given.clone();
    let mut count = 0;
    for sealed in sealed::all(&shelf.snapshot) {
        match examine(&shelf, &sealed) {
            Ok(Some(secret)) => {
                let named = opened.secrets.entry(sealed.name.to_owned());
                named.or_insert(secret);
            }
            Ok(None) => {}
            Err(finding) => findings.push(finding),
        }
        there.insert(sealed.name);
        count += 1;
    }
    let (components, broken) = component::load(&shelf.snapshot);
    findings.extend(broken);
    let model = model::load(&shelf.snapshot).model;
    if let Some(model) = &model {
        findings.extend(certificates(model, &there, opened));
    }
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

/// Certificates that are given by secrets: they are there and, as far as they could be decrypted, right for their names.
fn certificates(model: &Model, there: &BTreeSet<&str>, mut opened: Materials) -> Findings {
    let mut findings = materials::by_secret(model, &mut opened);
    let given = model.certificates.iter();
    let given = given.filter_map(|(name, own)| Some((name, own, own.secret.as_ref()?)));
    for (name, own, secret) in given {
        if let Some(pem) = opened.certificates.get(name.as_str()) {
            findings.extend(materials::fits(model, name, pem, Timestamp::now()));
        }
        if !there.contains(secret.as_str()) {
            let secret_name = secret.as_str();
            let message =
                format!("there is no secret `{secret_name}` for the certificate `{name}`");
            let missing = Finding::error(components::MATERIAL_MISSING, message);
            let missing = missing.at(own.place(secret));
            let how =
                format!("`cat fullchain.pem privkey.pem | windlass secret set {secret_name}`");
            findings.push(missing.hint(how));
        }
    }
    findings
}

/// The secret, where somebody can decrypt it.
fn examine(shelf: &Shelf<'_>, sealed: &Sealed<'_>) -> Result<Option<SecretText>, Finding> {
    let at = Location::file(sealed.path);
    let identities = shelf.session.age_identities();
    let mut opened = None;
    if !identities.is_empty() {
        match age::open(sealed.armored, identities) {
            Ok(secret) => opened = Some(secret),
            Err(AgeError::NotForUs) => {
                let message = "no identity given here can decrypt it";
                let finding = Finding::error(definitions::RECIPIENT, message).at(at);
                return Err(finding.hint(
                    "whoever can read it adds your public key to `secrets.recipients` and runs `windlass secret rotate`",
                ));
            }
            Err(error) => {
                let message = format!("the secret cannot be decrypted: {error}");
                return Err(Finding::error(checks::SECRET_UNREADABLE, message).at(at));
            }
        }
    }
    let (is, should) = (recipients_of(sealed.armored), shelf.recipients.len());
    if is == Some(should) {
        return Ok(opened);
    }
    let is = is.map_or_else(|| "an unknown number of".to_owned(), |is| is.to_string());
    let message = format!("it is encrypted for {is} recipients, cluster.yaml names {should}");
    let finding = Finding::error(definitions::RECIPIENT, message).at(at);
    Err(finding.hint("`windlass secret rotate` encrypts all anew"))
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
