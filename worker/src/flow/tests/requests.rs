//! What people type in a request, and what they are told after the merge.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use windlass_core::codes::plan::{DIVERGED, HELD, QUARANTINED};
use windlass_core::finding::{Finding, Findings};
use windlass_core::ids::Digest;
use windlass_core::outcome::{Failure, Outcome};
use windlass_core::preview::{Flavour, Limits, Preview, Request, Verdict};
use windlass_core::report::diff::Shared;

use super::letters::Letters;
use super::paper::Paper;
use super::world::World;
use crate::flow::request::{Policy, Previewer, Requests, Who};
use crate::flow::trouble::Trouble;
use crate::ports::forge::ForgeRequest;
use crate::queue::{Event, EventKind};
use crate::store::Store;
use crate::store::reports::Report;

pub(super) const REQUEST: u64 = 12;

/// Finds the same each time.
pub(super) struct Same {
    store: Store,
    base: String,
    pub(super) diffs: Vec<Shared>,
    pub(super) looks: AtomicUsize,
}

impl Previewer for Same {
    async fn look(&self, request: &ForgeRequest, _: &CancellationToken) -> Option<Preview> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mut preview = preview(&request.head, &self.base, Digest::of(b"reviewed"));
        preview.diffs.clone_from(&self.diffs);
        Some(self.store.add_preview(preview, None).await.unwrap())
    }
}

pub(super) fn preview(head: &str, base: &str, bundle: Digest) -> Preview {
    let request = Request {
        number: REQUEST,
        head: head.to_owned(),
        base: base.to_owned(),
        branch: "main".to_owned(),
    };
    let verdict = Verdict::WouldChange {
        nodes: 1,
        of: 2,
        files: 1,
    };
    let mut preview = Preview::new("example".parse().unwrap(), request, verdict);
    preview.bundle = Some(bundle);
    preview
}

pub(super) struct Place {
    pub(super) world: World,
    pub(super) paper: Paper,
    pub(super) letters: Letters,
    pub(super) requests: Requests<Paper, Same>,
}

impl Place {
    /// With an open request that was previewed.
    pub(super) async fn new() -> Self {
        let (world, paper) = (World::new(), Paper::default());
        let letters = Letters::new(&world);
        let requests = requests(&world, &paper, &letters);
        let place = Self {
            world,
            paper,
            letters,
            requests,
        };
        place.paper.open(REQUEST, "head");
        assert_eq!(place.wake(None).await, None);
        assert_eq!(place.paper.own(REQUEST).len(), 1);
        place
    }

    pub(super) fn looks(&self) -> usize {
        self.requests.previews.looks.load(Ordering::Relaxed)
    }

    /// Gives the event that followed, where there is a new one.
    pub(super) async fn wake(&self, comment: Option<u64>) -> Option<Event> {
        let before = self.letters.taken().len();
        let ran = self.run(comment).await;
        ran.unwrap_or_else(|trouble| panic!("{trouble}"));
        self.letters.taken().get(before).cloned()
    }

    pub(super) async fn run(&self, comment: Option<u64>) -> Result<(), Trouble> {
        let cluster = &self.requests.cluster;
        let event = Event::new(EventKind::Request, "/test", cluster, "id");
        let data = serde_json::json!({ "request": REQUEST, "comment": comment });
        self.requests.run(&event.with(data)).await
    }

    pub(super) async fn types(&self, login: &str, words: &str) -> Option<Event> {
        let comment = self.paper.says(REQUEST, login, words);
        self.wake(Some(comment)).await
    }

    /// What the comment says, its first line and the rest.
    pub(super) fn comment(&self) -> String {
        self.paper.own(REQUEST).remove(0)
    }

    pub(super) async fn ended(&self, reviewed: Digest, outcome: Outcome) {
        self.reported("merge", reviewed, outcome).await;
    }

    pub(super) async fn reported(&self, commit: &str, reviewed: Digest, outcome: Outcome) {
        let report = Report {
            id: 0,
            roll: None,
            cluster: self.requests.cluster.clone(),
            commit: commit.to_owned(),
            subject: "Merge".to_owned(),
            bundle: None,
            reviewed: Some(reviewed),
            trigger: "push".to_owned(),
            started: Timestamp::now(),
            ended: Timestamp::now(),
            outcome,
        };
        self.requests.store.add_report(report).await.unwrap();
    }
}

