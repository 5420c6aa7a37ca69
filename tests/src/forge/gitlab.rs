//! GitLab's interface.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::answers::{Answer, Question, missing, ok, refuse};
use super::state::{BOT, Comment, Request, State, Status};

/// Characters of a note.
const LONGEST: usize = 1_000_000;

pub(super) fn answer(state: &mut State, question: &Question) -> Answer {
    let path: Vec<&str> = question.path.iter().map(String::as_str).collect();
    let method = question.method.as_str();
    match (method, &path[..]) {
        ("GET", ["user"]) => return ok(user(state, BOT)),
        ("GET", ["personal_access_tokens", "self"]) => {
            return ok(
                json!({ "id": 3, "scopes": state.scopes, "expires_at": "2027-01-01", "active": true }),
            );
        }
        ("GET", ["groups", group, "members", "all", wanted]) => {
            return member_of(state, id(group), id(wanted));
        }
        _ => {}
    }
    let ["projects", "ops%2Fcluster", rest @ ..] = &path[..] else {
        return missing();
    };
    if !state.sees {
        return missing();
    }
    match (method, rest) {
        ("GET", ["merge_requests"]) => list(state, question),
        ("GET", ["merge_requests", number]) => match state.requests.get(&id(number)) {
            Some(request) => ok(merge(state, id(number), request)),
            None => missing(),
        },
        (method, ["merge_requests", number, "notes", rest @ ..]) => {
            notes(state, question, method, id(number), rest)
        }
        ("GET", ["members", "all", wanted]) => {
            let found = state
                .accounts
                .iter()
                .find(|(_, account)| account.id == id(wanted));
            match found {
                Some((_, account)) => ok(json!({ "access_level": account.level })),
                None => missing(),
            }
        }
        ("GET", ["protected_branches"]) if !state.shows => {
            refuse(StatusCode::FORBIDDEN, "403 Forbidden")
        }
        ("GET", ["protected_branches"]) => Answer::List(state.protection.clone()),
        ("POST", ["statuses", commit]) => status(state, question, commit),
        (method, ["hooks", rest @ ..]) => hooks(state, question, method, rest),
        _ => missing(),
    }
}

fn member_of(state: &State, group: u64, wanted: u64) -> Answer {
    let mut accounts = state.accounts.iter();
    let found = accounts.find(|(_, account)| account.id == wanted);
    match found {
        Some((login, _)) if state.is_member(group, login) => {
            ok(json!({ "id": wanted, "access_level": 30 }))
        }
        _ => missing(),
    }
}

fn list(state: &State, question: &Question) -> Answer {
    let base = question.query("target_branch");
    let wants_merged = question.query("state") == Some("merged");
    let wanted = state.requests.iter().filter(|(_, request)| {
        let is_it = if wants_merged {
            request.merged.is_some()
        } else {
            request.open
        };
        is_it && base.is_none_or(|base| base == request.base)
    });
    Answer::List(
        wanted
            .map(|(number, request)| merge(state, *number, request))
            .collect(),
    )
}

fn hooks(state: &mut State, question: &Question, method: &str, rest: &[&str]) -> Answer {
    match (method, rest) {
        ("GET", []) => Answer::List(state.hooks.clone()),
        ("POST", []) => {
            state.last_id += 1;
            let mut hook = question.body.clone();
            hook["id"] = state.last_id.into();
            state.hooks.push(hook.clone());
            Answer::One(StatusCode::CREATED, hook)
        }
        ("PUT", [wanted]) => {
            let found = state.hooks.iter_mut().find(|hook| hook["id"] == id(wanted));
            let Some(hook) = found else { return missing() };
            for (key, value) in question.body.as_object().unwrap() {
                hook[key] = value.clone();
            }
            ok(hook.clone())
        }
        _ => missing(),
    }
}

