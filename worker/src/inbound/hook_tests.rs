use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use proptest::sample::Index;
use sha2::Sha256;

use super::*;
use crate::queue::embedded::EmbeddedQueue;
use crate::store::Store;

const SECRET: &str = "correct horse battery staple";

struct World {
    hook: Arc<Hook<EmbeddedQueue>>,
    queue: EmbeddedQueue,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, SECRET).unwrap();
        let store = Store::open(&dir.path().join("q.db")).unwrap();
        let queue = EmbeddedQueue::new(store, Duration::from_secs(60));
        let watched = [("example", "main"), ("home", "trunk")]
            .map(|(cluster, branch)| (cluster.parse().unwrap(), branch.to_owned()));
        let secrets = Secrets::new(vec![secret]);
        let hook = Hook::new(queue.clone(), secrets, Watched::from(watched));
        Self {
            hook: Arc::new(hook),
            queue,
            dir,
        }
    }

    async fn post(&self, signature: &str, delivery: &str, body: impl Into<Body>) -> StatusCode {
        let request = Request::post("/hooks/git")
            .header("X-Windlass-Signature", signature)
            .header("X-Windlass-Delivery", delivery)
            .body(body.into())
            .unwrap();
        git(State(Arc::clone(&self.hook)), request).await.0
    }

    async fn push(&self, delivery: &str, body: &str) -> StatusCode {
        self.post(&sign(SECRET, body.as_bytes()), delivery, body.to_owned())
            .await
    }

    async fn woken(&self) -> Vec<String> {
        let events = self.queue.list(100).await.unwrap();
        let mut woken: Vec<_> = events
            .into_iter()
            .filter_map(|queued| Some(queued.readable()?.subject.to_string()))
            .collect();
        woken.sort();
        woken
    }
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let digest = mac.chain_update(body).finalize().into_bytes();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

#[tokio::test]
async fn a_signed_push_wakes_who_watches_the_branch() {
    let world = World::new();
    assert_eq!(
        world.push("1", r#"{"refs":["refs/heads/trunk"]}"#).await,
        StatusCode::ACCEPTED
    );
    assert_eq!(world.woken().await, ["home"]);
    assert_eq!(world.push("2", "{}").await, StatusCode::ACCEPTED);
    assert_eq!(world.woken().await, ["example", "home", "home"]);
    let named =
        r#"{"cluster":"example","refs":["refs/tags/v1","refs/heads/main"],"new":{"field":1}}"#;
    assert_eq!(world.push("3", named).await, StatusCode::ACCEPTED);
    assert_eq!(world.woken().await, ["example", "example", "home", "home"]);
}

#[tokio::test]
async fn a_push_that_is_not_for_us_is_fine_and_does_nothing() {
    let world = World::new();
    for body in [
        r#"{"refs":["refs/heads/feature"]}"#,
        r#"{"refs":[]}"#,
        r#"{"cluster":"other"}"#,
        r#"{"cluster":"example","refs":["refs/heads/trunk"]}"#,
    ] {
        assert_eq!(world.push(body, body).await, StatusCode::OK, "{body}");
    }
    assert!(world.woken().await.is_empty());
}

#[tokio::test]
async fn a_delivery_that_comes_again_is_one_event() {
    let world = World::new();
    for _ in 0..10 {
        let body = r#"{"cluster":"example"}"#;
        assert_eq!(world.push("same", body).await, StatusCode::ACCEPTED);
    }
    assert_eq!(world.woken().await, ["example"]);
}

#[tokio::test]
async fn forged_and_oversized_requests_are_refused() {
    let world = World::new();
    let right = sign(SECRET, b"{}");
    let cases = [
        (
            sign("another secret, as long", b"{}"),
            "{}".to_owned(),
            StatusCode::UNAUTHORIZED,
        ),
        (right.clone(), "{ }".to_owned(), StatusCode::UNAUTHORIZED),
        (
            "sha256=".to_owned(),
            "{}".to_owned(),
            StatusCode::UNAUTHORIZED,
        ),
        (
            right.clone(),
            " ".repeat(MAX_BODY_BYTES + 1),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ];
    for (signature, body, status) in cases {
        assert_eq!(world.post(&signature, "1", body).await, status);
    }
    assert_eq!(world.push("1", "[]").await, StatusCode::BAD_REQUEST);
    assert_eq!(world.push("", "{}").await, StatusCode::BAD_REQUEST);
    assert_eq!(
        world.push(&"x".repeat(129), "{}").await,
        StatusCode::BAD_REQUEST
    );
    std::fs::remove_file(world.dir.path().join("secret")).unwrap();
    assert_eq!(
        world.post(&right, "1", "{}").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(world.woken().await.is_empty());
}

#[tokio::test]
async fn a_mad_sender_is_slowed_down() {
    let world = World::new();
    let body = r#"{"refs":[]}"#;
    for n in 0..MAX_PER_MINUTE {
        assert_eq!(world.push(&n.to_string(), body).await, StatusCode::OK);
    }
    assert_eq!(
        world.push("last", body).await,
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn too_many_at_once_are_turned_away() {
    let world = World::new();
    let _all = world
        .hook
        .reader
        .reading
        .acquire_many(MAX_READING as u32)
        .await
        .unwrap();
    assert_eq!(world.push("1", "{}").await, StatusCode::TOO_MANY_REQUESTS);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is sent, only the right signature wakes anyone, and nothing panics.
    #[test]
    fn strangers_wake_nobody(
        signature in "(sha256=)?[0-9a-fA-F]{0,70}|[ -~]{0,80}",
        delivery in "[ -~]{0,140}",
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let status = world.post(&signature, &delivery, body).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED);
            assert!(world.woken().await.is_empty());
        });
    }

    /// A signed body is a person's mistake at worst, and never wakes anyone whom it does not name.
    #[test]
    fn signed_nonsense_is_answered(delivery in "[ -~]{0,140}", body in bodies()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let text = String::from_utf8_lossy(&body).into_owned();
            let status = world.post(&sign(SECRET, &body), &delivery, body).await;
            assert!(status == StatusCode::BAD_REQUEST || status.is_success(), "{status}");
            let woken = world.woken().await;
            assert_eq!(!woken.is_empty(), status == StatusCode::ACCEPTED, "{status}: {woken:?}");
            if text.contains("\"cluster\": \"example\"") {
                assert!(!woken.contains(&"home".to_owned()), "{text}: {woken:?}");
            }
        });
    }
}

/// Any bytes, and a push as a forge sends it with a few of its bytes replaced, removed or doubled.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), 0..6_usize, "[\"\\[\\]{}:,\\\\a-z0-9 ]{0,4}");
    let push = proptest::collection::vec(change, 0..4).prop_map(|changes| {
        let mut body =
            br#"{"cluster": "example", "refs": ["refs/heads/main", "refs/tags/v1"], "new": 1}"#
                .to_vec();
        for (at, length, text) in changes {
            let start = at.index(body.len() + 1);
            let end = (start + length).min(body.len());
            body.splice(start..end, text.bytes());
        }
        body
    });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), push]
}