fn requests(world: &World, paper: &Paper, letters: &Letters) -> Requests<Paper, Same> {
    let deploy = &world.deploy;
    Requests {
        cluster: deploy.cluster.clone(),
        branch: "main".to_owned(),
        forge: paper.clone(),
        previews: Same {
            store: deploy.store.clone(),
            base: world.git(&["rev-parse", "main"]),
            diffs: Vec::new(),
            looks: AtomicUsize::new(0),
        },
        source: deploy.source.clone(),
        store: deploy.store.clone(),
        queue: Arc::new(letters.clone()),
        limits: Limits::of(Flavour::GitHub),
        policy: Policy {
            from: Who::Members,
            authors: Vec::new(),
        },
        stop: CancellationToken::new(),
        state: Default::default(),
    }
}

pub(super) fn refused(finding: Finding) -> Outcome {
    Outcome::Refused {
        findings: Findings::from_iter([finding]),
    }
}

pub(super) fn back() -> Outcome {
    let failure = Failure {
        node: "one".parse().unwrap(),
        step: "gates".to_owned(),
        what: "a gate".to_owned(),
        message: "it does not hold".to_owned(),
        log: vec![],
    };
    Outcome::RolledBack {
        failure,
        nodes: vec!["one".parse().unwrap()],
        kept: vec![],
    }
}

#[tokio::test]
async fn our_comment_that_somebody_edits_says_again_what_is_so() {
    let place = Place::new().await;
    let first = place.comment();
    for edited in [
        first.replace("would change 1 of 2 nodes", "would change nothing"),
        "All is well.".to_owned(),
    ] {
        place.paper.sheet().comments[0].1.body = edited;
        assert_eq!(place.wake(None).await, None);
        assert_eq!(place.paper.own(REQUEST), std::slice::from_ref(&first));
    }
}

#[tokio::test]
async fn a_request_is_held_over_a_restart_and_released_by_who_may_merge() {
    let mut place = Place::new().await;
    let verdict = "merging would change 1 of 2 nodes (1 file)";
    assert_eq!(place.paper.status(), format!("Success: {verdict}"));
    assert_eq!(place.types("alice", "windlass hold").await, None);
    let held = format!("Pending: held by alice; {verdict}");
    assert_eq!(place.paper.status(), held);
    assert!(place.comment().contains("Held by `alice`"));

    // Another process, and a stranger who asks twice.
    place.requests = requests(&place.world, &place.paper, &place.letters);
    for _ in 0..2 {
        assert_eq!(place.types("mallory", "windlass release").await, None);
    }
    assert_eq!(place.paper.status(), held);
    let own = place.paper.own(REQUEST);
    assert!(own.len() == 2 && own[1].starts_with("Sorry"), "{own:?}");

    assert_eq!(place.types("alice", "windlass release").await, None);
    assert_eq!(place.paper.status(), format!("Success: {verdict}"));
    assert!(!place.comment().contains("Held by"));
    assert_eq!(place.types("alice", "windlass release").await, None);
    let last = place.paper.own(REQUEST).remove(2);
    assert!(last.starts_with("Nothing is held here."), "{last}");
}

#[tokio::test]
async fn a_merge_that_is_held_says_who_holds_it_until_it_is_released() {
    let place = Place::new().await;
    place.types("alice", "windlass hold").await;
    place.paper.merged(REQUEST, Some("merge"));
    place.wake(None).await;
    let status = "Pending: merged, and held by alice until it is released";
    assert_eq!(place.paper.status(), status);
    let finding = Finding::error(HELD, "request 12 is held by alice");
    let reviewed = Digest::of(b"reviewed");
    place.ended(reviewed, refused(finding)).await;
    place.wake(None).await;
    assert_eq!(place.paper.status(), "Pending: request 12 is held by alice");
    let first = "**Windlass on example: merged, and held until someone releases it**\n";
    assert!(place.comment().starts_with(first), "{}", place.comment());

    let event = place.types("alice", "windlass release").await.unwrap();
    assert_eq!((event.kind, event.data), (EventKind::Moved, None));
    let rolled = Outcome::RolledOut {
        nodes: vec!["one".parse().unwrap()],
        skipped: vec![],
    };
    place.ended(reviewed, rolled).await;
    place.wake(None).await;
    assert_eq!(place.paper.status(), "Success: rolled out to one");
    place.types("alice", "windlass hold").await;
    let last = place.paper.own(REQUEST).pop().unwrap();
    assert!(last.starts_with("It was rolled already"), "{last}");
}

