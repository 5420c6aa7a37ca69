use std::fs::Permissions;
use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;
use windlass_core::finding::Severity;
use windlass_core::materials::{Materials, SecretText};
use windlass_core::model::{self, Model};
use windlass_core::snapshot::{Entry, Snapshot};

use super::*;
use crate::materials::examine;

struct Given {
    directory: TempDir,
    directories: Directories,
}

impl Given {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let directories = Directories {
            certificates: Some(directory.path().join("certificates")),
            secrets: Some(directory.path().join("secrets")),
            age_identities: Vec::new(),
            ordered: Some(directory.path().join("ordered")),
            ..Directories::default()
        };
        for path in [
            &directories.certificates,
            &directories.secrets,
            &directories.ordered,
        ] {
            std::fs::create_dir(path.as_ref().unwrap()).unwrap();
        }
        Self {
            directory,
            directories,
        }
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    fn load(&self) -> (Materials, Findings) {
        load(&self.directories).unwrap()
    }
}

/// Certificate and key, signed by an authority that is appended if asked for.
fn pem(names: &[&str], from: i32, until: i32, chain: bool) -> (String, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(rcgen::DnType::CommonName, "authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &authority).unwrap();
    let chain = if chain {
        authority.pem()
    } else {
        String::new()
    };
    (format!("{}{chain}", leaf.pem()), key.serialize_pem())
}

fn snapshot() -> Snapshot {
    Snapshot::of_texts(
        "c",
        [
            (
                "cluster.yaml",
                "name: example\ndomain: example.org\nnetworks: { public: 10.80.0.0/24 }\norder: [vps1]\nedge: { role: edge, network: public }\n",
            ),
            (
                "nodes/vps1.yaml",
                "roles: [edge]\naddresses: { public: 10.80.0.11 }\nssh:\n  network: public\n  host_keys:\n    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n",
            ),
            (
                "certificates/site.yaml",
                "names: [\"*.example.org\", www.example.org, example.org]\n",
            ),
        ],
    )
}

fn model() -> Arc<Model> {
    let loaded = model::load(&snapshot());
    loaded
        .model
        .unwrap_or_else(|| panic!("{:#?}", loaded.findings))
}

fn examined(names: &[&str], from: i32, until: i32, chain: bool, now: &str) -> Findings {
    let given = Given::new();
    let (certificate, key) = pem(names, from, until, chain);
    given.put("certificates/site.pem", &format!("{certificate}{key}"));
    let (materials, findings) = given.load();
    assert!(findings.is_empty(), "{findings:?}");
    let now: Timestamp = now.parse().unwrap();
    examine(&model(), &materials, now)
}

const ALL: [&str; 2] = ["*.example.org", "example.org"];
const NOW: &str = "2026-06-01T00:00:00Z";

#[test]
fn certificates_and_secrets_are_read_and_a_missing_directory_is_empty() {
    let given = Given::new();
    let (certificate, key) = pem(&ALL, 2020, 2100, true);
    given.put("certificates/site.pem", &format!("{certificate}{key}"));
    given.put("certificates/notes.txt", "not a certificate");
    given.put("secrets/xfer_key", "c2VjcmV0\n");
    given.put("secrets/.hidden", "x");
    let (materials, findings) = given.load();
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(materials.certificates.keys().collect::<Vec<_>>(), ["site"]);
    assert_eq!(materials.secrets["xfer_key"].reveal(), "c2VjcmV0");
    assert_eq!(materials.secrets.len(), 1);

    let nowhere = Directories {
        certificates: Some(given.directory.path().join("gone")),
        ..Directories::default()
    };
    let (materials, findings) = load(&nowhere).unwrap();
    assert!(findings.is_empty() && materials.certificates.is_empty());
}

#[test]
fn what_cannot_be_used_is_left_out_and_told_without_its_content() {
    let (certificate, _) = pem(&ALL, 2020, 2100, true);
    let (_, other) = pem(&ALL, 2020, 2100, true);
    let large = "x".repeat(100_000);
    for (content, code) in [
        (format!("{certificate}{other}"), checks::CERTIFICATE_KEY),
        (certificate.clone(), checks::CERTIFICATE_UNREADABLE),
        (other.clone(), checks::CERTIFICATE_UNREADABLE),
        ("hunter2".to_owned(), checks::CERTIFICATE_UNREADABLE),
        (large, checks::CERTIFICATE_UNREADABLE),
    ] {
        let given = Given::new();
        given.put("certificates/site.pem", &content);
        let (materials, findings) = given.load();
        assert!(materials.certificates.is_empty());
        let finding = findings.iter().next().unwrap();
        assert_eq!(finding.code, code, "{finding:?}");
        assert!(finding.message.contains("site.pem") && !finding.message.contains("hunter2"));
    }
    let given = Given::new();
    given.put("secrets/empty", "\n");
    assert_eq!(given.load().1.len(), 1);
    std::fs::write(given.directory.path().join("secrets/empty"), b"\xff\xfe").unwrap();
    assert_eq!(given.load().1.len(), 1);
}

#[test]
fn a_secret_has_64_kib_at_most() {
    let given = Given::new();
    given.put("secrets/key", &"x".repeat(64 * 1024));
    let (materials, findings) = given.load();
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(materials.secrets["key"].reveal().len(), 64 * 1024);
    given.put("secrets/key", &"x".repeat(64 * 1024 + 1));
    let (materials, findings) = given.load();
    assert!(materials.secrets.is_empty());
    let finding = findings.iter().next().unwrap();
    assert_eq!(finding.code, checks::SECRET_UNREADABLE);
    assert!(finding.message.contains("larger than 64 KiB"));
}

#[test]
fn a_file_that_everyone_can_read_is_a_warning() {
    let given = Given::new();
    given.put("secrets/xfer_key", "c2VjcmV0");
    let path = given.directory.path().join("secrets/xfer_key");
    // The group may: a service's own user is often a member of it.
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(given.load().1.is_empty());
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let (materials, findings) = given.load();
    assert_eq!(materials.secrets.len(), 1);
    let finding = findings.iter().next().unwrap();
    assert_eq!(
        (finding.code, finding.severity),
        (checks::MATERIAL_EXPOSED, Severity::Warning)
    );
}

#[test]
fn names_are_compared_with_those_of_the_definition() {
    assert!(examined(&ALL, 2020, 2100, true, NOW).is_empty());
    let findings = examined(&["*.example.org"], 2020, 2100, true, NOW);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let finding = findings.iter().next().unwrap();
    assert_eq!(finding.code, checks::CERTIFICATE_NAMES);
    assert!(finding.message.ends_with("does not cover example.org"));
    assert_eq!(finding.at.as_ref().unwrap().line, 1);
    // A host of the wildcard's is no wildcard.
    let findings = examined(&["www.example.org", "example.org"], 2020, 2100, true, NOW);
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[test]
fn expiry_and_a_missing_chain_are_told_in_time() {
    let code_of = |findings: &Findings| {
        let finding = findings.iter().next();
        finding.map(|finding| (finding.code, finding.severity))
    };
    let expired = examined(&ALL, 2020, 2026, true, NOW);
    let error = Some((checks::CERTIFICATE_EXPIRY, Severity::Error));
    assert_eq!(code_of(&expired), error);
    let soon = examined(&ALL, 2020, 2027, true, "2026-12-25T00:00:00Z");
    assert!(soon.iter().next().unwrap().message.contains("in 7 days"));
    assert!(!soon.has_errors());
    let early = examined(&ALL, 2027, 2030, true, NOW);
    assert_eq!(code_of(&early), error);
    let bare = examined(&ALL, 2020, 2100, false, NOW);
    let warning = Some((checks::CERTIFICATE_CHAIN, Severity::Warning));
    assert_eq!(code_of(&bare), warning);
}

#[test]
fn the_stand_in_is_a_certificate_and_stays_the_same() {
    let nowhere = Directories::default();
    let (first, _) = load(&nowhere).unwrap();
    let (second, _) = load(&nowhere).unwrap();
    assert_eq!(first, second);
    assert!(certificate::usable(first.stand_in_certificate.reveal()).is_ok());
}

#[test]
fn what_was_ordered_takes_the_place_of_a_file_and_what_is_missing_is_pending() {
    let acme = "domain: example.org\nacme: { authorities: [{ name: le, directory: \"https://ca.example.net/dir\" }] }\n";
    let mut snapshot = snapshot();
    for (path, from, to) in [
        ("cluster.yaml", "domain: example.org\n", acme),
        (
            "certificates/site.yaml",
            "\"*.example.org\", www.example.org, example.org]\n",
            "a.example.net]\nacme: {}\n",
        ),
    ] {
        let text = String::from_utf8(snapshot.file(path).unwrap().to_vec()).unwrap();
        assert!(text.contains(from));
        let entry = Entry::File(text.replace(from, to).into_bytes().into());
        snapshot.entries.insert(path.to_owned(), entry);
    }
    let file = Entry::File(b"names: [b.example.net]\n".as_slice().into());
    snapshot
        .entries
        .insert("certificates/file.yaml".to_owned(), file);
    let model = model::load(&snapshot).model.unwrap();

    let given = Given::new();
    let all = |directories: &Directories| {
        let (mut materials, findings) = load(directories).unwrap();
        let ordered = ordered(directories, &model, &mut materials);
        assert!(
            findings.is_empty() && ordered.is_empty(),
            "{findings:?} {ordered:?}"
        );
        materials
    };
    let pending: Vec<String> = all(&given.directories).pending.into_iter().collect();
    assert_eq!(pending, ["site"], "one by file is missing, not pending");
    // Where nothing is ordered, it is missing like any other.
    let nothing = Directories {
        ordered: None,
        ..given.directories.clone()
    };
    assert!(all(&nothing).pending.is_empty());

    let put = |folder: &str, name: &str| {
        let (certificate, key) = pem(&["a.example.net"], 2020, 2100, true);
        let text = format!("{certificate}{key}");
        given.put(&format!("{folder}/{name}.pem"), &text);
        SecretText::new(&text)
    };
    let by_file = put("certificates", "site");
    let materials = all(&given.directories);
    assert!(materials.pending.is_empty() && materials.certificates["site"] == by_file);
    let before = materials.said["site"].serial.clone();
    let by_order = put("ordered", "site");
    put("ordered", "file");
    let materials = all(&given.directories);
    assert!(materials.certificates["site"] == by_order);
    assert_ne!(materials.said["site"].serial, before);
    assert!(
        !materials.certificates.contains_key("file"),
        "nobody wants that one ordered"
    );
}
