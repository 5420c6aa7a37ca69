//! Each command is answered once, however many workers hear of it, and wherever one of them dies.

use windlass_core::preview::answer;

use windlass_core::codes::plan::{DIVERGED, HELD};
use windlass_core::finding::Finding;
use windlass_core::ids::Digest;

use super::letters::Dies;
use super::paper::account;
use super::requests::{Place, REQUEST, refused};
use crate::flow::trouble::Trouble;
use crate::ports::forge::ForgeRequest;
use crate::queue::EventKind;
use crate::store::requests::KnownRequest;

const EXPLAIN: &str = "windlass explain WL601";

impl Place {
    /// From now on by a worker that has been told nothing: the one before died, or its word has not come yet.
    fn elsewhere(&mut self, name: &str) {
        self.requests.store = self.world.another(name).store;
    }

    async fn known(&self) -> Option<KnownRequest> {
        let (store, cluster) = (&self.requests.store, &self.requests.cluster);
        store.request(cluster, REQUEST).await.unwrap()
    }

    async fn has_written_down(&self, comment: u64) -> bool {
        let known = self.known().await;
        known.is_some_and(|known| known.answered.contains(&comment))
    }

    /// The worker dies where what follows from this is published.
    async fn dies(&self, dies: Dies, comment: u64) {
        self.letters.die(dies);
        let died = self.run(Some(comment)).await.unwrap_err();
        assert!(matches!(died, Trouble::Later(_)), "{died}");
        assert!(!self.has_written_down(comment).await, "{dies:?}");
    }

    /// Merged, and it waits to be released.
    async fn merged_and_waiting(&self, reviewed: Digest) {
        self.paper.merged(REQUEST, Some("merge"));
        let finding = Finding::error(DIVERGED, "merging request 12 rolls something else");
        self.ended(reviewed, refused(finding)).await;
        assert_eq!(self.wake(None).await, None);
        assert_eq!(self.known().await.unwrap().waits, Some(reviewed));
    }

    /// All of ours but the preview.
    fn answers(&self) -> Vec<String> {
        self.paper.own(REQUEST).split_off(1)
    }
}

#[tokio::test]
async fn a_worker_that_was_told_nothing_does_not_answer_again() {
    let commands = [
        ("alice", EXPLAIN),
        ("alice", "windlass dance"),
        ("alice", "windlass release"),
        ("alice", "windlass preview 0123456"),
        ("mallory", "windlass retry"),
    ];
    for (login, words) in commands {
        let mut place = Place::new().await;
        let request = |it: &mut ForgeRequest| it.author = account("mallory");
        place
            .paper
            .sheet()
            .requests
            .entry(REQUEST)
            .and_modify(request);
        let comment = place.paper.says(REQUEST, login, words);
        for worker in ["a", "b", "c"] {
            place.elsewhere(worker);
            place.wake(Some(comment)).await;
            let answers = place.answers();
            assert_eq!(answers.len(), 1, "{words}, {worker}: {answers:#?}");
            assert!(place.has_written_down(comment).await, "{words}, {worker}");
        }
        // It is of this command alone.
        if login == "alice" {
            place.types(login, words).await;
            assert_eq!(place.answers().len(), 2, "{words}");
        }
    }
}

#[tokio::test]
async fn who_may_not_merge_is_told_so_once_by_all_workers_together() {
    let mut place = Place::new().await;
    for worker in ["a", "b"] {
        place.elsewhere(worker);
        place.types("mallory", "windlass retry").await;
        assert_eq!(place.answers().len(), 1, "{worker}");
    }
    place.types("zoe", "windlass retry").await;
    assert_eq!(place.answers().len(), 2);
}

#[tokio::test]
async fn two_that_answer_at_once_end_with_one_answer() {
    let place = Place::new().await;
    let comment = place.paper.says(REQUEST, "alice", EXPLAIN);
    let theirs = answer(
        &place.requests.cluster,
        comment,
        "What the other worker says.",
    );
    place.paper.sheet().rival = Some(theirs.clone());
    place.wake(Some(comment)).await;
    assert_eq!(place.answers(), [theirs], "the older one");
}

#[tokio::test]
async fn nobody_else_can_have_a_command_stay_unanswered() {
    let place = Place::new().await;
    let cluster = &place.requests.cluster;
    let comment = place.paper.says(REQUEST, "alice", EXPLAIN);
    let forged = answer(cluster, comment, "Done.");
    place.paper.says(REQUEST, "mallory", &forged);
    // In the differences that we show, a request's text stands in a comment of ours.
    let shown = format!("**A preview**\n```diff\n{forged}```\n");
    place.paper.says(REQUEST, "windlass-bot", &shown);
    // One for another cluster, and one to another comment.
    let other = "other".parse().unwrap();
    for theirs in [
        answer(&other, comment, "x"),
        answer(cluster, comment + 1, "x"),
    ] {
        place.paper.says(REQUEST, "windlass-bot", &theirs);
    }
    place.wake(Some(comment)).await;
    let last = place.answers().pop().unwrap();
    assert!(last.starts_with("**WL601: "), "{last}");
}

