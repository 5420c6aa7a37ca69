//! The starter repository through every real checking program, as it is and with mistakes that only a program sees.

use std::path::Path;
use std::sync::Mutex;

use tokio_util::sync::CancellationToken;
use windlass::check::{Checker, Progress, Remembered, Sandbox};
use windlass::git::checkout::snapshot_worktree;
use windlass::materials::{self, Directories};
use windlass_core::component;
use windlass_core::finding::Findings;
use windlass_core::model;
use windlass_core::release::Bundle;
use windlass_core::render::{self, Cache, Inputs};
use windlass_core::snapshot::{Entry, Snapshot};

fn starter() -> Snapshot {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../repo-template");
    snapshot_worktree(&folder).unwrap()
}

fn replaced(mut snapshot: Snapshot, path: &str, from: &str, to: &str) -> Snapshot {
    let old = String::from_utf8(snapshot.file(path).unwrap().to_vec()).unwrap();
    assert!(old.contains(from), "{path} lacks {from:?}");
    let new = old.replace(from, to);
    let entry = Entry::File(new.into_bytes().into());
    snapshot.entries.insert(path.to_owned(), entry);
    snapshot
}

fn bundle(snapshot: &Snapshot) -> Bundle {
    let loaded = model::load(snapshot);
    let model = loaded
        .model
        .unwrap_or_else(|| panic!("{:#?}", loaded.findings));
    let (components, findings) = component::load(snapshot);
    assert!(!findings.has_errors(), "{findings:#?}");
    let (materials, _) = materials::load(&Directories::default()).unwrap();
    let inputs = Inputs {
        snapshot,
        model: &model,
        components: &components,
        materials: &materials,
    };
    let rendered = render::render(inputs, &mut Cache::default());
    rendered
        .bundle
        .unwrap_or_else(|| panic!("{:#?}", rendered.findings))
}

/// The findings, and how many checks were run and how many were known.
async fn checked(snapshot: &Snapshot, remembered: &Remembered) -> (Findings, usize, usize) {
    let counts = Mutex::new((0, 0));
    let tell = |progress: Progress| {
        let mut counts = counts.lock().unwrap();
        match progress.remembered {
            true => counts.1 += 1,
            false => counts.0 += 1,
        }
    };
    let checker = Checker::new(Sandbox::default());
    let cancel = CancellationToken::new();
    let bundle = bundle(snapshot);
    let found = checker.run(&bundle, remembered, &tell, &cancel).await;
    let (run, known) = *counts.lock().unwrap();
    (found.unwrap(), run, known)
}

#[tokio::test]
async fn the_starter_passes_and_one_change_rechecks_only_what_it_touches() {
    let remembered = Remembered::default();
    let (findings, run, known) = checked(&starter(), &remembered).await;
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(run > 5 && known == 0, "{run} run, {known} known");

    let ttl = replaced(
        starter(),
        "sites/www.yaml",
        "This page will be back",
        "We will be back",
    );
    let (findings, changed, known) = checked(&ttl, &remembered).await;
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(changed < run, "{changed} of {run} were run again");
    assert_eq!(changed + known, run);
}

#[tokio::test]
async fn what_only_haproxy_sees_leads_to_the_line_and_its_template() {
    let path = "components/haproxy/haproxy.cfg.tera";
    let broken = replaced(starter(), path, "timeout connect", "timeout conect");
    let (findings, ..) = checked(&broken, &Remembered::default()).await;
    let text = format!("{findings:#?}");
    let finding = findings.iter().find(|finding| finding.excerpt.is_some());
    let finding = finding.unwrap_or_else(|| panic!("{text}"));
    let excerpt = finding.excerpt.as_ref().unwrap();
    assert_eq!(excerpt.path, "/etc/haproxy/haproxy.cfg");
    assert!(excerpt.text.contains("timeout conect"), "{text}");
    assert_eq!(finding.at.as_ref().unwrap().file, path);
    assert_eq!(finding.node, None, "one mistake on all nodes is told once");
}
