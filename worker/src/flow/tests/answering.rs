//! Each command is answered once, however many workers hear of it, and wherever one of them dies.

use windlass_core::preview::answer;

use super::paper::account;
use super::requests::{Place, REQUEST};
use crate::ports::forge::ForgeRequest;

const EXPLAIN: &str = "windlass explain WL601";

impl Place {
    /// From now on by a worker that has been told nothing: the one before died, or its word has not come yet.
    fn elsewhere(&mut self, name: &str) {
        self.requests.store = self.world.another(name).store;
    }

    async fn has_written_down(&self, comment: u64) -> bool {
        let (store, cluster) = (&self.requests.store, &self.requests.cluster);
        let known = store.request(cluster, REQUEST).await.unwrap();
        known.is_some_and(|known| known.answered.contains(&comment))
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
