//! What a request that means well is told.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;
use windlass::check::Sandbox;
use windlass::flow::preview::{Stranger, Superseded};
use windlass::store::Store;
use windlass_core::preview::{Against, Flavour, Limits, Preview, Verdict, comment};

use crate::world::{SECRET, World, with};

const SITE: &str = "sites/www.yaml";

fn paths(preview: &Preview) -> Vec<String> {
    let files = preview.diffs.iter();
    let mut paths: Vec<String> = files.map(|shared| shared.file.path.to_string()).collect();
    paths.sort();
    paths.dedup();
    paths
}

fn text(world: &World) {
    world.edit(SITE, "This page will be", "We will be");
}

#[tokio::test]
async fn a_change_is_planned_against_what_the_nodes_hold_and_merging_rolls_that_bundle() {
    let world = World::new();
    let asked = world.request(12, text);
    let preview = world.look(&asked).await;
    assert!(
        matches!(preview.verdict, Verdict::WouldChange { .. }),
        "{preview:#?}"
    );
    assert_eq!(preview.against, Against::Nodes);
    // The secret files of all name servers are left alone, though nobody showed the secret to what rendered them.
    assert_eq!(
        paths(&preview),
        ["/etc/haproxy/errors/site-www.html"],
        "{preview:#?}"
    );
    assert_eq!(preview.diffs.len(), 1, "equal differences are told once");
    assert!(!serde_json::to_string(&preview).unwrap().contains(SECRET));

    world.git(&["merge", "--quiet", "--no-edit", "request"]);
    let rolled = world.bundle("main");
    assert!(preview.reviewed(&rolled.reviewed()));
    let told = comment(&preview, &Limits::of(Flavour::GitHub));
    assert!(told.contains(&rolled.reviewed().to_string()), "{told}");
}

#[tokio::test]
async fn what_nodes_hold_otherwise_than_the_base_is_read_from_them_and_nothing_else() {
    let world = World::new();
    world.look(&world.request(1, text)).await;
    assert!(world.nodes.read.lock().unwrap().is_empty());

    world.edit(SITE, "This page will be", "Soon this page will be");
    world.commit("Merged, and not rolled yet");
    let asked = world.request(2, |world| world.edit(SITE, "Soon this", "Now this"));
    let preview = world.look(&asked).await;
    let diff = preview.diffs[0].file.diff.clone().unwrap();
    assert!(
        diff.contains("This page will be") && diff.contains("Now this"),
        "{diff}"
    );
    assert!(!diff.contains("Soon"), "{diff}");
    let read = world.nodes.read.lock().unwrap().clone();
    assert_eq!(
        read,
        ["/etc/haproxy/errors/site-www.html".to_owned()].into()
    );
}

#[tokio::test]
async fn a_secret_that_is_replaced_is_told_with_fingerprints_and_no_value() {
    const OTHER: &str = "YW5vdGhlci1zZWNyZXQtb2YtdGhpcnR5LXR3by1ieXRlcyE=";
    let world = World::new();
    std::fs::write(world.dir.path().join("secrets/other_key"), OTHER).unwrap();
    let component = "components/bind-secondary/component.yaml";
    let asked = world.request(1, |world| {
        world.edit(component, "secrets: [xfer_key]", "secrets: [other_key]");
        world.edit(component, "secrets.xfer_key", "secrets.other_key");
    });
    let preview = world.look(&asked).await;
    assert_eq!(preview.against, Against::Nodes, "{preview:#?}");
    assert_eq!(paths(&preview), ["/etc/bind/windlass.key"], "{preview:#?}");
    let note = preview.diffs[0].file.note.clone().unwrap();
    let prints = note.strip_prefix("changed (fingerprint ").unwrap();
    let (before, after) = prints.strip_suffix(')').unwrap().split_once(" → ").unwrap();
    assert!(
        before != after && before.len() == 8 && after.len() == 8,
        "{note}"
    );
    let told = comment(&preview, &Limits::of(Flavour::GitHub));
    assert!(told.contains(&note), "{told}");
    let stored = serde_json::to_string(&preview).unwrap();
    assert!(!stored.contains(SECRET) && !stored.contains(OTHER));
}

