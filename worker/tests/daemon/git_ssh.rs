//! Fetching over ssh from a real sshd: the pinned host key and the deploy key decide, nothing else.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use windlass::git::GitError;
use windlass::git::mirror::Mirror;
use windlass::git::remote::{Access, Remote};

struct Server {
    dir: tempfile::TempDir,
    port: u16,
    sshd: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

pub(crate) fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for key in ["host", "deploy", "stranger"] {
            run(
                "ssh-keygen",
                &["-q", "-t", "ed25519", "-N", "", "-f", &at(key)],
            );
        }
        fs::copy(at("deploy.pub"), at("authorized")).unwrap();
        run(
            "git",
            &[
                "init",
                "--quiet",
                "--initial-branch=main",
                &at("repository"),
            ],
        );
        let commit = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "commit.gpgsign=false",
        ];
        let commit = [
            &["-C", &at("repository")],
            &commit[..],
            &["commit", "-q", "--allow-empty", "-m", "First"],
        ];
        run("git", &commit.concat());
        let port = windlass_tests::port::free().unwrap();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n",
            at("host"),
            at("authorized")
        );
        fs::write(at("config"), config).unwrap();
        // Where sshd as root wants to lock itself in; Debian makes it when the service starts.
        let _ = fs::create_dir_all("/run/sshd");
        let sshd = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &at("config")])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { dir, port, sshd };
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "sshd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Fetches with this private key, expecting this host key.
    fn fetch(&self, key: &str, host: &str) -> Result<String, GitError> {
        let user = run("id", &["-un"]);
        let repository = self.path("repository");
        let pinned = fs::read_to_string(self.path(&format!("{host}.pub"))).unwrap();
        let remote = Remote {
            url: format!(
                "ssh://{user}@127.0.0.1:{}{}",
                self.port,
                repository.display()
            ),
            branch: "main".to_owned(),
            access: Access::Key {
                file: self.path(key),
                host_keys: vec![pinned],
            },
            authorities: None,
            signers: None,
        };
        let mirror = self.path(&format!("{key}-{host}.git"));
        Mirror::new(mirror, remote, String::new()).fetch()
    }
}

#[test]
fn the_right_keys_and_no_others_open_the_repository() {
    let server = Server::start();
    let repository = server.path("repository").display().to_string();
    let head = run("git", &["-C", &repository, "rev-parse", "HEAD"]);
    assert_eq!(server.fetch("deploy", "host").unwrap(), head);

    let stranger = server.fetch("stranger", "host").unwrap_err();
    assert!(matches!(stranger, GitError::Denied { .. }), "{stranger}");

    let impostor = server.fetch("deploy", "stranger").unwrap_err();
    assert!(matches!(impostor, GitError::Denied { .. }), "{impostor}");
    assert!(impostor.to_string().contains("hostkey"), "{impostor}");

    fs::remove_file(server.path("deploy")).unwrap();
    let missing = server.fetch("deploy", "host").unwrap_err();
    assert!(missing.to_string().contains("cannot read"), "{missing}");
}
