//! The fake as a server, and what people do there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{self, Request};
use axum::http::{HeaderMap, Response, StatusCode, header};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::answers::{Question, plain};
use super::state::{self, State, Weather};
use super::tls::{Tls, acceptor};
use super::{git, gitlab, hub};

const TOKEN: &str = "glpat-a-secret-of-the-forge";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    GitHub,
    Gitea,
    Forgejo,
    GitLab,
}

impl Flavour {
    pub const ALL: [Self; 4] = [Self::GitHub, Self::Gitea, Self::Forgejo, Self::GitLab];

    /// As worker.yaml and the hooks' paths call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::GitLab => "gitlab",
        }
    }
}

pub struct Fake {
    pub flavour: Flavour,
    pub port: u16,
    pub dir: TempDir,
    state: Arc<Mutex<State>>,
    work: PathBuf,
    /// The server ends with us.
    _stop: oneshot::Sender<()>,
}

#[derive(Clone)]
struct Serving {
    state: Arc<Mutex<State>>,
    git: PathBuf,
}

impl Fake {
    pub fn start(flavour: Flavour) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let work = git::repository(dir.path());
        std::fs::write(dir.path().join("token"), format!("{TOKEN}\n")).unwrap();
        let state = Arc::new(Mutex::new(State::new(flavour, TOKEN)));
        let acceptor = acceptor(dir.path());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = Serving {
            state: Arc::clone(&state),
            git: dir.path().join("git"),
        };
        let router = Router::new().fallback(serve).with_state(serving);
        let (stop, stopped) = oneshot::channel::<()>();
        // A thread of its own, so that tests may be asynchronous themselves.
        std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let serving = axum::serve(Tls { listener, acceptor }, router);
                tokio::select! {
                    served = serving.into_future() => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            flavour,
            port,
            dir,
            state,
            work,
            _stop: stop,
        }
    }

    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn token_file(&self) -> PathBuf {
        self.dir.path().join("token")
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The clone in which people work.
    pub fn work(&self) -> &Path {
        &self.work
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn commit(&self, branch: &str, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.work.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git::run(&self.work, &["add", "--all"]);
        git::run(
            &self.work,
            &["commit", "--quiet", "--allow-empty", "-m", "Change"],
        );
        git::run(
            &self.work,
            &["push", "--quiet", "--force", "origin", branch],
        );
        git::run(&self.work, &["rev-parse", "HEAD"])
    }

    /// Commits whatever stands in the clone, and these files, to main.
    pub fn push_main(&self, files: &[(&str, &str)]) -> String {
        if !git::run(&self.work, &["branch", "--list", "main"]).is_empty() {
            git::run(&self.work, &["switch", "--quiet", "main"]);
        }
        self.commit("main", files)
    }

    pub fn open(&self, number: u64, author: &str, files: &[(&str, &str)]) -> String {
        let branch = format!("request-{number}");
        git::run(&self.work, &["switch", "--quiet", "-c", &branch, "main"]);
        let head = self.commit(&branch, files);
        let request = state::Request {
            author: author.to_owned(),
            branch,
            base: "main".to_owned(),
            head: head.clone(),
            foreign: author == "mallory",
            open: true,
            merged: None,
        };
        self.state().requests.insert(number, request);
        self.point(number, &head);
        head
    }

    pub fn push(&self, number: u64, files: &[(&str, &str)]) -> String {
        let branch = format!("request-{number}");
        git::run(&self.work, &["switch", "--quiet", &branch]);
        let head = self.commit(&branch, files);
        self.point(number, &head);
        let mut state = self.state();
        state
            .requests
            .get_mut(&number)
            .unwrap()
            .head
            .clone_from(&head);
        head
    }

    pub fn merge(&self, number: u64) -> String {
        let branch = format!("request-{number}");
        git::run(&self.work, &["switch", "--quiet", "main"]);
        git::run(
            &self.work,
            &["merge", "--quiet", "--no-ff", "-m", "Merge", &branch],
        );
        git::run(&self.work, &["push", "--quiet", "origin", "main"]);
        let commit = git::run(&self.work, &["rev-parse", "HEAD"]);
        let mut state = self.state();
        let request = state.requests.get_mut(&number).unwrap();
        (request.open, request.merged) = (false, Some(commit.clone()));
        commit
    }

    /// Closes it without merging it.
    pub fn close(&self, number: u64) {
        self.state().requests.get_mut(&number).unwrap().open = false;
    }

    /// Where the forge keeps the request's head.
    fn point(&self, number: u64, head: &str) {
        let kind = if self.flavour == Flavour::GitLab {
            "merge-requests"
        } else {
            "pull"
        };
        let reference = format!("refs/{kind}/{number}/head");
        let bare = self.dir.path().join("git/ops/cluster.git");
        git::run(&bare, &["update-ref", &reference, head]);
    }
}

async fn serve(
    extract::State(serving): extract::State<Serving>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if let Some(refusal) = weather(&serving, &path).await {
        note(&serving, &parts.method, &path, &refusal);
        return refusal;
    }
    let body = to_bytes(body, 64 << 20).await.unwrap();
    if !let_in(&serving, &parts.headers) {
        let realm = [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")];
        let mut refusal = plain(
            StatusCode::UNAUTHORIZED,
            serde_json::json!({ "message": format!("Bad credentials {TOKEN}") }),
        );
        refusal
            .headers_mut()
            .insert(realm[0].0.clone(), realm[0].1.parse().unwrap());
        note(&serving, &parts.method, &path, &refusal);
        return refusal;
    }
    let response = if path.starts_with("/ops/cluster.git/") {
        git::serve(&serving.git, &parts, body).await
    } else {
        let question = Question {
            method: parts.method.to_string(),
            path: path.split('/').skip(3).map(str::to_owned).collect(),
            query: query(parts.uri.query().unwrap_or_default()),
            headers: parts.headers.clone(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        api(&serving, &path, &question)
    };
    note(&serving, &parts.method, &path, &response);
    response
}

fn api(serving: &Serving, path: &str, question: &Question) -> Response<Body> {
    let mut state = serving.state.lock().unwrap();
    let base = match state.flavour {
        Flavour::GitHub => "/api/v3/",
        Flavour::GitLab => "/api/v4/",
        Flavour::Gitea | Flavour::Forgejo => "/api/v1/",
    };
    if !path.starts_with(base) {
        return plain(StatusCode::NOT_FOUND, serde_json::Value::Null);
    }
    let answer = match state.flavour {
        Flavour::GitLab => gitlab::answer(&mut state, question),
        _ => hub::answer(&mut state, question),
    };
    let mut response = answer.respond(question, state.page);
    if state.flavour == Flavour::GitHub
        && let Some(scopes) = &state.scopes
    {
        let scopes = scopes.join(", ").parse().unwrap();
        response.headers_mut().insert("x-oauth-scopes", scopes);
    }
    response
}

fn note(serving: &Serving, method: &axum::http::Method, path: &str, response: &Response<Body>) {
    let line = format!("{method} {path} {}", response.status().as_u16());
    serving.state.lock().unwrap().asked.push(line);
}

async fn weather(serving: &Serving, path: &str) -> Option<Response<Body>> {
    let next = {
        let mut state = serving.state.lock().unwrap();
        if state.away {
            return Some(plain(StatusCode::BAD_GATEWAY, serde_json::Value::Null));
        }
        // Git's own questions are answered in any weather.
        path.starts_with("/api/")
            .then(|| state.weather.pop_front())?
    };
    match next? {
        Weather::Broken => Some(plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            serde_json::Value::Null,
        )),
        Weather::Busy(seconds) => {
            let mut busy = plain(StatusCode::TOO_MANY_REQUESTS, serde_json::Value::Null);
            busy.headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
            Some(busy)
        }
        Weather::Burst => {
            let words = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
            let body = serde_json::json!({ "message": words });
            let mut burst = plain(StatusCode::FORBIDDEN, body);
            let limits = [
                ("x-ratelimit-remaining", 14),
                ("x-ratelimit-reset", i64::from(i32::MAX)),
            ];
            for (name, value) in limits {
                burst.headers_mut().insert(name, value.into());
            }
            Some(burst)
        }
        Weather::Slow(pause) => {
            tokio::time::sleep(pause).await;
            None
        }
        Weather::CutOff => {
            let broken = futures_util::stream::iter([
                Ok::<_, std::io::Error>("{\"id\":".to_owned()),
                Err(std::io::Error::other("cut off")),
            ]);
            Some(Response::new(Body::from_stream(broken)))
        }
    }
}

fn let_in(serving: &Serving, headers: &HeaderMap) -> bool {
    let state = serving.state.lock().unwrap();
    let shown = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = &state.token;
    let basic = {
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::STANDARD;
        format!("Basic {}", engine.encode(format!("git:{token}")))
    };
    let wanted = match state.flavour {
        Flavour::GitHub => ("authorization", format!("Bearer {token}")),
        Flavour::Gitea | Flavour::Forgejo => ("authorization", format!("token {token}")),
        Flavour::GitLab => ("private-token", token.clone()),
    };
    let right = shown(wanted.0) == Some(&wanted.1) || shown("authorization") == Some(&basic);
    right && !state.expired
}

fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
