//! Deliveries in the forges' documented shapes, newest versions included, and signed as each signs.

use axum::body::Body;
use axum::http::Request;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Sender;

/// Headers and body of a delivery, before it is signed.
pub(super) struct Sent {
    pub(super) event: &'static str,
    pub(super) body: Value,
}

pub(super) fn digest(key: &[u8], parts: &[&str]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    let mac = parts.iter().fold(mac, |mac, part| mac.chain_update(part));
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As each forge sends it, with the headers of its newest version.
pub(super) fn signed(
    sender: Sender,
    secret: &str,
    id: &str,
    event: &str,
    body: &str,
) -> Request<Body> {
    let signature = hex(&digest(secret.as_bytes(), &[body]));
    let request = Request::post(sender.path()).header("Content-Type", "application/json");
    let request = match sender {
        Sender::GitHub => request
            .header("X-GitHub-Event", event)
            .header("X-GitHub-Delivery", id)
            .header("X-GitHub-Hook-ID", "7")
            .header("X-Hub-Signature", "sha1=0000")
            .header("X-Hub-Signature-256", format!("sha256={signature}")),
        Sender::Gitea => request
            .header("X-Gitea-Event", event)
            .header("X-Gitea-Event-Type", event)
            .header("X-Gitea-Delivery", id)
            .header("X-Gitea-Signature", signature),
        Sender::Forgejo => request
            .header("X-Forgejo-Event", event)
            .header("X-Gitea-Event", event)
            .header("X-Forgejo-Delivery", id)
            .header("X-Forgejo-Signature", &signature)
            .header("X-Gitea-Signature", signature),
        Sender::GitLab => request
            .header("X-Gitlab-Event", "Some Hook")
            .header("X-Gitlab-Event-UUID", "the same for all hooks")
            .header("Idempotency-Key", id)
            .header("X-Gitlab-Token", secret),
    };
    request.body(Body::from(body.to_owned())).unwrap()
}

pub(super) fn repository() -> Value {
    json!({
        "id": 1296269, "name": "cluster", "full_name": "ops/cluster", "private": true,
        "owner": { "login": "ops", "id": 1, "type": "Organization" },
        "html_url": "https://git.example.org/ops/cluster",
        "clone_url": "https://git.example.org/ops/cluster.git",
        "ssh_url": "git@git.example.org:ops/cluster.git",
        "default_branch": "main", "a_field_of_next_year": [null, { "x": 1 }],
    })
}

pub(super) fn project() -> Value {
    json!({
        "id": 15, "name": "cluster", "path_with_namespace": "ops/cluster", "default_branch": "main",
        "web_url": "https://git.example.org/ops/cluster", "avatar_url": null,
        "git_http_url": "https://git.example.org/ops/cluster.git",
        "git_ssh_url": "git@git.example.org:ops/cluster.git",
    })
}

pub(super) fn push(sender: Sender, branch: &str) -> Sent {
    let moved = format!("refs/heads/{branch}");
    let body = match sender {
        Sender::GitLab => json!({
            "object_kind": "push", "event_name": "push", "ref": moved, "checkout_sha": "da1560886d4f",
            "project": project(), "commits": [], "total_commits_count": 4,
        }),
        _ => json!({
            "ref": moved, "before": "28e1879d029c", "after": "bffeb74224043", "forced": false,
            "commits": [], "repository": repository(), "pusher": { "name": "alice" },
        }),
    };
    Sent {
        event: "push",
        body,
    }
}

/// `was`: the branch that it was against before.
pub(super) fn request(sender: Sender, action: &str, base: &str, was: Option<&str>) -> Sent {
    let mut body = match sender {
        Sender::GitLab => json!({
            "object_kind": "merge_request", "event_type": "merge_request", "project": project(),
            "user": { "id": 1, "username": "alice" },
            "object_attributes": {
                "id": 9_900, "iid": 12, "action": action, "state": "opened",
                "source_branch": "feature", "target_branch": base, "draft": false,
                "last_commit": { "id": "da1560886d4f" }, "detailed_merge_status": "checking",
            },
            "changes": {}, "reviewers": [],
        }),
        _ => json!({
            "action": action, "number": 12, "repository": repository(), "changes": {},
            "pull_request": {
                "id": 279147437, "number": 12, "state": "open", "title": "@everyone",
                "head": { "ref": "feature", "sha": "ec26c3e57ca3", "repo": null },
                "base": { "ref": base, "sha": "f95f852bd8fc" }, "merged": false, "auto_merge": null,
            },
            "sender": { "login": "alice", "id": 1 },
        }),
    };
    if let Some(was) = was {
        body["changes"] = match sender {
            Sender::GitHub => json!({ "base": { "ref": { "from": was }, "sha": { "from": "1" } } }),
            Sender::GitLab => json!({ "target_branch": { "previous": was, "current": base } }),
            _ => json!({ "ref": { "from": was } }),
        };
    }
    Sent {
        event: "pull_request",
        body,
    }
}

pub(super) fn comment(sender: Sender, action: &str, text: &str) -> Sent {
    let body = match sender {
        Sender::GitLab => json!({
            "object_kind": "note", "event_type": "note", "project": project(),
            "object_attributes": {
                "id": 1244, "note": text, "noteable_type": "MergeRequest", "action": action, "system": false,
            },
            "merge_request": { "id": 7, "iid": 12, "target_branch": "main", "state": "opened" },
        }),
        Sender::GitHub => json!({
            "action": action, "repository": repository(),
            "issue": { "number": 12, "pull_request": { "url": "https://api.example.org/pulls/12" } },
            "comment": { "id": 1244, "body": text, "user": { "login": "alice" } },
        }),
        _ => json!({
            "action": action, "repository": repository(), "is_pull": true,
            "issue": { "number": 12, "pull_request": { "merged": false, "merged_at": null } },
            "comment": { "id": 1244, "body": text, "user": { "login": "alice" } },
        }),
    };
    Sent {
        event: "issue_comment",
        body,
    }
}

pub(super) fn create(sender: Sender) -> &'static str {
    if sender == Sender::GitLab {
        "create"
    } else {
        "created"
    }
}
