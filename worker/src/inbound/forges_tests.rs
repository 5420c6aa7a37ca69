use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::payloads::*;
use super::*;
use crate::queue::embedded::EmbeddedQueue;
use crate::store::Store;

const SECRET: &str = "correct horse battery staple";
const ALL: [Sender; 4] = [
    Sender::Gitea,
    Sender::Forgejo,
    Sender::GitHub,
    Sender::GitLab,
];

struct World {
    shared: Arc<Shared<EmbeddedQueue>>,
    queue: EmbeddedQueue,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = ["secret", "old"].map(|name| dir.path().join(name));
        std::fs::write(&files[0], SECRET).unwrap();
        std::fs::write(&files[1], "the secret of before").unwrap();
        let store = Store::open(&dir.path().join("q.db")).unwrap();
        let queue = EmbeddedQueue::new(store, Duration::from_secs(60));
        let watch = |cluster: &str, branch: &str, url: &str, project: Option<&str>| Watch {
            cluster: cluster.parse().unwrap(),
            branch: branch.to_owned(),
            url: url.to_owned(),
            project: project.map(str::to_owned),
        };
        let watched = vec![
            watch(
                "example",
                "main",
                "file:///srv/mirror.git",
                Some("ops/cluster"),
            ),
            watch("home", "trunk", "git@git.example.org:ops/cluster.git", None),
            watch(
                "other",
                "main",
                "https://git.example.org/ops/other.git",
                Some("ops/other"),
            ),
        ];
        let shared = Shared::new(queue.clone(), Secrets::new(files.to_vec()), watched);
        Self {
            shared: Arc::new(shared),
            queue,
            dir,
        }
    }

    async fn post(&self, sender: Sender, request: Request<Body>) -> StatusCode {
        let hook = ForgeHook::new(sender, Arc::clone(&self.shared));
        take(State(Arc::new(hook)), request).await.0
    }

    async fn send(&self, sender: Sender, id: &str, sent: &Sent) -> StatusCode {
        let body = sent.body.to_string();
        self.post(sender, signed(sender, SECRET, id, sent.event, &body))
            .await
    }

    /// Who was woken by what: "example request {…}".
    async fn woken(&self) -> Vec<String> {
        let events = self.queue.list(100).await.unwrap();
        let mut woken: Vec<_> = events
            .into_iter()
            .map(|queued| {
                let event = queued.readable().unwrap();
                let data = event.data.as_ref();
                let data = data.map_or_else(String::new, |data| format!(" {data}"));
                format!("{} {}{data}", event.subject, event.kind.key())
            })
            .collect();
        woken.sort();
        woken
    }
}

