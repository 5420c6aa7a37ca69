//! The starter repository as `windlass init` writes it: valid at once, without a warning, so that a newcomer's
//! first `windlass check` is green.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use windlass_core::model;
use windlass_core::snapshot::Snapshot;

fn template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../repo-template")
}

fn read(folder: &Path, root: &Path, into: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, root, into);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            into.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
        }
    }
}

fn snapshot_with(more: &[(&str, &str)]) -> Snapshot {
    let mut files = BTreeMap::new();
    read(&template(), &template(), &mut files);
    for (to, from) in more {
        let text = files[*from].clone();
        files.insert((*to).to_owned(), text);
    }
    Snapshot::of_texts(
        "worktree",
        files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str())),
    )
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
    let loaded = model::load(&snapshot_with(&[]));
    assert!(loaded.findings.is_empty(), "{:#?}", loaded.findings);
    assert_eq!(loaded.model.unwrap().nodes.len(), 4);
}

#[test]
fn its_examples_are_valid_where_they_belong() {
    let loaded = model::load(&snapshot_with(&EXAMPLES));
    assert!(loaded.findings.is_empty(), "{:#?}", loaded.findings);
    assert_eq!(loaded.model.unwrap().sites.len(), 2);
}
