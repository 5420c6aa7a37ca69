//! Reads the worker's directories: `<name>.pem` for each certificate (chain and key), `<name>` for each secret.
//! A file that cannot be used is a finding that says why, never its content.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use windlass_core::codes::{Code, checks};
use windlass_core::finding::{Finding, Findings};
use windlass_core::materials::{Materials, Said, SecretText};
use windlass_core::model::Model;

use super::{AtRest, certificate, stand_in};

const MAX_BYTES: u64 = 64 * 1024;

/// Where certificates and secrets lie. A directory that does not exist is an empty one.
#[derive(Debug, Clone, Default)]
pub struct Directories {
    pub certificates: Option<PathBuf>,
    pub secrets: Option<PathBuf>,
    /// Files with identities of age, for the secrets that the repository holds.
    pub age_identities: Vec<PathBuf>,
    /// Where the worker keeps the certificates that it orders; absent: nothing is ordered here.
    pub ordered: Option<PathBuf>,
    /// How those lie there.
    pub at_rest: AtRest,
}

/// All usable materials, and what is wrong with the others.
pub fn load(directories: &Directories) -> anyhow::Result<(Materials, Findings)> {
    let mut materials = Materials::none(stand_in::certificate()?);
    let mut findings = Findings::default();
    let folder = directories.certificates.as_deref();
    let given = certificates(folder, &AtRest::default(), &mut findings, |_| true);
    for (name, (pem, said)) in given {
        materials.certificates.insert(name.clone(), pem);
        materials.said.insert(name, said);
    }
    for (name, path) in files(directories.secrets.as_deref(), &mut findings) {
        let read = read(&path, checks::SECRET_UNREADABLE, &mut findings);
        let Some(text) = read else { continue };
        let value = text.trim_end_matches(['\n', '\r']);
        if value.is_empty() {
            let message = format!("{} is empty", path.display());
            findings.push(Finding::error(checks::SECRET_UNREADABLE, message));
            continue;
        }
        materials.secrets.insert(name, SecretText::new(value));
    }
    Ok((materials, findings))
}

/// Adds the certificates that are given by a secret, which were loaded before. A file of the same name does not count.
pub fn by_secret(model: &Model, materials: &mut Materials) -> Findings {
    let mut findings = Findings::default();
    for (name, definition) in &model.certificates {
        let Some(secret) = &definition.secret else {
            continue;
        };
        let name = name.as_str();
        materials.certificates.remove(name);
        materials.said.remove(name);
        let Some(text) = materials.secrets.get(secret.as_str()) else {
            continue;
        };
        // Without the line's end that secrets lose.
        let pem = format!("{}\n", text.reveal());
        match certificate::usable(&pem) {
            Ok(said) => {
                let pem = SecretText::new(&pem);
                materials.certificates.insert(name.to_owned(), pem);
                materials.said.insert(name.to_owned(), said);
            }
            Err((code, why)) => {
                let message = format!(
                    "the secret `{}` as the certificate `{name}`: {why}",
                    secret.as_str()
                );
                let finding = Finding::error(code, message).at(definition.place(secret));
                findings.push(finding.hint("certificate, chain and private key, one after the other, all in PEM: `cat fullchain.pem privkey.pem | windlass secret set …`"));
            }
        }
    }
    findings
}

/// Adds what the worker ordered, for certificates that are to be ordered; until it is there, one that was given as a
/// file serves, and without one the certificate is pending.
pub fn ordered(directories: &Directories, model: &Model, materials: &mut Materials) -> Findings {
    let mut findings = Findings::default();
    let Some(directory) = directories.ordered.as_deref() else {
        return findings;
    };
    // What nobody wants any more may lie there as it likes.
    let is_wanted = |name: &str| {
        let own = model.certificates.get(name);
        own.is_some_and(|own| own.acme.is_some())
    };
    let shelf = certificates(
        Some(directory),
        &directories.at_rest,
        &mut findings,
        is_wanted,
    );
    materials.add_ordered(model, shelf);
    findings
}

/// What lies in the folder of ordered certificates, as far as it can be used.
pub fn shelf(directory: &Path, at_rest: &AtRest) -> Shelved {
    let mut findings = Findings::default();
    certificates(Some(directory), at_rest, &mut findings, |_| false)
}

type Shelved = BTreeMap<String, (SecretText, Said)>;

/// Every usable `<name>.pem` of a directory; what is wrong with the others is told where `is_told` says so.
fn certificates(
    directory: Option<&Path>,
    at_rest: &AtRest,
    findings: &mut Findings,
    is_told: impl Fn(&str) -> bool,
) -> Shelved {
    let mut found = BTreeMap::new();
    for (name, path) in files(directory, findings) {
        // Other files, such as a key kept beside, are the owner's business.
        let Some(name) = name.strip_suffix(".pem") else {
            continue;
        };
        let mut own = Findings::default();
        if let Some(read) = usable_file(&path, at_rest, &mut own) {
            found.insert(name.to_owned(), read);
        }
        if is_told(name) {
            findings.extend(own);
        }
    }
    found
}

/// One of them; what is wrong with it is a finding.
fn usable_file(
    path: &Path,
    at_rest: &AtRest,
    findings: &mut Findings,
) -> Option<(SecretText, Said)> {
    let text = read(path, checks::CERTIFICATE_UNREADABLE, findings)?;
    let pem = match at_rest.open(&text) {
        Ok(pem) => pem,
        Err(error) => {
            let message = format!("{} cannot be decrypted: {error}", path.display());
            findings.push(
                Finding::error(checks::CERTIFICATE_UNREADABLE, message)
                    .hint("give the worker the identity of age that it had (`age_identities`), or delete the file: it is taken back from the nodes, or ordered anew"),
            );
            return None;
        }
    };
    match certificate::usable(pem.reveal()) {
        Ok(said) => Some((pem, said)),
        Err((code, why)) => {
            findings.push(Finding::error(code, format!("{}: {why}", path.display())));
            None
        }
    }
}

/// The files of a directory by name, without hidden ones and editors' copies.
fn files(directory: Option<&Path>, findings: &mut Findings) -> BTreeMap<String, PathBuf> {
    let Some(directory) = directory else {
        return BTreeMap::new();
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => {
            let message = format!("{} cannot be read: {error}", directory.display());
            findings.push(Finding::error(checks::SECRET_UNREADABLE, message));
            return BTreeMap::new();
        }
    };
    let named = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let wanted = !name.starts_with('.') && name.chars().all(allowed) && entry.path().is_file();
        wanted.then(|| (name, entry.path()))
    };
    entries.flatten().filter_map(named).collect()
}

/// The text of one file. That others could read it too is told, but does not stop anything.
fn read(path: &Path, code: Code, findings: &mut Findings) -> Option<String> {
    let shown = path.display();
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| {
        let mode = file.metadata()?.permissions().mode();
        file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
        Ok(mode)
    });
    let mode = match read {
        Ok(mode) => mode,
        Err(error) => {
            findings.push(Finding::error(
                code,
                format!("{shown} cannot be read: {error}"),
            ));
            return None;
        }
    };
    if text.len() as u64 > MAX_BYTES {
        let message = format!("{shown} is larger than {} KiB", MAX_BYTES / 1024);
        findings.push(Finding::error(code, message));
        return None;
    }
    if mode & 0o004 != 0 {
        let message = format!("{shown} can be read by everyone on this machine");
        let exposed = Finding::warning(checks::MATERIAL_EXPOSED, message);
        findings.push(exposed.hint(format!("chmod o= {shown}")));
    }
    Some(text)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
