//! Real servers: haproxy for HTTP and TLS, named for DNS, the kernel for ports.

mod dns;
mod web;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use windlass_core::gate::GateScope;

use super::*;

const QUICK: Duration = Duration::from_millis(1500);

/// A server process that ends with its test.
struct Server {
    process: Child,
    _directory: TempDir,
}

impl Server {
    fn start(program: &str, arguments: &[&str], directory: TempDir) -> Self {
        let process = Command::new(program)
            .args(arguments)
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            _directory: directory,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    windlass_tests::port::free().unwrap()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn probe(extra_ca: Option<PathBuf>, probe: Probe) -> ProbeResult {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut prober = NetProber::new(extra_ca.as_deref()).unwrap();
    prober.timeout = QUICK;
    let gate = Gate {
        label: "a gate".to_owned(),
        component: "thing".parse().unwrap(),
        probe,
        hold: 0,
        deadline: None,
        scope: GateScope::Node,
        needs: Vec::new(),
        before: false,
    };
    prober.probe(&gate).await
}

#[track_caller]
fn assert_seen(result: &ProbeResult, ok: bool, words: &str) {
    assert_eq!(result.ok, ok, "{result:?}");
    assert!(result.seen.contains(words), "{result:?} lacks {words:?}");
}

async fn wait_until_open(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {address}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn ports_are_open_closed_or_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let shut = local(free_port());
    assert_seen(
        &probe(None, Probe::Tcp { connect: open }).await,
        true,
        "accepted",
    );
    assert_seen(
        &probe(None, Probe::Tcp { connect: shut }).await,
        false,
        "refused",
    );
    assert_seen(
        &probe(None, Probe::Closed { connect: open }).await,
        false,
        "accepted",
    );
    assert_seen(
        &probe(None, Probe::Closed { connect: shut }).await,
        true,
        "refused",
    );

    // A full queue drops what comes next, as a firewall would.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(local(0)).unwrap();
    let full = socket.listen(1).unwrap();
    let silent = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = tokio::time::timeout(QUICK / 4, TcpStream::connect(silent)).await {
        waiting.push(connected);
    }
    assert_seen(
        &probe(None, Probe::Tcp { connect: silent }).await,
        false,
        "no answer within",
    );
    assert_seen(
        &probe(None, Probe::Closed { connect: silent }).await,
        true,
        "no answer",
    );
}

#[test]
fn an_unusable_authority_file_is_an_error() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing.pem");
    assert!(NetProber::new(Some(&missing)).is_err());
}
