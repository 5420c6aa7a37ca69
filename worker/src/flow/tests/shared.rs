//! Two workers with a database each look at the same request, and nothing has come from the one to the other yet.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass_core::ids::Digest;
use windlass_core::preview::{Flavour, Limits, Mark, Preview, Request, Verdict};

use super::paper::Paper;
use super::world::World;
use crate::flow::request::{Policy, Previewer, Requests, Who};
use crate::ports::forge::ForgeRequest;
use crate::queue::embedded::EmbeddedQueue;
use crate::queue::{Event, EventKind};

const REQUEST: u64 = 12;
const HEAD: &str = "1111111111111111111111111111111111111111";
const PUSHED: &str = "2222222222222222222222222222222222222222";

/// Looks, and what is done on the forge meanwhile.
struct Looks {
    base: String,
    meanwhile: Box<dyn Fn() + Send + Sync>,
}

impl Previewer for Looks {
    async fn look(&self, request: &ForgeRequest, _: &CancellationToken) -> Option<Preview> {
        (self.meanwhile)();
        let request = Request {
            number: REQUEST,
            head: request.head.clone(),
            base: self.base.clone(),
            branch: "main".to_owned(),
        };
        let verdict = Verdict::WouldChange {
            nodes: 1,
            of: 2,
            files: 1,
        };
        let mut preview = Preview::new("example".parse().unwrap(), request, verdict);
        preview.bundle = Some(Digest::of(self.base.as_bytes()));
        Some(preview)
    }
}

fn worker(
    world: &World,
    name: &str,
    paper: &Paper,
    (base, meanwhile): (&str, impl Fn() + Send + Sync + 'static),
) -> Requests<Paper, Looks> {
    let deploy = world.another(name);
    Requests {
        cluster: deploy.cluster,
        branch: "main".to_owned(),
        forge: paper.clone(),
        previews: Looks {
            base: base.to_owned(),
            meanwhile: Box::new(meanwhile),
        },
        source: deploy.source,
        store: deploy.store.clone(),
        queue: Arc::new(EmbeddedQueue::new(deploy.store, Duration::from_secs(60))),
        limits: Limits::of(Flavour::GitHub),
        policy: Policy {
            from: Who::Members,
            authors: Vec::new(),
        },
        stop: CancellationToken::new(),
        state: Default::default(),
    }
}

async fn wake(requests: &Requests<Paper, Looks>) {
    let event = Event::new(EventKind::Request, "/test", &requests.cluster, "id");
    let event = event.with(serde_json::json!({ "request": REQUEST }));
    requests.run(&event).await.unwrap();
}

fn mark(paper: &Paper) -> Mark {
    let own = paper.own(REQUEST);
    assert_eq!(own.len(), 1, "{own:#?}");
    Mark::read(&own[0], &"example".parse().unwrap()).unwrap()
}

#[tokio::test]
async fn two_that_begin_a_comment_at_once_end_with_one() {
    let (world, paper) = (World::new(), Paper::default());
    let base = world.git(&["rev-parse", "HEAD"]);
    paper.open(REQUEST, HEAD);
    let a = worker(&world, "a", &paper, (&base, || {}));
    wake(&a).await;
    let theirs = paper.own(REQUEST).remove(0);
    paper.sheet().comments.clear();
    // The other one's comes between our looking for one and our writing it.
    paper.sheet().rival = Some(theirs);
    let b = worker(&world, "b", &paper, (&base, || {}));
    wake(&b).await;
    assert_eq!(mark(&paper).head, HEAD);
    let id = paper.sheet().comments[0].1.id;
    let known = b.store.request(&b.cluster, REQUEST).await.unwrap().unwrap();
    assert_eq!(known.comment, Some(id), "the older one");

    // One that was left by a worker that died is found when comments are read.
    let left = paper.own(REQUEST).remove(0);
    paper.says(REQUEST, "windlass-bot", &left);
    b.missed(REQUEST, jiff::Timestamp::now()).await.unwrap();
    assert_eq!(paper.sheet().comments.len(), 1);
    // A marker of somebody else's is not ours to take away.
    paper.says(REQUEST, "mallory", &left);
    wake(&worker(&world, "c", &paper, (&base, || {}))).await;
    assert_eq!(paper.sheet().comments.len(), 2);
}

#[tokio::test]
async fn a_look_that_is_not_of_what_the_forge_has_now_is_not_told() {
    let (world, paper) = (World::new(), Paper::default());
    let base = world.git(&["rev-parse", "HEAD"]);
    paper.open(REQUEST, HEAD);
    let pushed = paper.clone();
    let stale = worker(
        &world,
        "a",
        &paper,
        (&base, move || pushed.open(REQUEST, PUSHED)),
    );
    wake(&stale).await;
    assert!(paper.own(REQUEST).is_empty());
    wake(&worker(&world, "b", &paper, (&base, || {}))).await;
    assert_eq!(mark(&paper).head, PUSHED);

    // One whose base is behind the one that was told.
    let old = "3333333333333333333333333333333333333333";
    wake(&worker(&world, "c", &paper, (old, || {}))).await;
    assert_eq!(mark(&paper).base, base);
}

#[tokio::test]
async fn what_another_worker_wrote_is_recalled_from_the_comment() {
    let (world, paper) = (World::new(), Paper::default());
    let base = world.git(&["rev-parse", "HEAD"]);
    paper.open(REQUEST, HEAD);
    wake(&worker(&world, "a", &paper, (&base, || {}))).await;
    let hold = paper.says(REQUEST, "alice", "windlass hold");
    paper.says(REQUEST, "mallory", "windlass release");
    paper.merged(REQUEST, None);
    let b = worker(&world, "b", &paper, (&base, || {}));
    wake(&b).await;
    let known = b.store.request(&b.cluster, REQUEST).await.unwrap().unwrap();
    assert_eq!(
        (known.held.as_deref(), known.ruled),
        (Some("alice"), Some(hold))
    );
    let bundle = known.preview.unwrap().bundle;
    assert_eq!(bundle, Some(Digest::of(base.as_bytes())));
    assert_eq!(
        paper.status(),
        "Pending: merged, and held by alice until it is released"
    );
}