#[tokio::test]
async fn a_push_wakes_who_watches_the_branch_by_project_or_url() {
    for sender in ALL {
        let world = World::new();
        let sent = world.send(sender, "1", &push(sender, "main")).await;
        assert_eq!(sent, StatusCode::ACCEPTED, "{sender:?}");
        assert_eq!(world.woken().await, ["example moved"]);
        world.send(sender, "2", &push(sender, "trunk")).await;
        assert_eq!(world.woken().await, ["example moved", "home moved"]);
        let other = world.send(sender, "3", &push(sender, "main/x")).await;
        assert_eq!(other, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_may_change_a_request_has_it_looked_at() {
    for sender in ALL {
        let actions: &[&str] = match sender {
            Sender::GitLab => &["open", "update", "reopen", "close", "merge"],
            Sender::GitHub => &["opened", "synchronize", "reopened", "closed"],
            _ => &["opened", "synchronized", "reopened", "closed"],
        };
        let world = World::new();
        for action in actions {
            let sent = request(sender, action, "main", None);
            let status = world.send(sender, action, &sent).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{sender:?} {action}");
        }
        let edited = if sender == Sender::GitLab {
            "update"
        } else {
            "edited"
        };
        // Retargeted to another branch, or from another to ours: either way ours is concerned.
        for (base, was) in [("main", "dev"), ("dev", "main")] {
            let sent = request(sender, edited, base, Some(was));
            let status = world.send(sender, was, &sent).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{sender:?} {was}");
        }
        let woken = world.woken().await;
        assert_eq!(woken.len(), actions.len() + 2);
        let all_same = woken
            .iter()
            .all(|it| it == r#"example request {"request":12}"#);
        assert!(all_same, "{woken:?}");
    }
}

#[tokio::test]
async fn a_command_wakes_with_the_number_of_its_comment_alone() {
    for sender in ALL {
        let world = World::new();
        let sent = comment(sender, create(sender), "Hm.\r\nwindlass preview\r\n");
        assert_eq!(world.send(sender, "1", &sent).await, StatusCode::ACCEPTED);
        let wanted = r#"example request {"request":12,"comment":1244}"#;
        assert_eq!(world.woken().await, [wanted], "{sender:?}");
    }
}
#[tokio::test]
async fn what_does_not_concern_us_is_fine_and_does_nothing() {
    for sender in ALL {
        let world = World::new();
        let ping = Sent {
            event: "ping",
            body: json!({ "zen": "Keep it logically awesome.", "hook_id": 7, "repository": repository() }),
        };
        let mut elsewhere = request(sender, "closed", "main", None);
        elsewhere.body["repository"]["full_name"] = json!("ops/strangers");
        elsewhere.body["project"]["path_with_namespace"] = json!("ops/strangers");
        let mut issue = comment(sender, create(sender), "windlass preview");
        issue.body["issue"] = json!({ "number": 12 });
        issue.body["is_pull"] = json!(false);
        issue.body["object_attributes"]["noteable_type"] = json!("Issue");
        for (id, sent) in [
            ping,
            elsewhere,
            issue,
            request(sender, "labeled", "main", None),
            request(sender, "approved", "main", None),
            request(sender, "open", "dev", None),
            request(sender, "opened", "dev", None),
            comment(sender, create(sender), "I like it"),
            comment(sender, "update", "windlass preview"),
            comment(sender, "edited", "windlass preview"),
            Sent {
                event: "an_event_of_next_year",
                body: json!({ "object_kind": "new", "ref": 7 }),
            },
            Sent {
                event: "push",
                body: json!([]),
            },
            Sent {
                event: "pull_request",
                body: json!({ "action": 3, "number": "12" }),
            },
        ]
        .iter()
        .enumerate()
        {
            let status = world.send(sender, &id.to_string(), sent).await;
            assert_eq!(status, StatusCode::OK, "{sender:?} {id} {}", sent.body);
        }
        assert!(world.woken().await.is_empty(), "{sender:?}");
    }
}

#[tokio::test]
async fn a_delivery_that_comes_ten_times_is_one_event() {
    for sender in ALL {
        let world = World::new();
        let sent = request(
            sender,
            if sender == Sender::GitLab {
                "open"
            } else {
                "opened"
            },
            "main",
            None,
        );
        for _ in 0..10 {
            assert_eq!(
                world.send(sender, "same", &sent).await,
                StatusCode::ACCEPTED
            );
        }
        assert_eq!(world.woken().await.len(), 1, "{sender:?}");
    }
}

#[tokio::test]
async fn forged_deliveries_are_refused_and_both_secrets_are_valid() {
    for sender in ALL {
        let world = World::new();
        let body = push(sender, "main").body.to_string();
        let with = |secret, body: &str| signed(sender, secret, "1", "push", body);
        let unauthorized = StatusCode::UNAUTHORIZED;
        assert_eq!(
            world
                .post(sender, with("another secret, as long", &body))
                .await,
            unauthorized
        );
        let bare = Request::post(sender.path())
            .body(Body::from(body.clone()))
            .unwrap();
        assert_eq!(world.post(sender, bare).await, unauthorized, "{sender:?}");
        if sender != Sender::GitLab {
            let mut changed = with(SECRET, &body);
            *changed.body_mut() = Body::from(body.replace("main", "trunk"));
            assert_eq!(
                world.post(sender, changed).await,
                unauthorized,
                "{sender:?}"
            );
        }
        assert!(world.woken().await.is_empty());
        let old = with("the secret of before", &body);
        assert_eq!(
            world.post(sender, old).await,
            StatusCode::ACCEPTED,
            "{sender:?}"
        );
        let large = " ".repeat(MAX_BODY_BYTES + 1);
        assert_eq!(
            world.post(sender, with(SECRET, &large)).await,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        assert_eq!(
            world.post(sender, with(SECRET, "no json")).await,
            StatusCode::BAD_REQUEST
        );
        let mut form = with(SECRET, &body);
        let kind = "application/x-www-form-urlencoded".parse().unwrap();
        form.headers_mut().insert(header::CONTENT_TYPE, kind);
        assert_eq!(
            world.post(sender, form).await,
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
        for name in ["secret", "old"] {
            std::fs::remove_file(world.dir.path().join(name)).unwrap();
        }
        let none = world.post(sender, with(SECRET, &body)).await;
        assert_eq!(none, StatusCode::SERVICE_UNAVAILABLE);
    }
}

/// GitLab's newer form, with the key as GitLab shows it and with one that stands for itself.
#[tokio::test]
async fn gitlab_signs_id_time_and_body() {
    for secret in [
        SECRET.to_owned(),
        format!("whsec_{}", STANDARD.encode([7; 32])),
    ] {
        let world = World::new();
        std::fs::write(world.dir.path().join("secret"), &secret).unwrap();
        let key = match secret.strip_prefix("whsec_") {
            Some(_) => vec![7; 32],
            None => secret.clone().into_bytes(),
        };
        let body = push(Sender::GitLab, "main").body.to_string();
        let post = |id: &str, seconds: i64, digest: Vec<u8>| {
            let signature = format!("v2,x v1,AAAA v1,{}", STANDARD.encode(digest));
            let request = Request::post("/hooks/gitlab")
                .header("webhook-id", id)
                .header("webhook-timestamp", seconds.to_string())
                .header("webhook-signature", signature)
                // The right token does not make up for a wrong signature.
                .header("X-Gitlab-Token", &secret);
            request.body(Body::from(body.clone())).unwrap()
        };
        let sign =
            |id: &str, seconds: i64| digest(&key, &[id, ".", &seconds.to_string(), ".", &body]);
        let now = Timestamp::now().as_second();
        let gitlab = Sender::GitLab;
        for wrong in [
            post("b", now, sign("a", now)),
            post("a", now - 1, sign("a", now)),
            post("a", now - 400, sign("a", now - 400)),
            post("a", i64::MIN, sign("a", i64::MIN)),
            post("a", now, Vec::new()),
        ] {
            assert_eq!(world.post(gitlab, wrong).await, StatusCode::UNAUTHORIZED);
        }
        let right = post("a", now, sign("a", now));
        assert_eq!(world.post(gitlab, right).await, StatusCode::ACCEPTED);
        assert_eq!(world.woken().await, ["example moved"]);
    }
}

#[tokio::test]
async fn a_mad_forge_is_slowed_down() {
    let world = World::new();
    let sent = push(Sender::GitHub, "feature");
    for n in 0..MAX_PER_MINUTE {
        let status = world.send(Sender::GitHub, &n.to_string(), &sent).await;
        assert_eq!(status, StatusCode::OK);
    }
    let last = world.send(Sender::GitHub, "last", &sent).await;
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}|main|opened|created|windlass retry".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = "action|number|ref|id|iid|base|changes|issue|comment|body|note|pull_request|repository|[a-z]{1,5}";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6)
                .prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A signed delivery of any shape is answered, and wakes no one but with the project's name in it.
    #[test]
    fn signed_nonsense_wakes_nobody(
        event in "push|ping|pull_request|pull_request_sync|issue_comment|[ -~]{0,20}",
        patch in value(),
        key in "ref|action|number|pull_request|issue|object_kind|object_attributes|comment",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            for sender in ALL {
                let status = world.post(sender, signed(sender, SECRET, "1", &event, &patch.to_string())).await;
                assert_eq!(status, StatusCode::OK);
                let mut near = request(sender, "opened", "dev", None).body;
                near[key.as_str()] = patch.clone();
                let near = signed(sender, SECRET, "2", &event, &near.to_string());
                assert!(world.post(sender, near).await.is_success());
            }
            let woken = world.woken().await;
            assert!(woken.iter().all(|it| it.starts_with("example ")), "{woken:?}");
        });
    }

    #[test]
    fn strangers_wake_nobody(
        signature in "(sha256=)?[0-9a-fA-F]{0,70}|v1,[A-Za-z0-9+/=]{0,50}|[ -~]{0,80}",
        time in "[0-9]{1,12}|[ -~]{0,9}",
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            for (sender, name) in ALL.into_iter().zip(
                ["X-Gitea-Signature", "X-Forgejo-Signature", "X-Hub-Signature-256", "webhook-signature"]
            ) {
                let request = Request::post(sender.path()).header(name, &signature)
                    .header("webhook-id", "1").header("webhook-timestamp", &time);
                let request = request.body(Body::from(body.clone())).unwrap();
                assert_eq!(world.post(sender, request).await, StatusCode::UNAUTHORIZED);
            }
            assert!(world.woken().await.is_empty());
        });
    }
}
