//! A repository, a pebble, and an address of this test's own below 127.0.0.0/8.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use super::disk::Disk;
use super::pebble::{Options, Pebble};

/// Long enough for a machine that builds at the same time.
const DEADLINE: Duration = Duration::from_secs(120);

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

pub(super) struct Place {
    dir: tempfile::TempDir,
    pub(super) pebble: Pebble,
    pub(super) address: String,
    port: u16,
    /// What the worker's state lies on, where that is small.
    disk: Option<Disk>,
}

/// A worker process, killed with the test.
pub(super) struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Worker {
    /// `false`: it has ended.
    pub(super) fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

fn own_address() -> String {
    let id = uuid::Uuid::new_v4().into_bytes();
    format!("127.{}.{}.{}", id[0] / 2 + 64, id[1], id[2] / 2 + 1)
}

impl Place {
    pub(super) fn new() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let address = own_address();
        let options = Options {
            address: address.clone(),
            ..Options::default()
        };
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
            pebble: Pebble::start(80, options),
            port: windlass_tests::port::free().unwrap(),
            address,
            disk: None,
        };
        place.answer_at_port(80);
        fs::create_dir(place.path("pem")).unwrap();
        place.define(&place.pebble.directory());
        place
    }

    /// From now on the worker's state lies on a disk of its own.
    pub(super) fn small(mut self) -> Self {
        self.disk = Some(Disk::at(&self.path("state")));
        self
    }

    pub(super) fn disk(&self) -> &Disk {
        self.disk.as_ref().unwrap()
    }

    fn windlass(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_windlass");
        match &self.disk {
            Some(disk) => disk.command(program),
            None => Command::new(program),
        }
    }

    /// `worker.yaml`; authorities ask at port 80.
    pub(super) fn answer_at_port(&self, port: u16) {
        let config = format!(
            "state: state
listen: 127.0.0.1:{}
acme: {{ listen: \"{}:{port}\" }}
certificates: pem
sweep: 1h
clusters:
  - name: example
    poll: 1h
    repository: {{ url: {} }}
",
            self.port,
            self.address,
            self.path("origin").display()
        );
        fs::write(self.path("worker.yaml"), config).unwrap();
    }

    /// A repository with the sites blog (ordered) and mail (a file).
    fn define(&self, directory: &str) {
        let write = |path: &str, text: &str| {
            let path = self.path("origin").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "cluster.yaml",
            &format!(
                "name: example\ndomain: example.org\nnetworks: {{ public: 127.0.0.0/8 }}\norder: [vps1, vps2]\nedge: {{ role: edge, network: public }}\nacme:\n  authorities: [{{ name: pebble, directory: \"{directory}\", root: ca/pebble.pem }}]\n",
            ),
        );
        write("ca/pebble.pem", &self.pebble.root);
        let elsewhere = "127.0.0.9".to_owned();
        for (node, role, address) in [("vps1", "edge", &self.address), ("vps2", "dns", &elsewhere)]
        {
            write(
                &format!("nodes/{node}.yaml"),
                &format!(
                    "roles: [{role}]\naddresses: {{ public: {address} }}\nssh: {{ network: public, port: 1, host_keys: [\"{KEY}\"] }}\n"
                ),
            );
        }
        write(
            "zones/example.org.yaml",
            "contact: hostmaster@example.org\nprimary: { nodes: [vps1] }\nsecondaries: { nodes: [vps2] }\nnameservers: [vps2.example.org]\n",
        );
        write("certificates/mail.yaml", "names: [mail.example.org]\n");
        for (site, port, tls) in [
            ("blog", 8081, "{}"),
            ("mail", 8082, "{ certificate: mail }"),
        ] {
            write(
                &format!("sites/{site}.yaml"),
                &format!(
                    "hosts: [{site}.example.org]\non: {{ role: edge }}\nport: {port}\ntls: {tls}\n"
                ),
            );
        }
        self.git(&["init", "--quiet", "--initial-branch=main"]);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "two sites"]);
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        let user = [
            "user.name=t",
            "user.email=t@example.org",
            "commit.gpgsign=false",
        ];
        let mut command = Command::new("git");
        for setting in user {
            command.args(["-c", setting]);
        }
        let output = command.args(args).current_dir(self.path("origin")).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn start(&self) -> Worker {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("worker.log"))
            .unwrap();
        let worker = self
            .windlass()
            .args(["worker", "--config"])
            .arg(self.path("worker.yaml"))
            .env_remove("NOTIFY_SOCKET")
            .stderr(Stdio::from(log))
            .spawn();
        Worker(worker.unwrap())
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path("worker.log")).unwrap_or_default()
    }

    /// `windlass cert …`
    pub(super) fn cert(&self, args: &[&str]) -> Output {
        let mut command = self.windlass();
        command.arg("cert").args(args);
        command.arg("--config").arg(self.path("worker.yaml"));
        command.output().unwrap()
    }

    /// As `cert`, which must end with this code; what it printed.
    #[track_caller]
    pub(super) fn said(&self, code: i32, args: &[&str]) -> String {
        let output = self.cert(args);
        let out = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "cert {args:?}\n{out}\n{error}\n{}",
            self.log()
        );
        format!("{out}{error}")
    }

    pub(super) fn show(&self, name: &str) -> Option<Value> {
        let output = self.cert(&["show", name, "--no-probe", "--format", "json"]);
        serde_json::from_slice(&output.stdout).ok()
    }

    pub(super) fn serial(&self, name: &str) -> Option<String> {
        let shown = self.show(name)?;
        Some(shown["in_use"]["serial"].as_str()?.to_owned())
    }

    /// Waits until another certificate than `before` is in use.
    pub(super) fn next_serial(&self, name: &str, before: Option<&str>) -> String {
        let mut found = None;
        self.wait("another certificate", || {
            found = self.serial(name);
            found.is_some() && found.as_deref() != before
        });
        found.unwrap()
    }

    pub(super) fn wait(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let end = Instant::now() + DEADLINE;
        while !condition() {
            let log = || self.log();
            assert!(Instant::now() < end, "waited in vain for {what}\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `GET` of the worker's own address.
    pub(super) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_owned())
    }

    /// `windlass status` on the repository.
    pub(super) fn status(&self) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.arg("-C").arg(self.path("origin"));
        let output = command
            .args(["status", "--format", "json"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"))
    }

    /// What the node would serve from now on, to every client.
    pub(super) fn serve(&self, pem: &Path) {
        let pem = fs::read(pem).unwrap();
        let chain = CertificateDer::pem_slice_iter(&pem).map(Result::unwrap);
        let key = PrivateKeyDer::from_pem_slice(&pem).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.collect(), key)
            .unwrap();
        let listener = TcpListener::bind((self.address.as_str(), 443)).unwrap();
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                drop(shake(session, stream));
            }
        });
    }

    /// How many entries the worker's orders have.
    pub(super) fn entries(&self) -> i64 {
        let path = self.path("state/windlass.db");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let Ok(db) = rusqlite::Connection::open_with_flags(path, flags) else {
            return 0;
        };
        let count = "SELECT count(*) FROM acme_entry";
        db.query_row(count, [], |row| row.get(0)).unwrap_or(0)
    }
}

fn shake(mut session: rustls::ServerConnection, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    // Until the client has seen enough.
    while !matches!(session.read_tls(&mut stream), Ok(0) | Err(_)) {}
    Ok(())
}
