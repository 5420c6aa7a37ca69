//! Requests whose ground moves: the nodes, the branch, the account that comments, and their own head.

use windlass_core::codes::plan::LOCKED;
use windlass_core::finding::Finding;
use windlass_core::ids::Digest;
use windlass_core::outcome::Outcome;
use windlass_core::plan::ChangeKind;
use windlass_core::report::diff::{FileDiff, Shared};

use super::paper::account;
use super::requests::{Place, REQUEST, back, refused};
use crate::ports::forge::Stage;
use crate::store::requests as store;

fn rolled() -> Outcome {
    Outcome::RolledOut {
        nodes: vec!["one".parse().unwrap()],
        skipped: vec![],
    }
}

impl Place {
    fn pushed(&self, head: &str) {
        let mut sheet = self.paper.sheet();
        head.clone_into(&mut sheet.requests.get_mut(&REQUEST).unwrap().head);
    }

    async fn stage(&self) -> store::Stage {
        let (store, cluster) = (&self.requests.store, &self.requests.cluster);
        let known = store.request(cluster, REQUEST).await.unwrap();
        known.unwrap().stage
    }
}

#[tokio::test]
async fn what_a_roll_left_on_the_nodes_is_looked_at_again_once() {
    let place = Place::new().await;
    let reviewed = Digest::of(b"reviewed");
    place.wake(None).await;
    assert_eq!(place.looks(), 1);
    for outcome in [rolled(), back()] {
        let before = place.looks();
        place.reported("another", reviewed, outcome).await;
        place.wake(None).await;
        place.wake(None).await;
        assert_eq!(place.looks(), before + 1);
    }
    let locked = refused(Finding::error(LOCKED, "locked"));
    place.reported("another", reviewed, locked).await;
    place.wake(None).await;
    assert_eq!(place.looks(), 3, "nothing on a node has changed");
}

#[tokio::test]
async fn what_is_closed_or_against_another_branch_says_so_and_comes_back() {
    let place = Place::new().await;
    let change = |stage: Stage, branch: &str| {
        let mut sheet = place.paper.sheet();
        let request = sheet.requests.get_mut(&REQUEST).unwrap();
        (request.stage, request.branch) = (stage, branch.to_owned());
    };
    for (stage, branch, words) in [
        (
            Stage::Closed,
            "main",
            "closed without being merged, nothing is rolled",
        ),
        (
            Stage::Open,
            "main",
            "merging would change 1 of 2 nodes (1 file)",
        ),
        (
            Stage::Open,
            "dev",
            "against another branch now, merging it rolls nothing here",
        ),
        (
            Stage::Open,
            "main",
            "merging would change 1 of 2 nodes (1 file)",
        ),
    ] {
        change(stage, branch);
        place.wake(None).await;
        let first = format!("**Windlass on example: {words}**\n");
        assert!(place.comment().starts_with(&first), "{}", place.comment());
        assert_eq!(place.paper.status(), format!("Success: {words}"));
        assert_eq!(place.paper.own(REQUEST).len(), 1);
    }
    assert_eq!(place.looks(), 1, "what was told before is still true");
}

#[tokio::test]
async fn the_successor_of_our_account_writes_a_comment_of_its_own() {
    let place = Place::new().await;
    place.paper.sheet().successor = Some("windlass-bot-2");
    for head in ["second", "third"] {
        place.pushed(head);
        place.wake(None).await;
        let own = place.paper.own(REQUEST);
        assert!(own.len() == 2 && own[1].contains(head), "{own:#?}");
    }
}

#[tokio::test]
async fn a_word_is_for_the_head_that_was_shown_when_it_was_typed() {
    let place = Place::new().await;
    let stranger = account("mallory");
    place
        .paper
        .sheet()
        .requests
        .get_mut(&REQUEST)
        .unwrap()
        .author = stranger;
    let says = |words: &str| place.paper.says(REQUEST, "alice", words);
    place.pushed("2222222222");
    place.wake(None).await;
    assert!(place.comment().contains("`2222222222` merged"));

    // Pushed after the word, and known of before or after it.
    let typed = says("windlass preview");
    place.pushed("3333333333");
    place.wake(Some(typed)).await;
    let late = says("windlass preview");
    place.pushed("4444444444");
    place.wake(None).await;
    assert!(place.comment().contains("`4444444444` merged"));
    place.wake(Some(late)).await;
    assert_eq!(place.looks(), 1, "nobody has seen those");
    let own = place.paper.own(REQUEST);
    assert!(
        own[2].contains("type `windlass preview 4444444444`"),
        "{own:#?}"
    );

    place.types("alice", "windlass preview 3333333333").await;
    assert_eq!(place.looks(), 1);
    place.types("alice", "windlass preview 44444444").await;
    assert_eq!(place.looks(), 2);
    place.pushed("5555555555");
    place.wake(None).await;
    assert_eq!(place.looks(), 2);
    place.types("alice", "windlass preview").await;
    assert_eq!(place.looks(), 3, "our comment showed this one");
}

#[tokio::test]
async fn a_long_preview_is_told_again_with_its_differences() {
    let mut place = Place::new().await;
    let file = |number: usize| Shared {
        nodes: vec!["one".parse().unwrap()],
        file: FileDiff {
            path: format!("/etc/{number}.conf").parse().unwrap(),
            kind: ChangeKind::Create,
            added: 1000,
            removed: 0,
            diff: Some("+a line of forty characters, more or less\n".repeat(1000)),
            note: None,
        },
    };
    // More than is kept of a preview, so that its page does not hold them all.
    place.requests.previews.diffs = (0..150).map(file).collect();
    place.pushed("second");
    place.wake(None).await;
    let told = place.comment();
    assert!(
        told.contains("a line of forty") && told.contains("149 files more left out"),
        "{told}"
    );
    place.wake(None).await;
    assert_eq!(place.looks(), 2);
    assert_eq!(place.comment(), told);

    let merge = place.world.git(&["rev-parse", "main"]);
    place.paper.merged(REQUEST, Some(&merge));
    place
        .reported(&merge, Digest::of(b"reviewed"), rolled())
        .await;
    place.wake(None).await;
    let after = place.comment();
    assert!(
        after.starts_with("**Windlass on example: rolled out to one"),
        "{after}"
    );
    assert!(
        after.contains("a line of forty") && after.contains("149 files more left out"),
        "{after}"
    );
}

#[tokio::test]
async fn a_merge_keeps_its_own_outcome_however_much_comes_after_it() {
    let place = Place::new().await;
    let reviewed = Digest::of(b"reviewed");
    let merge = place.world.commit("Merge");
    let later = place.world.commit("Later");
    place.requests.source.fetch().await.unwrap();
    place.paper.merged(REQUEST, Some(&merge));
    place.reported(&merge, reviewed, back()).await;
    place.wake(None).await;
    let told = "Failure: rolled back (one, gates: a gate)";
    assert_eq!(place.paper.status(), told);
    for number in 0..120 {
        let finding = Finding::error(LOCKED, format!("locked, {number}"));
        place.reported(&later, reviewed, refused(finding)).await;
    }
    place.wake(None).await;
    assert_eq!(place.paper.status(), told);
    assert_eq!(
        place.stage().await,
        store::Stage::Merged,
        "it may be tried again"
    );
    // What contains it was rolled: nothing more becomes of it, and its comments are not listed any more.
    place.reported(&later, reviewed, rolled()).await;
    place.wake(None).await;
    assert_eq!(place.paper.status(), told);
    assert_eq!(place.stage().await, store::Stage::Over);
}
