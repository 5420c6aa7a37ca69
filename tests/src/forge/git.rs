//! The repository behind the fake: served by `git http-backend`, and changed by pushes and merges as people make them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use tokio::io::AsyncWriteExt as _;

pub(super) fn run(at: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(["-c", "commit.gpgsign=false"])
        .args(args)
        .current_dir(at)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A bare repository `ops/cluster.git`, and a clone to work in; gives the clone.
pub(super) fn repository(dir: &Path) -> PathBuf {
    let bare = dir.join("git/ops/cluster.git");
    std::fs::create_dir_all(&bare).unwrap();
    run(
        &bare,
        &["init", "--quiet", "--bare", "--initial-branch=main"],
    );
    run(dir, &["clone", "--quiet", "git/ops/cluster.git", "work"]);
    let work = dir.join("work");
    run(&work, &["symbolic-ref", "HEAD", "refs/heads/main"]);
    work
}

/// Hands the request to Git's own server program.
pub(super) async fn serve(root: &Path, parts: &Parts, body: Bytes) -> Response<Body> {
    let field = |name: header::HeaderName| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut backend = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", field(header::CONTENT_TYPE))
        .env("HTTP_CONTENT_ENCODING", field(header::CONTENT_ENCODING))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = backend.stdin.take().unwrap();
    input.write_all(&body).await.unwrap();
    drop(input);
    answer(&backend.wait_with_output().await.unwrap().stdout)
}

/// CGI's headers and body as HTTP's.
fn answer(output: &[u8]) -> Response<Body> {
    let end = output.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap();
    let mut headers = HeaderMap::new();
    let mut status = StatusCode::OK;
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            status = value[..3].parse().unwrap();
        } else {
            let name: header::HeaderName = name.parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
    }
    (status, headers, Bytes::copy_from_slice(&output[end + 4..])).into_response()
}
