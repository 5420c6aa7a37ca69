//! Webhooks of the fake, signed as its forge signs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Fake, Flavour};

/// What the webhook signs with.
pub const SECRET: &str = "correct horse battery staple";

/// What a delivery tells.
#[derive(Debug, Clone, Copy)]
pub enum Word {
    Push,
    Opened(u64),
    Pushed(u64),
    Merged(u64),
    Closed(u64),
    /// Request and comment.
    Commented(u64, u64),
}

impl Fake {
    /// Sends a delivery to the worker at this port; gives the status that it answers.
    pub fn deliver(&self, port: u16, id: &str, word: Word) -> u16 {
        self.deliver_signed(port, id, word, SECRET)
    }

    pub fn deliver_signed(&self, port: u16, id: &str, word: Word, secret: &str) -> u16 {
        let (event, body) = match self.flavour {
            Flavour::GitLab => ("Hook", self.of_gitlab(word)),
            _ => self.of_hub(word),
        };
        let body = body.to_string();
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        let digest = mac.chain_update(&body).finalize().into_bytes();
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let headers = match self.flavour {
            Flavour::GitHub => format!(
                "X-GitHub-Event: {event}\r\nX-GitHub-Delivery: {id}\r\nX-Hub-Signature-256: sha256={digits}\r\n"
            ),
            Flavour::Gitea => format!(
                "X-Gitea-Event: {event}\r\nX-Gitea-Delivery: {id}\r\nX-Gitea-Signature: {digits}\r\n"
            ),
            Flavour::Forgejo => format!(
                "X-Forgejo-Event: {event}\r\nX-Forgejo-Delivery: {id}\r\nX-Forgejo-Signature: {digits}\r\n"
            ),
            Flavour::GitLab => format!("Idempotency-Key: {id}\r\nX-Gitlab-Token: {secret}\r\n"),
        };
        let path = format!("/hooks/{}", self.flavour.word());
        post(port, &path, &headers, &body)
    }

    fn of_hub(&self, word: Word) -> (&'static str, Value) {
        let repository = json!({ "full_name": "ops/cluster", "clone_url": format!("{}/ops/cluster.git", self.address()) });
        let pull = |action: &str, number: u64| {
            let body = json!({
                "action": action, "number": number, "repository": repository,
                "pull_request": { "number": number, "base": { "ref": "main" } },
            });
            ("pull_request", body)
        };
        let pushed = if self.flavour == Flavour::GitHub {
            "synchronize"
        } else {
            "synchronized"
        };
        match word {
            Word::Push => (
                "push",
                json!({ "ref": "refs/heads/main", "repository": repository }),
            ),
            Word::Opened(number) => pull("opened", number),
            Word::Pushed(number) => pull(pushed, number),
            Word::Merged(number) | Word::Closed(number) => pull("closed", number),
            Word::Commented(number, id) => {
                let body = json!({
                    "action": "created", "repository": repository, "is_pull": true,
                    "issue": { "number": number, "pull_request": {} },
                    "comment": { "id": id, "body": self.said(id) },
                });
                ("issue_comment", body)
            }
        }
    }

    fn of_gitlab(&self, word: Word) -> Value {
        let project = json!({ "path_with_namespace": "ops/cluster", "git_http_url": format!("{}/ops/cluster.git", self.address()) });
        let merge = |action: &str, number: u64| {
            json!({
                "object_kind": "merge_request", "project": project,
                "object_attributes": { "iid": number, "action": action, "target_branch": "main" },
            })
        };
        match word {
            Word::Push => {
                json!({ "object_kind": "push", "ref": "refs/heads/main", "project": project })
            }
            Word::Opened(number) => merge("open", number),
            Word::Pushed(number) => merge("update", number),
            Word::Merged(number) => merge("merge", number),
            Word::Closed(number) => merge("close", number),
            Word::Commented(number, id) => json!({
                "object_kind": "note", "project": project,
                "object_attributes": { "id": id, "note": self.said(id), "noteable_type": "MergeRequest", "action": "create" },
                "merge_request": { "iid": number, "target_branch": "main" },
            }),
        }
    }

    fn said(&self, id: u64) -> String {
        let state = self.state();
        let found = state.comments.iter().find(|it| it.id == id);
        found.map_or_else(String::new, |it| it.body.clone())
    }
}

fn post(port: u16, path: &str, headers: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}
