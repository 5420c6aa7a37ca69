use std::time::Duration;

use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::queue::QueueState;
use crate::queue::embedded::EmbeddedQueue;
use crate::store::Store;

const TOKEN: &str = "a token that nobody guesses";

struct World {
    router: Router,
    queue: EmbeddedQueue,
    _dir: tempfile::TempDir,
}

impl World {
    fn new(with_token: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
        let store = Store::open(&dir.path().join("q.db")).unwrap();
        let queue = EmbeddedQueue::new(store, Duration::from_secs(60));
        let clusters = BTreeSet::from([cluster()]);
        let token = with_token.then(|| Secrets::new(vec![file]));
        let commands = Commands::new(queue.clone(), clusters, token);
        Self {
            router: router(Arc::new(commands)),
            queue,
            _dir: dir,
        }
    }

    async fn ask(&self, path: &str, token: Option<&str>, body: Option<Value>) -> (u16, Value) {
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await;
        (status, serde_json::from_slice(&bytes.unwrap()).unwrap())
    }

    async fn with_token(&self, path: &str, body: Option<Value>) -> (u16, Value) {
        self.ask(path, Some(&format!("Bearer {TOKEN}")), body).await
    }
}

fn cluster() -> ClusterName {
    "example".parse().unwrap()
}

#[tokio::test]
async fn only_who_has_the_token_may_and_without_one_nobody() {
    let posts = ["/api/v1/events", "/api/v1/dead/replay", "/api/v1/dead/drop"];
    let asked = posts.map(|path| (path, Some(json!({"cluster": "example"}))));
    let asked = asked.into_iter().chain([("/api/v1/dead", None)]);
    let (with, without) = (World::new(true), World::new(false));
    for (path, body) in asked {
        for wrong in [
            None,
            Some("Bearer wrong"),
            Some(TOKEN),
            Some("Bearer"),
            Some("Basic x"),
        ] {
            let (status, said) = with.ask(path, wrong, body.clone()).await;
            assert_eq!(status, 401, "{path} {wrong:?}: {said}");
        }
        let (status, said) = without.with_token(path, body).await;
        assert_eq!(status, 403, "{path}");
        assert!(said["error"].as_str().unwrap().contains("token_file"));
    }
    for queue in [&with.queue, &without.queue] {
        assert!(queue.list(10).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_cluster_is_woken_and_dead_events_are_answered() {
    let world = World::new(true);
    let wake = json!({"cluster": "example", "why": "sweep"});
    let (status, woken) = world.with_token("/api/v1/events", Some(wake)).await;
    assert_eq!(status, 202, "{woken}");
    let lease = world.queue.next(&cluster()).await.unwrap();
    assert_eq!(woken["id"], lease.event.id.as_str());
    assert_eq!(lease.event.kind, EventKind::Sweep);
    world.queue.dead(lease, "poison").await.unwrap();

    let (_, dead) = world.with_token("/api/v1/dead", None).await;
    assert_eq!(dead[0]["why"], "poison");
    let ids = json!({"ids": [woken["id"]]});
    let (status, said) = world
        .with_token("/api/v1/dead/replay", Some(ids.clone()))
        .await;
    assert_eq!((status, &said["done"]), (200, &ids["ids"]), "{said}");
    let lease = world.queue.next(&cluster()).await.unwrap();
    world.queue.dead(lease, "poison still").await.unwrap();
    let missing = json!({"ids": [woken["id"], "none"]});
    let (status, _) = world.with_token("/api/v1/dead/drop", Some(missing)).await;
    assert_eq!(status, 404);
    let dead = world.queue.dead_letters(10).await.unwrap();
    assert_eq!(dead[0].state, QueueState::Dead, "none was touched");
    let all = json!({"all": true});
    let (status, said) = world.with_token("/api/v1/dead/drop", Some(all)).await;
    assert_eq!((status, &said["done"]), (200, &ids["ids"]), "{said}");
    assert!(world.queue.dead_letters(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_as_described_is_told() {
    let world = World::new(true);
    for (path, body, wanted) in [
        ("/api/v1/events", json!({"cluster": "other"}), 404),
        (
            "/api/v1/events",
            json!({"cluster": "example", "why": "x"}),
            400,
        ),
        ("/api/v1/dead/drop", json!({}), 400),
        ("/api/v1/dead/drop", json!({"all": true, "ids": ["1"]}), 400),
        ("/api/v1/dead/replay", json!({"everything": true}), 400),
        (
            "/api/v1/dead/replay",
            json!({"ids": ["x".repeat(MAX_BODY_BYTES)]}),
            413,
        ),
    ] {
        let (status, said) = world.with_token(path, Some(body)).await;
        assert_eq!(status, wanted, "{path}: {said}");
        assert!(said["error"].is_string());
    }
    let mut limited = false;
    for _ in 0..=MAX_PER_MINUTE {
        limited |= world.with_token("/api/v1/dead", None).await.0 == 429;
    }
    assert!(limited);
}
