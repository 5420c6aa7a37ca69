//! The starter repository as `windlass init` writes it: valid at once, without a warning, so that a newcomer's
//! first `windlass check` is green, and what it renders is held as goldens, so that a change to a component shows
//! what it does to the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use windlass_core::component;
use windlass_core::finding::{Finding, Findings};
use windlass_core::materials::{Materials, SecretText};
use windlass_core::model;
use windlass_core::release::{Bundle, Release};
use windlass_core::render::{self, Inputs, component_tests};
use windlass_core::snapshot::Snapshot;

fn template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../repo-template")
}

fn read(folder: &Path, root: &Path, into: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, root, into)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
            into.insert(name.into_owned(), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

fn snapshot_with(more: &[(&str, &str)]) -> io::Result<Snapshot> {
    let mut files = BTreeMap::new();
    read(&template(), &template(), &mut files)?;
    for (to, from) in more {
        let text = files[*from].clone();
        files.insert((*to).to_owned(), text);
    }
    Ok(Snapshot::of_texts(
        "worktree",
        files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str())),
    ))
}

const EXAMPLES: [(&str, &str); 3] = [
    ("sites/blog.yaml", "docs/examples/sites/blog.yaml"),
    (
        "certificates/wildcard.yaml",
        "docs/examples/certificates/wildcard.yaml",
    ),
    (
        "forwards/git-ssh.yaml",
        "docs/examples/forwards/git-ssh.yaml",
    ),
];

#[test]
fn the_starter_repository_is_valid_without_a_warning() {
    let loaded = model::load(&snapshot_with(&[]).unwrap());
    assert!(loaded.findings.is_empty(), "{:#?}", loaded.findings);
    assert_eq!(loaded.model.unwrap().nodes.len(), 4);
}

#[test]
fn its_examples_are_valid_where_they_belong() {
    let loaded = model::load(&snapshot_with(&EXAMPLES).unwrap());
    assert!(loaded.findings.is_empty(), "{:#?}", loaded.findings);
    assert_eq!(loaded.model.unwrap().sites.len(), 2);
}

#[test]
fn its_components_pass_their_own_tests() {
    let snapshot = snapshot_with(&EXAMPLES).unwrap();
    let findings = component_tests::run(&snapshot);
    assert!(findings.is_empty(), "{findings:#?}");
}

/// With every secret given, so that nothing is missing.
fn render(snapshot: &Snapshot) -> (Option<Bundle>, Findings) {
    let loaded = model::load(snapshot);
    let Some(model) = loaded.model else {
        return (None, loaded.findings);
    };
    let (components, mut findings) = component::load(snapshot);
    let mut materials = Materials::none(SecretText::new("stand-in"));
    let given = [("xfer_key", "bm90IGEga2V5IGJ1dCBhIGdvbGRlbiBvbmU=")];
    let secrets = given.map(|(name, value)| (name.to_owned(), SecretText::new(value)));
    materials.secrets = secrets.into_iter().collect();
    let certificates = [("wildcard".to_owned(), SecretText::new("chain and key"))];
    materials.certificates = certificates.into_iter().collect();
    let inputs = Inputs {
        snapshot,
        model: &model,
        components: &components,
        materials: &materials,
    };
    let rendered = render::render(inputs, &mut render::Cache::default());
    findings.extend(rendered.findings);
    (rendered.bundle, findings)
}

fn told(release: &Release) -> String {
    let mut text = String::new();
    for (path, file) in &release.meta.files {
        text.push_str(&format!("==== {path} {} {}\n", file.mode, file.owner));
        if file.secret {
            text.push_str("(secret)\n");
        } else {
            text.push_str(&String::from_utf8_lossy(&release.contents[path]));
        }
    }
    text
}

#[test]
fn the_starter_repository_renders_without_a_finding() {
    for examples in [&[][..], &EXAMPLES] {
        let (bundle, findings) = render(&snapshot_with(examples).unwrap());
        assert!(findings.is_empty(), "{findings:#?}");
        assert_eq!(bundle.unwrap().releases.len(), 4);
    }
}

#[test]
fn what_the_nodes_would_hold_is_as_it_was() {
    let (bundle, _) = render(&snapshot_with(&EXAMPLES).unwrap());
    let releases = bundle.unwrap().releases;
    for node in ["vps1", "homelab"] {
        let release = releases
            .values()
            .find(|release| release.meta.node.as_str() == node);
        insta::assert_snapshot!(node, told(release.unwrap()));
    }
}

/// The starter with a site that wants a certificate; `cluster` are further variables of HAProxy, `vps2` is what that node
/// says more.
fn unanswered(cluster: &str, vps2: &str) -> io::Result<Vec<Finding>> {
    let mut files = BTreeMap::new();
    read(&template(), &template(), &mut files)?;
    let site = "hosts: [shop.example.org]\non: { nodes: [vps1, vps2] }\nport: 8090\ntls: {}\n";
    files.insert("sites/shop.yaml".to_owned(), site.to_owned());
    let acme = "acme:\n  authorities: [{ name: ca, directory: \"https://ca.example.net/dir\" }]\n";
    for (path, text) in [
        ("cluster.yaml", cluster),
        ("cluster.yaml", acme),
        ("nodes/vps2.yaml", vps2),
    ] {
        files.entry(path.to_owned()).or_default().push_str(text);
    }
    let texts = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    let (_, findings) = render(&Snapshot::of_texts("worktree", texts));
    let unanswered = findings.into_iter();
    Ok(unanswered
        .filter(|own| own.code.as_str() == "WL219")
        .collect())
}

#[test]
fn an_edge_that_has_no_way_to_the_worker_is_found_before_anything_is_ordered() {
    let told = unanswered("", "").unwrap();
    assert_eq!(told.len(), 1, "{told:#?}");
    let at = told[0].at.as_ref().unwrap();
    assert_eq!((at.file.as_str(), at.line), ("sites/shop.yaml", 1));
    let message = &told[0].message;
    assert!(
        message.contains("shop.example.org is ours") && message.ends_with("by vps1, vps2, vps3"),
        "{message}"
    );
    let hint = told[0].hint.as_deref().unwrap();
    assert!(
        hint.contains("acme_server") && hint.contains("challenge: dns"),
        "{hint}"
    );

    let answers = "      acme_server: \"198.51.100.20:8402\"\n";
    assert!(unanswered(answers, "").unwrap().is_empty());
    let several = "      acme_server: [\"198.51.100.20:8402\", \"198.51.100.21:8402\"]\n";
    assert!(unanswered(several, "").unwrap().is_empty());
    for nobody in ["[]", "[\"\"]"] {
        let nobody = format!("      acme_server: {nobody}\n");
        assert_eq!(unanswered(&nobody, "").unwrap().len(), 1, "{nobody}");
    }
    // A node may say otherwise than the cluster.
    let told = unanswered(answers, "vars: { haproxy: { acme_server: \"\" } }\n").unwrap();
    assert!(
        told.len() == 1 && told[0].message.ends_with("by vps2"),
        "{told:#?}"
    );
}
