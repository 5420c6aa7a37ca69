//! GitHub's interface, and Gitea's and Forgejo's where theirs differs.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Flavour;
use super::answers::{Answer, Question, missing, ok, refuse};
use super::state::{BOT, Comment, Request, State, Status};

pub(super) fn answer(state: &mut State, question: &Question) -> Answer {
    let path: Vec<&str> = question.path.iter().map(String::as_str).collect();
    let method = question.method.as_str();
    if let ("GET", ["user"]) = (method, &path[..]) {
        return ok(user(state, BOT));
    }
    if let ("GET", ["orgs" | "teams", ..]) = (method, &path[..]) {
        return team(state, &path);
    }
    let ["repos", "ops", "cluster", rest @ ..] = &path[..] else {
        return missing();
    };
    if !state.sees {
        return missing();
    }
    match (method, rest) {
        ("GET", ["pulls"]) => {
            let wants_open = question.query("state") != Some("closed");
            let all = state.requests.iter();
            let wanted = all.filter(|(_, request)| request.open == wants_open);
            let pulls = wanted.map(|(number, request)| {
                let mut pull = pull(state, question, (*number, request));
                if state.flavour == Flavour::GitHub {
                    // Only a request's own page says it in one word.
                    pull.as_object_mut().unwrap().remove("merged");
                }
                pull
            });
            Answer::List(pulls.collect())
        }
        ("GET", ["pulls", number]) => match state.requests.get(&id(number)) {
            Some(request) => ok(pull(state, question, (id(number), request))),
            None => missing(),
        },
        (
            "GET",
            [
                "collaborators" | "rules" | "branches" | "branch_protections",
                ..,
            ],
        ) => rights(state, rest),
        ("GET", ["issues", number, "comments"]) => {
            let of = state.comments.iter().filter(|it| it.request == id(number));
            Answer::List(of.map(|it| comment(state, it)).collect())
        }
        ("POST", ["issues", number, "comments"]) => {
            if !state.requests.contains_key(&id(number)) {
                return missing();
            }
            let text = question.text("body");
            if is_too_long(state, &text) {
                return refuse(StatusCode::UNPROCESSABLE_ENTITY, "body is too long");
            }
            let written = state.comment(id(number), BOT, &text);
            let written = state.comments.iter().find(|it| it.id == written).unwrap();
            Answer::One(StatusCode::CREATED, comment(state, written))
        }
        (method, ["issues", "comments", one]) => one_comment(state, question, method, id(one)),
        ("POST", ["statuses", commit]) => status(state, question, commit),
        (method, ["hooks", rest @ ..]) => hooks(state, question, method, rest),
        _ => missing(),
    }
}

/// Who may write, and what the branch's protection says.
fn rights(state: &State, path: &[&str]) -> Answer {
    match path {
        ["collaborators", login, "permission"] => match state.accounts.get(*login) {
            Some(account) => {
                let (permission, role) = match account.level {
                    50.. => ("admin", "admin"),
                    40.. => ("write", "maintain"),
                    30.. => ("write", "write"),
                    _ => ("read", "read"),
                };
                ok(json!({ "permission": permission, "role_name": role }))
            }
            None => missing(),
        },
        ["rules", "branches", "main"] => Answer::List(state.rules.clone()),
        ["branches", "main"] => {
            let rule = state.protection.first();
            let rule = rule.map_or("", |rule| rule["rule_name"].as_str().unwrap());
            ok(json!({
                "name": "main", "protected": !rule.is_empty(), "effective_branch_protection_name": rule,
            }))
        }
        ["branches", "main", "protection", "restrictions"] | ["branch_protections", _]
            if !state.shows =>
        {
            refuse(StatusCode::FORBIDDEN, "Resource not accessible")
        }
        ["branches", "main", "protection", "restrictions"] => protection(state),
        ["branch_protections", rule] if *rule == escaped_rule(state) => protection(state),
        _ => missing(),
    }
}

fn is_too_long(state: &State, text: &str) -> bool {
    state.flavour == Flavour::GitHub && text.encode_utf16().count() > 65_536
}

fn protection(state: &State) -> Answer {
    state.protection.first().cloned().map_or_else(missing, ok)
}

fn escaped_rule(state: &State) -> String {
    let rule = state.protection.first().map(|rule| &rule["rule_name"]);
    let rule = rule.and_then(Value::as_str).unwrap_or_default();
    rule.replace('*', "%2A")
}

