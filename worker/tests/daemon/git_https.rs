//! Fetching over https with a token from a real Git server: `git http-backend` behind TLS, its certificate from an
//! authority of our own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::serve::Listener;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use windlass::git::GitError;
use windlass::git::mirror::Mirror;
use windlass::git::remote::{Access, Remote};

const TOKEN: &str = "glpat-a-secret-of-the-forge";

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((stream, from)) = self.listener.accept().await else {
                continue;
            };
            // Clients that do not trust the certificate break off here.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Asks for the token, and hands the request to Git's own server program.
async fn backend(State(root): State<PathBuf>, request: Request) -> Response<axum::body::Body> {
    let wanted = format!("Basic {}", STANDARD.encode(format!("git:{TOKEN}")));
    let (parts, body) = request.into_parts();
    let field = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    if field(header::AUTHORIZATION) != Some(&wanted) {
        let realm = [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")];
        return (StatusCode::UNAUTHORIZED, realm).into_response();
    }
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut backend = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env(
            "CONTENT_TYPE",
            field(header::CONTENT_TYPE).unwrap_or_default(),
        )
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
fn answer(output: &[u8]) -> Response<axum::body::Body> {
    let end = output
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
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

/// A certificate for 127.0.0.1, whose authority is written to ca.pem; foreign.pem is another's.
fn acceptor(dir: &Path) -> TlsAcceptor {
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, foreign) = (authority(), authority());
    std::fs::write(dir.join("ca.pem"), ours.pem()).unwrap();
    std::fs::write(dir.join("foreign.pem"), foreign.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ours).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

struct Server {
    dir: tempfile::TempDir,
    port: u16,
    head: String,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let git = |args: &[&str]| super::git_ssh::run("git", args);
        git(&[
            "init",
            "--quiet",
            "--initial-branch=main",
            &at("cluster.git"),
        ]);
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let repository = at("cluster.git");
        let begin = [
            "-C",
            &repository,
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "Begin",
        ];
        git(&[&who[..], &begin].concat());
        let head = git(&["-C", &repository, "rev-parse", "HEAD"]);
        std::fs::write(at("token"), format!("{TOKEN}\n")).unwrap();
        std::fs::write(at("old-token"), "glpat-revoked").unwrap();

        let acceptor = acceptor(dir.path());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new()
            .fallback(backend)
            .with_state(dir.path().to_owned());
        runtime.spawn(async move {
            axum::serve(Tls { listener, acceptor }, router)
                .await
                .unwrap();
        });
        Self {
            dir,
            port,
            head,
            _runtime: runtime,
        }
    }

    fn fetch(
        &self,
        host: &str,
        token: &str,
        authorities: Option<&str>,
    ) -> Result<String, GitError> {
        let remote = Remote {
            url: format!("https://{host}:{}/cluster.git", self.port),
            branch: "main".to_owned(),
            access: Access::Token {
                user: "git".to_owned(),
                file: self.dir.path().join(token),
            },
            authorities: authorities.map(|name| self.dir.path().join(name)),
            signers: None,
        };
        let mirror = tempfile::tempdir().unwrap();
        Mirror::new(mirror.path().join("mirror.git"), remote, String::new()).fetch()
    }

    #[track_caller]
    fn denied(&self, host: &str, token: &str, authorities: Option<&str>, why: &str) {
        let error = self.fetch(host, token, authorities).unwrap_err();
        assert!(matches!(error, GitError::Denied { .. }), "{error}");
        let words = error.to_string();
        assert!(words.contains(why), "{words}");
        assert!(!words.contains("glpat"), "{words}");
    }
}

#[test]
fn the_token_and_the_authority_decide() {
    let server = Server::start();
    let here = "127.0.0.1";
    let head = server.fetch(here, "token", Some("ca.pem")).unwrap();
    assert_eq!(head, server.head);
    server.denied(
        here,
        "old-token",
        Some("ca.pem"),
        "the credentials were refused",
    );
    server.denied(here, "no-token", Some("ca.pem"), "cannot read");
    server.denied(here, "token", None, "certificate");
    server.denied(
        here,
        "token",
        Some("foreign.pem"),
        "does not come from `ca_file`",
    );
    server.denied(
        "localhost",
        "token",
        Some("ca.pem"),
        "does not come from `ca_file`",
    );
    server.denied(here, "token", Some("no.pem"), "cannot use");
}
