//! Secrets that stand in the repository, encrypted with age (age-encryption.org/v1) for the recipients that
//! `cluster.yaml` names: `secrets/<name>.age`, armored. Only their form is known here, never their content. What it
//! guards against: a secret that someone put beside them in the clear.

use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};
use crate::snapshot::{Entry, Snapshot};

pub const FOLDER: &str = "secrets/";
const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";

/// An encrypted secret of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a> {
    pub name: &'a str,
    pub path: &'a str,
    pub armored: &'a [u8],
}

/// Where the secret of this name stands.
pub fn path_of(name: &str) -> String {
    format!("{FOLDER}{name}.age")
}

/// What templates may call a secret: `secrets.<name>`.
pub fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=61).contains(&name.len())
        && name.chars().all(allowed)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// The encrypted secrets, by name.
pub fn all(snapshot: &Snapshot) -> impl Iterator<Item = Sealed<'_>> {
    files(snapshot).filter_map(|(path, bytes)| {
        let name = name_of(path)?;
        is_armored(bytes).then_some(Sealed {
            name,
            path,
            armored: bytes,
        })
    })
}

/// What lies in the folder and is no encrypted secret.
pub(crate) fn survey(snapshot: &Snapshot) -> Findings {
    files(snapshot).filter_map(wrong).collect()
}

fn files(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &[u8])> {
    let entries = snapshot.entries.range(FOLDER.to_owned()..);
    let entries = entries.take_while(|(path, _)| path.starts_with(FOLDER));
    entries.filter_map(|(path, entry)| match entry {
        Entry::File(bytes) => Some((path.as_str(), &**bytes)),
        Entry::Symlink | Entry::Submodule | Entry::TooLarge(_) => None,
    })
}

fn name_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix(FOLDER)?.strip_suffix(".age")?;
    is_name(name).then_some(name)
}

fn is_armored(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii();
    bytes.starts_with(BEGIN.as_bytes()) && bytes.ends_with(END.as_bytes())
}

fn wrong((path, bytes): (&str, &[u8])) -> Option<Finding> {
    let rest = path.strip_prefix(FOLDER)?;
    if rest.starts_with('.') || rest.ends_with(".md") {
        return None;
    }
    let error = |code, message: &str| Finding::error(code, message).at(Location::file(path));
    if bytes.starts_with(b"age-encryption.org/v1") {
        let finding = error(
            codes::SECRET_FORM,
            "the secret is encrypted, but not armored",
        );
        return Some(finding.hint(
            "encrypt it with `age --armor`, or with `windlass secret set`, so that Git holds text",
        ));
    }
    if !is_armored(bytes) {
        let finding = error(
            codes::SECRET_IN_CLEAR,
            "this file in `secrets/` is not encrypted with age",
        );
        return Some(finding.hint(
            "`windlass secret set NAME <FILE` encrypts it; if it was pushed like this, others may have read it: replace the secret itself",
        ));
    }
    if name_of(path).is_none() {
        let finding = error(
            codes::SECRET_FORM,
            "no template can name this secret by its file",
        );
        return Some(finding.hint(
            "call it `secrets/<name>.age`: letters, digits and `_`, no digit first, no folder",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEALED: &str =
        "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n";

    #[test]
    fn encrypted_secrets_are_found_by_name() {
        let snapshot = Snapshot::of_texts(
            "a",
            [
                ("secrets/xfer_key.age", SEALED),
                ("secrets/README.md", "how"),
                ("secretsanta.age", SEALED),
            ],
        );
        let found: Vec<&str> = all(&snapshot).map(|sealed| sealed.name).collect();
        assert_eq!(found, ["xfer_key"]);
        assert!(survey(&snapshot).is_empty());
    }

    #[test]
    fn whatever_else_lies_there_is_told() {
        let cut = SEALED.replace("-----END", "");
        let texts = [
            ("secrets/a", "hunter2"),
            ("secrets/b.age", "hunter2"),
            ("secrets/c.age", "age-encryption.org/v1\nabc"),
            ("secrets/d-e.age", SEALED),
            ("secrets/f/g.age", SEALED),
            ("secrets/h.age", &cut),
        ];
        let snapshot = Snapshot::of_texts("a", texts);
        let found = survey(&snapshot);
        let told: Vec<(String, &str)> = found
            .iter()
            .map(|finding| {
                let at = finding.at.as_ref().expect("a place");
                (finding.code.to_string(), at.file.as_str())
            })
            .collect();
        let told: Vec<(&str, &str)> = told.iter().map(|(code, at)| (code.as_str(), *at)).collect();
        assert_eq!(
            told,
            [
                ("WL170", "secrets/a"),
                ("WL170", "secrets/b.age"),
                ("WL171", "secrets/c.age"),
                ("WL171", "secrets/d-e.age"),
                ("WL171", "secrets/f/g.age"),
                ("WL170", "secrets/h.age"),
            ]
        );
        assert_eq!(all(&snapshot).count(), 0);
    }
}