#[tokio::test]
async fn what_changes_nothing_a_conflict_and_a_broken_request_are_told_as_such() {
    let world = World::new();
    let asked = world.request(1, |world| world.write("README.md", "Read me.\n"));
    assert_eq!(world.look(&asked).await.verdict, Verdict::NoChange);

    let asked = world.request(2, |world| world.edit(SITE, "hosts:", "hostz:"));
    let refused = world.look(&asked).await;
    assert_eq!(refused.verdict, Verdict::Refused, "{refused:#?}");
    assert!(refused.findings[0].text.contains("hostz"), "{refused:#?}");

    let asked = world.request(3, |world| {
        let path = "components/haproxy/haproxy.cfg.tera";
        world.edit(path, "timeout connect", "timeout conect");
    });
    let refused = world.look(&asked).await;
    assert_eq!(refused.verdict, Verdict::Refused, "{refused:#?}");
    let mut findings = refused.findings.iter();
    assert!(
        findings.any(|shown| shown.text.contains("timeout conect")),
        "{refused:#?}"
    );

    let asked = world.request(4, |world| world.write(SITE, "mine\n"));
    world.write(SITE, "theirs\n");
    world.commit("Meanwhile");
    let conflicted = world.look(&asked).await;
    let files = vec![SITE.to_owned()];
    assert_eq!(conflicted.verdict, Verdict::Conflicted { files });
    assert_eq!(conflicted.findings[0].finding.code.as_str(), "WL641");
}

#[tokio::test]
async fn nodes_that_are_away_are_named_and_the_difference_to_the_base_is_shown() {
    let world = World::new();
    world.nodes.away.lock().unwrap().insert("vps1".to_owned());
    let preview = world.look(&world.request(1, text)).await;
    assert_eq!(preview.against, Against::Base);
    assert_eq!(paths(&preview), ["/etc/haproxy/errors/site-www.html"]);
    let skipped = preview.roll.unwrap().skipped;
    assert!(
        skipped.iter().any(|one| one.node.as_str() == "vps1"),
        "{skipped:?}"
    );
}

#[tokio::test]
async fn a_newer_look_ends_the_older_and_others_go_on() {
    let world = World::new();
    let (one, two) = (world.request(1, text), world.request(2, text));
    let stop = CancellationToken::new();
    let (older, newer, other) = tokio::join!(
        world.previews.look(&one, &stop),
        async {
            tokio::task::yield_now().await;
            world.previews.look(&one, &stop).await
        },
        world.previews.look(&two, &stop),
    );
    assert_eq!(older, Err(Superseded));
    for preview in [newer, other] {
        assert!(matches!(
            preview.unwrap().verdict,
            Verdict::WouldChange { .. }
        ));
    }
}

#[tokio::test]
async fn without_a_sandbox_nothing_is_run_and_the_verdict_says_so() {
    let world = World::new();
    let sandbox = Sandbox::default().entered_by("bwrap-that-is-not-there");
    let stranger = Stranger::with(PathBuf::from("/bin/false"), sandbox);
    let previews = with(world.dir.path(), world.nodes.clone(), stranger);
    let asked = world.request(1, text);
    let preview = previews
        .look(&asked, &CancellationToken::new())
        .await
        .unwrap();
    let why = "bubblewrap is not installed".to_owned();
    assert_eq!(preview.verdict, Verdict::NotRun { why });
    assert!(preview.roll.is_none() && preview.diffs.is_empty());
}

#[tokio::test]
async fn a_preview_is_kept_and_names_its_page() {
    let world = World::new();
    let store = Store::open(&world.dir.path().join("windlass.db")).unwrap();
    let stranger = Stranger::with(
        PathBuf::from(env!("CARGO_BIN_EXE_windlass")),
        Sandbox::default(),
    );
    let address = Some("https://windlass.example.org".to_owned());
    let previews = with(world.dir.path(), world.nodes.clone(), stranger);
    let previews = previews.with_pages(store.clone(), address);
    let asked = world.request(1, text);
    let preview = previews
        .look(&asked, &CancellationToken::new())
        .await
        .unwrap();
    let page = preview.page.clone().unwrap();
    let id = page
        .strip_prefix("https://windlass.example.org/previews/")
        .unwrap();
    assert_eq!(store.preview(id).await.unwrap(), Some(preview));
}

#[tokio::test]
async fn a_remote_that_is_away_is_a_failure_that_says_so() {
    let world = World::new();
    let mut asked = world.request(1, text);
    asked.reference = "refs/pull/99/head".to_owned();
    let preview = world.look(&asked).await;
    assert!(
        matches!(preview.verdict, Verdict::Failed { .. }),
        "{preview:#?}"
    );
}

#[tokio::test]
async fn a_head_that_nobody_asked_about_is_not_looked_at() {
    let world = World::new();
    let asked = world.request(1, text);
    // The reference points elsewhere by now.
    world.request(1, |world| {
        world.edit(SITE, "This page will be", "Everyone will be")
    });
    let preview = world.look(&asked).await;
    let why = "it was pushed to in this moment".to_owned();
    assert_eq!(preview.verdict, Verdict::Failed { why });
    assert!(preview.findings.is_empty() && preview.request.head.is_empty());
}