#[tokio::test]
async fn what_is_not_as_reviewed_is_shown_and_released_as_it_was_shown() {
    let place = Place::new().await;
    place.paper.merged(REQUEST, Some("merge"));
    let (store, cluster) = (&place.requests.store, &place.requests.cluster);
    let new = Digest::of(b"new");
    let address = Some("https://windlass.example.org");
    let planned = preview("head", "0123456789abcdef", new);
    store.add_preview(planned, address).await.unwrap();
    let finding = Finding::error(DIVERGED, "merging request 12 rolls something else");
    place.ended(new, refused(finding)).await;
    place.wake(None).await;
    let status = "Pending: merged, and waits: this is not what was reviewed";
    assert_eq!(place.paper.status(), status);
    let (comment, reviewed) = (place.comment(), Digest::of(b"reviewed"));
    for part in [
        format!(
            "The comment showed bundle `{reviewed}`, and `{new}` would be rolled, at `0123456789ab`."
        ),
        "Type `windlass release` to have it rolled.".to_owned(),
        "<https://windlass.example.org/previews/".to_owned(),
        format!("Bundle `{reviewed}` is what was reviewed here."),
    ] {
        assert!(comment.contains(&part), "{part}\n{comment}");
    }

    let event = place.types("alice", "windlass release").await.unwrap();
    let asked = serde_json::json!({ "release": new });
    assert_eq!((event.kind, event.data), (EventKind::Moved, Some(asked)));
    let rolled = Outcome::RolledOut {
        nodes: vec!["one".parse().unwrap()],
        skipped: vec![],
    };
    place.ended(new, rolled).await;
    place.wake(None).await;
    assert_eq!(place.paper.status(), "Success: rolled out to one");
    let comment = place.comment();
    assert!(
        comment.contains(&format!("`{new}` was rolled")),
        "{comment}"
    );
    let known = store.request(cluster, REQUEST).await.unwrap().unwrap();
    assert_eq!(known.waits, None);
}

#[tokio::test]
async fn that_nothing_is_tried_again_does_not_hide_how_it_went_back() {
    let place = Place::new().await;
    place.paper.merged(REQUEST, Some("merge"));
    let reviewed = Digest::of(b"reviewed");
    place.ended(reviewed, back()).await;
    let finding = Finding::error(QUARANTINED, "rolled back before");
    place.ended(reviewed, refused(finding)).await;
    place.wake(None).await;
    assert_eq!(
        place.paper.status(),
        "Failure: rolled back (one, gates: a gate)"
    );
}

#[tokio::test]
async fn commands_that_no_webhook_told_of_are_found_once() {
    let place = Place::new().await;
    let start = Timestamp::now();
    let missed = async |since| place.requests.missed(REQUEST, since).await.unwrap();
    let delivered = place.paper.says(REQUEST, "alice", "windlass explain WL601");
    place.wake(Some(delivered)).await;
    let lost = place.paper.says(REQUEST, "alice", "windlass hold");
    let words = place.paper.says(REQUEST, "alice", "just words");
    place.paper.is_changed(words, "windlass release");
    place.wake(Some(words)).await;
    assert_eq!(
        place.paper.own(REQUEST).len(),
        2,
        "an edited one is no command"
    );
    // Another worker, or one that lost its database: what is older than its last look is left alone.
    let later = start + Duration::from_secs(3600);
    assert!(missed(later).await.comments.is_empty());
    let found = missed(start).await;
    assert_eq!(found.comments, [lost]);
    place.requests.heard(REQUEST, &found).await.unwrap();
    assert!(missed(start).await.comments.is_empty());
    // From now on the number counts, whatever the clocks say.
    let next = place.paper.says(REQUEST, "mallory", "windlass retry");
    assert_eq!(missed(later).await.comments, [next]);
}

#[tokio::test]
async fn when_the_forge_wants_to_be_asked_again_is_passed_on() {
    let place = Place::new().await;
    let pause = Duration::from_secs(600);
    place.paper.sheet().away = true;
    place.paper.sheet().again = Some(pause);
    let trouble = place.run(None).await.unwrap_err();
    assert!(
        matches!(&trouble, Trouble::Again(again, _) if *again == pause),
        "{trouble}"
    );
}