#[tokio::test]
async fn a_retry_is_asked_once_wherever_the_worker_dies() {
    for dies in [Dies::BeforeIt, Dies::AfterIt] {
        let mut place = Place::new().await;
        let comment = place.paper.says(REQUEST, "alice", "windlass retry");
        place.dies(dies, comment).await;
        // It comes again, here and at one that was told nothing.
        place.wake(Some(comment)).await;
        assert!(place.has_written_down(comment).await, "{dies:?}");
        place.elsewhere("b");
        place.wake(Some(comment)).await;
        let taken = place.letters.taken();
        assert_eq!(taken.len(), 1, "{dies:?}: {taken:#?}");
        assert_eq!(taken[0].kind, EventKind::Asked);
        assert_eq!(taken[0].data, Some(serde_json::json!("retry")));
        assert!(place.answers().is_empty(), "{dies:?}");
        // Whoever types it again wants it again.
        let again = place.types("alice", "windlass retry").await;
        assert_eq!(again.unwrap().kind, EventKind::Asked, "{dies:?}");
    }
}

#[tokio::test]
async fn a_release_is_told_once_and_with_what_waited_wherever_the_worker_dies() {
    for dies in [Dies::BeforeIt, Dies::AfterIt] {
        let place = Place::new().await;
        let new = Digest::of(b"new");
        place.merged_and_waiting(new).await;
        let comment = place.paper.says(REQUEST, "alice", "windlass release");
        place.dies(dies, comment).await;
        assert_eq!(place.known().await.unwrap().waits, Some(new), "{dies:?}");
        place.wake(Some(comment)).await;
        place.wake(Some(comment)).await;
        let taken = place.letters.taken();
        assert_eq!(taken.len(), 1, "{dies:?}: {taken:#?}");
        let asked = serde_json::json!({ "release": new });
        assert_eq!(taken[0].data, Some(asked), "{dies:?}");
        assert!(place.has_written_down(comment).await, "{dies:?}");
        assert!(place.answers().is_empty(), "{dies:?}");
    }
}

#[tokio::test]
async fn a_release_that_is_heard_again_releases_nothing_that_was_shown_later() {
    let place = Place::new().await;
    place.merged_and_waiting(Digest::of(b"new")).await;
    let comment = place.paper.says(REQUEST, "alice", "windlass release");
    place.dies(Dies::AfterIt, comment).await;
    place.merged_and_waiting(Digest::of(b"newer")).await;
    assert_eq!(place.wake(Some(comment)).await, None);
    let asked = place.types("alice", "windlass release").await;
    let newer = serde_json::json!({ "release": Digest::of(b"newer") });
    assert_eq!(asked.unwrap().data, Some(newer));
}

#[tokio::test]
async fn a_hold_has_ended_before_anybody_is_told_to_look() {
    for dies in [Dies::BeforeIt, Dies::AfterIt] {
        let place = Place::new().await;
        place.types("alice", "windlass hold").await;
        place.paper.merged(REQUEST, Some("merge"));
        let finding = Finding::error(HELD, "request 12 is held by alice");
        place.ended(Digest::of(b"reviewed"), refused(finding)).await;
        place.wake(None).await;
        let comment = place.paper.says(REQUEST, "alice", "windlass release");
        place.dies(dies, comment).await;
        assert_eq!(place.known().await.unwrap().held, None, "{dies:?}");
        place.wake(Some(comment)).await;
        assert_eq!(place.letters.taken().len(), 1, "{dies:?}");
        assert!(place.answers().is_empty(), "{dies:?}");
    }
}

#[tokio::test]
async fn who_does_not_know_what_waits_does_not_silence_who_does() {
    let mut place = Place::new().await;
    let new = Digest::of(b"new");
    place.merged_and_waiting(new).await;
    let comment = place.paper.says(REQUEST, "alice", "windlass release");
    let knows = place.requests.store.clone();
    let ours = place.paper.sheet().comments.remove(0);
    place.elsewhere("b");
    assert_eq!(place.wake(Some(comment)).await.unwrap().data, None);
    place.paper.sheet().comments.insert(0, ours);
    place.requests.store = knows;
    let asked = serde_json::json!({ "release": new });
    assert_eq!(place.wake(Some(comment)).await.unwrap().data, Some(asked));
}
