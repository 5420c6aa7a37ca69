//! Deliveries of GitHub, and of Gitea and Forgejo, which took their shapes over with a few words changed.

use serde_json::Value;

use super::delivery::{Asked, Project, Told, is_command, number, project, text, texts};

/// What may change what merging would do, or whether it happened.
const MATTERS: [&str; 8] = [
    "opened",
    "reopened",
    "closed",
    "synchronize",
    "synchronized",
    "ready_for_review",
    "converted_to_draft",
    "merged",
];

pub(super) fn about(body: &Value) -> Project {
    let urls = [
        "/repository/clone_url",
        "/repository/ssh_url",
        "/repository/html_url",
    ];
    project(body, "/repository/full_name", &urls)
}

pub(super) fn told(event: &str, body: &Value) -> Told {
    let told = match event {
        "push" => text(body, "/ref").map(|moved| Told::Push(moved.to_owned())),
        // The first word of what Gitea's newer versions call `pull_request_sync`, `pull_request_comment` …
        "issue_comment" | "pull_request_comment" => commented(body),
        _ if event.starts_with("pull_request") => changed(body),
        _ => None,
    };
    told.unwrap_or(Told::Nothing)
}

fn changed(body: &Value) -> Option<Told> {
    let action = text(body, "/action")?;
    let was = ["/changes/base/ref/from", "/changes/ref/from"];
    let retargeted = action == "edited" && !texts(body, &was).is_empty();
    if !retargeted && !MATTERS.contains(&action) {
        return None;
    }
    let request = number(body, "/number").or_else(|| number(body, "/pull_request/number"))?;
    let branches = ["/pull_request/base/ref", was[0], was[1]];
    Some(Told::Request(Asked {
        number: request,
        branches: texts(body, &branches),
        comment: None,
    }))
}

fn commented(body: &Value) -> Option<Told> {
    let on_request = body.get("is_pull").and_then(Value::as_bool) == Some(true)
        || body
            .pointer("/issue/pull_request")
            .is_some_and(|it| !it.is_null())
        || body.get("pull_request").is_some_and(Value::is_object);
    // An edited comment is none: what was said yes to must not change its meaning later.
    let new = text(body, "/action") == Some("created");
    if !on_request || !new || !is_command(text(body, "/comment/body")) {
        return None;
    }
    let request = number(body, "/issue/number").or_else(|| number(body, "/pull_request/number"))?;
    Some(Told::Request(Asked {
        number: request,
        branches: texts(body, &["/pull_request/base/ref"]),
        comment: Some(number(body, "/comment/id")?),
    }))
}
