//! Two workers with a database each, and what passes between them in whichever order.

use jiff::Timestamp;
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::outcome::Outcome;
use windlass_core::preview::{Preview, Request, Verdict};

use super::Store;
use super::reports::Report;
use super::requests::{KnownRequest, Stage};
use super::told::{Told, Untold};

struct Two {
    _dir: tempfile::TempDir,
    a: Store,
    b: Store,
}

fn cluster() -> ClusterName {
    "example".parse().unwrap()
}

impl Two {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(&dir.path().join(name)).unwrap();
        let (a, b) = (open("a.db"), open("b.db"));
        assert_ne!(a.worker().await.unwrap(), b.worker().await.unwrap());
        Self { _dir: dir, a, b }
    }
}

async fn take(store: &Store) -> Vec<Told> {
    let untold = store.untold(100).await.unwrap();
    let rows = untold.iter().map(|it| it.row.clone()).collect();
    store.was_told(rows).await.unwrap();
    let told = untold
        .into_iter()
        .map(|Untold { told, .. }| told.unwrap().1);
    told.collect()
}

async fn give(store: &Store, told: &[Told]) {
    for told in told {
        store.learn(&cluster(), told.clone()).await.unwrap();
    }
}

fn report(commit: &str) -> Report {
    Report {
        id: 0,
        roll: None,
        cluster: cluster(),
        commit: commit.to_owned(),
        subject: String::new(),
        bundle: None,
        reviewed: None,
        trigger: "push".to_owned(),
        started: Timestamp::UNIX_EPOCH,
        ended: Timestamp::UNIX_EPOCH,
        outcome: Outcome::Unchanged { skipped: vec![] },
    }
}

fn preview() -> Preview {
    let request = Request {
        number: 12,
        head: "head".to_owned(),
        base: "base".to_owned(),
        branch: "main".to_owned(),
    };
    Preview::new(cluster(), request, Verdict::NoChange)
}