fn notes(
    state: &mut State,
    question: &Question,
    method: &str,
    request: u64,
    rest: &[&str],
) -> Answer {
    if !state.requests.contains_key(&request) {
        return missing();
    }
    match (method, rest) {
        ("GET", []) => {
            let of = state.comments.iter().filter(|it| it.request == request);
            let system = json!({
                "id": 1, "body": "added 1 commit", "system": true, "author": user(state, "alice"),
            });
            let notes = of.map(|it| note(state, it));
            Answer::List(std::iter::once(system).chain(notes).collect())
        }
        ("POST", []) | ("PUT", [_]) if question.text("body").chars().count() > LONGEST => refuse(
            StatusCode::BAD_REQUEST,
            "Note is too long (maximum is 1000000 characters)",
        ),
        ("POST", []) => {
            let written = state.comment(request, BOT, &question.text("body"));
            let written = state.comments.iter().find(|it| it.id == written).unwrap();
            Answer::One(StatusCode::CREATED, note(state, written))
        }
        (method, [wanted]) => {
            let found = state
                .comments
                .iter()
                .position(|it| it.id == id(wanted) && it.request == request);
            let Some(found) = found else { return missing() };
            if method != "GET" {
                if state.comments[found].author != BOT {
                    return refuse(StatusCode::FORBIDDEN, "403 Forbidden");
                }
                if method == "DELETE" {
                    state.comments.remove(found);
                    return Answer::One(StatusCode::NO_CONTENT, Value::Null);
                }
                state.edit(found, question.text("body"));
            }
            ok(note(state, &state.comments[found]))
        }
        _ => missing(),
    }
}

/// GitLab looks for a status of the same name that has not ended. One that is pending cannot become pending, and keeps its
/// description; where all have ended, there is another.
fn status(state: &mut State, question: &Question, commit: &str) -> Answer {
    let words = [
        ("pending", "pending"),
        ("success", "success"),
        ("failed", "failure"),
        ("canceled", "canceled"),
    ];
    let told = question.text("state");
    let Some((_, word)) = words.iter().find(|(gitlab, _)| *gitlab == told) else {
        return refuse(StatusCode::BAD_REQUEST, "state does not have a valid value");
    };
    let context = question.text("name");
    let latest = state
        .statuses
        .iter()
        .rev()
        .find(|it| it.commit == commit && it.context == context);
    if told == "pending" && latest.is_some_and(|it| it.state == "pending") {
        let words = "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition)";
        return refuse(StatusCode::BAD_REQUEST, words);
    }
    state.statuses.push(Status {
        commit: commit.to_owned(),
        state: (*word).to_owned(),
        description: question.text("description"),
        context,
    });
    Answer::One(StatusCode::CREATED, json!({ "id": 1, "status": told }))
}

fn id(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

fn user(state: &State, login: &str) -> Value {
    let id = state.accounts.get(login).map_or(1, |account| account.id);
    json!({ "username": login, "id": id, "name": login, "state": "active" })
}

fn merge(state: &State, number: u64, request: &Request) -> Value {
    let stage = match (&request.merged, request.open) {
        (Some(_), _) => "merged",
        (None, true) => "opened",
        (None, false) => "closed",
    };
    json!({
        "id": 5000 + number, "iid": number, "project_id": 1, "state": stage, "sha": request.head,
        "title": "@all /close", "author": user(state, &request.author), "draft": false,
        "source_branch": request.branch, "target_branch": request.base, "target_project_id": 1,
        "source_project_id": if request.foreign { 2 } else { 1 },
        "merge_commit_sha": request.merged, "squash_commit_sha": null, "detailed_merge_status": "mergeable",
        "updated_at": state.updated(number),
    })
}

fn note(state: &State, it: &Comment) -> Value {
    json!({
        "id": it.id, "body": it.body, "author": user(state, &it.author), "system": false,
        "noteable_type": "MergeRequest", "noteable_iid": it.request, "resolvable": false,
        "created_at": it.created.to_string(), "updated_at": it.updated.to_string(),
    })
}
