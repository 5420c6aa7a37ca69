//! Deliveries of GitLab.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::delivery::{Asked, Project, Told, is_command, number, project, text, texts};
use super::signature::{Denied, Proof};

/// How far the time of a signed delivery may be from ours.
const TOLERANCE_SECONDS: i64 = 300;

pub(super) fn about(body: &Value) -> Project {
    let urls = [
        "/project/git_http_url",
        "/project/git_ssh_url",
        "/project/web_url",
    ];
    project(body, "/project/path_with_namespace", &urls)
}

pub(super) fn told(body: &Value) -> Told {
    let told = match text(body, "/object_kind") {
        Some("push") => text(body, "/ref").map(|moved| Told::Push(moved.to_owned())),
        Some("merge_request") => changed(body),
        Some("note") => commented(body),
        _ => None,
    };
    told.unwrap_or(Told::Nothing)
}

fn changed(body: &Value) -> Option<Told> {
    // `update` does not say reliably what was updated, so it always counts.
    let matters = ["open", "update", "reopen", "close", "merge"];
    if !matters.contains(&text(body, "/object_attributes/action")?) {
        return None;
    }
    let branches = [
        "/object_attributes/target_branch",
        "/changes/target_branch/previous",
    ];
    Some(Told::Request(Asked {
        number: number(body, "/object_attributes/iid")?,
        branches: texts(body, &branches),
        comment: None,
    }))
}

fn commented(body: &Value) -> Option<Told> {
    let on_request = text(body, "/object_attributes/noteable_type") == Some("MergeRequest");
    // Older versions do not say the action, because they tell of new notes only.
    let new = text(body, "/object_attributes/action").is_none_or(|action| action == "create");
    if !on_request || !new || !is_command(text(body, "/object_attributes/note")) {
        return None;
    }
    Some(Told::Request(Asked {
        number: number(body, "/merge_request/iid")?,
        branches: texts(body, &["/merge_request/target_branch"]),
        comment: Some(number(body, "/object_attributes/id")?),
    }))
}

/// A signature where there is one; a wrong one is not made good by the right token.
pub(super) fn proof(headers: &HeaderMap, now: Timestamp) -> Result<Proof, Denied> {
    let field = |name: &str| headers.get(name).map(|value| value.to_str());
    let Some(signatures) = field("webhook-signature") else {
        let token = headers.get("x-gitlab-token").ok_or(Denied::Missing)?;
        return Ok(Proof::Token(token.as_bytes().to_vec()));
    };
    let stated = |name| field(name).and_then(Result::ok).ok_or(Denied::Malformed);
    let (id, time) = (stated("webhook-id")?, stated("webhook-timestamp")?);
    let seconds: i64 = time.parse().map_err(|_| Denied::Malformed)?;
    if seconds.abs_diff(now.as_second()) > TOLERANCE_SECONDS.unsigned_abs() {
        return Err(Denied::Stale);
    }
    let signatures = signatures.map_err(|_| Denied::Malformed)?.split(' ');
    let digests = signatures.filter_map(|one| {
        let digest = STANDARD.decode(one.strip_prefix("v1,")?).ok()?;
        digest.try_into().ok()
    });
    let digests: Vec<[u8; 32]> = digests.collect();
    if digests.is_empty() {
        return Err(Denied::Malformed);
    }
    let before = format!("{id}.{time}.");
    Ok(Proof::Stamped { before, digests })
}
