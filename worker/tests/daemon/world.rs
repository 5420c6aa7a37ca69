//! A worker as a process of its own, with a repository, a hook and its API.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for a machine that builds at the same time.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) port: u16,
}

pub(super) struct Worker(pub(super) Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = windlass_tests::port::free().unwrap();
        let world = Self { dir, port };
        fs::write(world.path("hook.secret"), "a secret that nobody guesses\n").unwrap();
        let config = format!(
            "state: state
listen: 127.0.0.1:{port}
hook: {{ secret_files: [hook.secret] }}
sweep: 1h
clusters:
  - name: example
    poll: 1h
    repository: {{ url: {} }}
",
            world.path("cluster.git").display()
        );
        fs::write(world.path("worker.yaml"), config).unwrap();
        world.git(
            world.dir.path(),
            &[
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                "cluster.git",
            ],
        );
        world.git(
            world.dir.path(),
            &["init", "--quiet", "--initial-branch=main", "work"],
        );
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn git(&self, at: &Path, args: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(args)
            .current_dir(at)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Pushes a change; gives the commit and what the hook said.
    pub(super) fn push(&self, text: &str) -> (String, String) {
        let work = self.path("work");
        fs::write(work.join("cluster.yaml"), text).unwrap();
        self.git(&work, &["add", "--all"]);
        self.git(&work, &["commit", "--quiet", "--message", text]);
        let pushed = Command::new("git")
            .args(["push", "--quiet", "../cluster.git", "main"])
            .current_dir(&work)
            .output()
            .unwrap();
        assert!(pushed.status.success());
        let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
        (self.git(&work, &["rev-parse", "HEAD"]), said)
    }

    pub(super) fn install_hook(&self) {
        let bare = self.path("cluster.git");
        let from =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../repo-template/hooks/post-receive");
        let to = bare.join("hooks/post-receive");
        fs::create_dir_all(bare.join("hooks")).unwrap();
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        let url = format!("http://127.0.0.1:{}/hooks/git", self.port);
        self.git(&bare, &["config", "windlass.url", &url]);
        let secret = self.path("hook.secret").display().to_string();
        self.git(&bare, &["config", "windlass.secretFile", &secret]);
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command
            .args(["worker", "--config"])
            .arg(self.path("worker.yaml"));
        command.env_remove("NOTIFY_SOCKET").stderr(Stdio::null());
        command
    }

    pub(super) fn start(&self) -> Worker {
        let worker = Worker(self.command().spawn().unwrap());
        wait("the worker to be ready", || {
            self.get("/readyz").is_some_and(|(status, _)| status == 200)
        });
        worker
    }

    pub(super) fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, body.to_owned()))
    }

    pub(super) fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(super) fn wait_for_report_of(&self, commit: &str) {
        self.wait_for_report(commit, "example");
    }

    pub(super) fn wait_for_report(&self, commit: &str, cluster: &str) {
        wait("the report", || {
            let rolls = self.json(&format!("/api/v1/rolls?cluster={cluster}&limit=1"));
            rolls[0]["commit"] == commit && rolls[0]["outcome"] == "refused"
        });
    }
}

impl Worker {
    pub(super) fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(super) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait("the worker to end", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

pub(super) fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