async fn request(store: &Store) -> KnownRequest {
    store.request(&cluster(), 12).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_one_learns_the_other_has_too_and_tells_nobody_again() {
    let Two { _dir, a, b } = Two::new().await;
    let stored = a.add_report(report("one")).await.unwrap();
    let kept = a.add_preview(preview(), Some("https://w")).await.unwrap();
    let (released, quarantined) = (Digest::of(b"released"), Digest::of(b"bad"));
    a.rolled(&cluster(), "one").await.unwrap();
    a.release(&cluster(), released).await.unwrap();
    a.quarantine(&cluster(), quarantined, "a gate")
        .await
        .unwrap();
    let told = take(&a).await;
    assert_eq!(told.len(), 3, "{told:?}");
    give(&b, &told).await;
    give(&b, &told).await;

    let reports = b.reports(None, 10).await.unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(
        (&reports[0].roll, &reports[0].commit),
        (&stored.roll, &stored.commit)
    );
    let page = kept.page.clone().unwrap();
    let id = page.rsplit('/').next().unwrap();
    assert_eq!(b.preview(id).await.unwrap(), Some(kept));
    let record = b.cluster(&cluster()).await.unwrap();
    assert_eq!(record.rolled.as_deref(), Some("one"));
    assert_eq!(record.released, Some(released));
    let held = b.quarantined(&cluster()).await.unwrap();
    assert_eq!(held, a.quarantined(&cluster()).await.unwrap());
    assert_eq!((held[0].bundle, held[0].times), (quarantined, 1));
    assert_eq!(take(&b).await, []);
    assert_eq!(take(&a).await, []);

    a.lift_quarantine(&cluster()).await.unwrap();
    give(&b, &take(&a).await).await;
    assert!(b.quarantined(&cluster()).await.unwrap().is_empty());
    // What is older by now and comes late changes nothing.
    give(&b, &told).await;
    assert!(b.quarantined(&cluster()).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_newest_report_is_the_newest_at_both_whichever_came_first() {
    let Two { _dir, a, b } = Two::new().await;
    a.add_report(report("one")).await.unwrap();
    let first = take(&a).await;
    give(&b, &first).await;
    b.add_report(report("two")).await.unwrap();
    let second = take(&b).await;
    a.add_report(report("meanwhile")).await.unwrap();
    give(&a, &second).await;
    give(&b, &take(&a).await).await;
    let commits = async |store: &Store| -> Vec<String> {
        let reports = store.reports(None, 10).await.unwrap();
        reports.into_iter().map(|report| report.commit).collect()
    };
    assert_eq!(commits(&a).await, commits(&b).await);
    assert_eq!(commits(&b).await.last().unwrap(), "one");
    // Whoever hears of a report whose time is far ahead of its own clock goes on from there.
    let Told::Report(mut ahead) = second[0].clone() else {
        panic!("{second:?}")
    };
    ahead.at += 3_600_000;
    (ahead.report.roll, ahead.report.commit) = (Some("ahead".to_owned()), "ahead".to_owned());
    give(&a, &[Told::Report(ahead)]).await;
    a.add_report(report("after it")).await.unwrap();
    assert_eq!(commits(&a).await[..2], ["after it", "ahead"]);
}

#[tokio::test]
async fn two_that_write_at_once_come_to_the_same_and_lose_nothing_that_was_typed() {
    let Two { _dir, a, b } = Two::new().await;
    let mut known = KnownRequest::new(12);
    known.preview = Some(preview());
    a.remember_request(&cluster(), &known).await.unwrap();
    give(&b, &take(&a).await).await;

    let mut held = request(&a).await;
    (held.held, held.ruled) = (Some("alice".to_owned()), Some(40));
    held.answered.push(40);
    a.remember_request(&cluster(), &held).await.unwrap();
    let mut looked = request(&b).await;
    (looked.head, looked.heard) = ("newer".to_owned(), Some(41));
    looked.answered.push(39);
    b.remember_request(&cluster(), &looked).await.unwrap();
    let (of_a, of_b) = (take(&a).await, take(&b).await);
    give(&a, &of_b).await;
    give(&b, &of_a).await;

    let (at_a, at_b) = (request(&a).await, request(&b).await);
    assert_eq!(at_a, at_b);
    assert_eq!(
        (at_a.held.as_deref(), at_a.ruled),
        (Some("alice"), Some(40))
    );
    assert_eq!((at_a.answered, at_a.heard), (vec![39, 40], Some(41)));

    // A look here that began before the word came does not undo it either.
    let mut stale = looked;
    stale.stage = Stage::Merged;
    b.remember_request(&cluster(), &stale).await.unwrap();
    let known = request(&b).await;
    assert_eq!(
        (known.held.as_deref(), known.stage),
        (Some("alice"), Stage::Merged)
    );
    let mut released = known;
    (released.held, released.ruled) = (None, Some(42));
    b.remember_request(&cluster(), &released).await.unwrap();
    give(&a, &take(&b).await).await;
    give(&a, &of_a).await;
    assert_eq!(request(&a).await.held, None);
}

#[tokio::test]
async fn what_is_known_from_the_comment_alone_does_not_take_the_place_of_the_preview() {
    let Two { _dir, a, .. } = Two::new().await;
    let mut known = KnownRequest::new(12);
    let full = preview();
    known.preview = Some(full.clone());
    a.remember_request(&cluster(), &known).await.unwrap();
    let mut brief = preview();
    brief.verdict = Verdict::Checking;
    known.preview = Some(brief);
    a.remember_request(&cluster(), &known).await.unwrap();
    assert_eq!(request(&a).await.preview, Some(full));
}

#[tokio::test]
async fn whoever_asks_is_told_everything_once_more_and_old_databases_are_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let a = Store::open(&dir.path().join("a.db")).unwrap();
    a.add_report(report("one")).await.unwrap();
    a.remember_request(&cluster(), &KnownRequest::new(12))
        .await
        .unwrap();
    a.worker().await.unwrap();
    assert_eq!(take(&a).await.len(), 2);
    assert_eq!(take(&a).await, []);
    a.learn(&cluster(), Told::Asked).await.unwrap();
    assert_eq!(take(&a).await.len(), 2);
    assert_eq!(take(&a).await, []);
}