fn team(state: &State, path: &[&str]) -> Answer {
    let named = |name: &str| {
        let mut teams = state.teams.iter();
        teams
            .find(|(_, (known, _))| known == name)
            .map(|(id, _)| *id)
    };
    match path {
        ["orgs", "ops", "teams"] => {
            let teams = state.teams.iter();
            Answer::List(
                teams
                    .map(|(id, (name, _))| json!({ "id": id, "name": name }))
                    .collect(),
            )
        }
        ["orgs", "ops", "teams", name, "memberships", login] => match named(name) {
            Some(team) if state.is_member(team, login) => {
                ok(json!({ "state": "active", "role": "member" }))
            }
            _ => missing(),
        },
        ["teams", team, "members", login] if state.is_member(id(team), login) => {
            Answer::One(StatusCode::NO_CONTENT, Value::Null)
        }
        _ => missing(),
    }
}

fn one_comment(state: &mut State, question: &Question, method: &str, id: u64) -> Answer {
    let Some(found) = state.comments.iter().position(|it| it.id == id) else {
        return missing();
    };
    match method {
        "GET" => ok(comment(state, &state.comments[found])),
        "PATCH" | "DELETE" if state.comments[found].author != BOT => {
            refuse(StatusCode::FORBIDDEN, "Forbidden")
        }
        "PATCH" if is_too_long(state, &question.text("body")) => {
            refuse(StatusCode::UNPROCESSABLE_ENTITY, "body is too long")
        }
        "PATCH" => {
            state.edit(found, question.text("body"));
            ok(comment(state, &state.comments[found]))
        }
        "DELETE" => {
            state.comments.remove(found);
            Answer::One(StatusCode::NO_CONTENT, Value::Null)
        }
        _ => missing(),
    }
}

fn status(state: &mut State, question: &Question, commit: &str) -> Answer {
    let description = question.text("description");
    if description.chars().count() > 140 {
        return refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            "description is too long (maximum is 140 characters)",
        );
    }
    state.statuses.push(Status {
        commit: commit.to_owned(),
        state: question.text("state"),
        description,
        context: question.text("context"),
    });
    Answer::One(
        StatusCode::CREATED,
        json!({ "id": 1, "state": question.text("state") }),
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
        ("PATCH", [wanted]) => {
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

fn id(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// `ghost`'s account was deleted.
fn user(state: &State, login: &str) -> Value {
    let id = match (login, state.flavour) {
        ("ghost", Flavour::GitHub) => return Value::Null,
        ("ghost", _) => -1,
        ("gitea-actions", _) => -2,
        _ => state
            .accounts
            .get(login)
            .map_or(1, |account| account.id.cast_signed()),
    };
    json!({ "login": login, "id": id, "type": "User", "site_admin": false, "html_url": format!("https://git.invalid/{login}") })
}

fn pull(state: &State, question: &Question, (number, request): (u64, &Request)) -> Value {
    let version = question.headers.get("x-github-api-version");
    // The newest version does not tell, and nobody knows when it will be the one that is given unasked.
    let is_newest = version.is_none_or(|version| version != "2022-11-28");
    let tells = state.flavour != Flavour::GitHub || !is_newest;
    let source = if request.foreign {
        json!({ "id": 2, "full_name": "mallory/cluster" })
    } else {
        json!({ "id": 1, "full_name": "ops/cluster" })
    };
    json!({
        "id": 5000 + number, "number": number, "state": if request.open { "open" } else { "closed" },
        "title": "@everyone <!-- windlass:example -->", "draft": false, "user": user(state, &request.author),
        "head": { "ref": request.branch, "sha": request.head, "repo": source },
        "base": { "ref": request.base, "sha": "", "repo": { "id": 1, "full_name": "ops/cluster" } },
        "merged": request.merged.is_some(), "merged_at": request.merged.as_ref().map(|_| "2026-01-01T00:00:00Z"),
        "merge_commit_sha": request.merged.as_ref().filter(|_| tells), "mergeable": null,
        "updated_at": state.updated(number),
        "a_field_of_next_year": { "x": [1, 2] },
    })
}

fn comment(state: &State, it: &Comment) -> Value {
    // Gitea tells the request's address apart from an issue's.
    let (issue, request) = if state.flavour == Flavour::GitHub {
        (
            format!(
                "https://git.invalid/api/v3/repos/ops/cluster/issues/{}",
                it.request
            ),
            Value::Null,
        )
    } else {
        (
            String::new(),
            format!("https://git.invalid/ops/cluster/pulls/{}", it.request).into(),
        )
    };
    let mut comment = json!({ "id": it.id, "body": it.body, "user": user(state, &it.author), "issue_url": issue, "created_at": it.created.to_string(), "updated_at": it.updated.to_string() });
    if !request.is_null() {
        comment["pull_request_url"] = request;
    }
    comment
}
