//! The worker as a process of its own: real repository, real hook, real signals. The definitions it is given are
//! broken on purpose, so that every push ends in a refusal and no node is needed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for a machine that builds at the same time.
const DEADLINE: Duration = Duration::from_secs(60);

struct World {
    dir: tempfile::TempDir,
    port: u16,
}

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
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

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn git(&self, at: &Path, args: &[&str]) -> String {
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
    fn push(&self, text: &str) -> (String, String) {
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

    fn install_hook(&self) {
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

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command
            .args(["worker", "--config"])
            .arg(self.path("worker.yaml"));
        command.env_remove("NOTIFY_SOCKET").stderr(Stdio::null());
        command
    }

    fn start(&self) -> Worker {
        let worker = Worker(self.command().spawn().unwrap());
        wait("the worker to be ready", || {
            self.get("/readyz").is_some_and(|(status, _)| status == 200)
        });
        worker
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
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

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    fn wait_for_report_of(&self, commit: &str) {
        wait("the report", || {
            let rolls = self.json("/api/v1/rolls?cluster=example&limit=1");
            rolls[0]["commit"] == commit && rolls[0]["outcome"] == "refused"
        });
    }
}

impl Worker {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait("the worker to end", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_push_wakes_the_worker_through_the_hook_and_its_outcome_is_told() {
    let world = World::new();
    let (first, _) = world.push("name: [");
    let mut worker = world.start();
    world.wait_for_report_of(&first);

    world.install_hook();
    let (second, said) = world.push("name: ]");
    assert!(said.contains("example: woken"), "{said}");
    world.wait_for_report_of(&second);

    let cluster = world.json("/api/v1/clusters/example");
    assert_eq!(cluster["latest"]["outcome"], "refused");
    let finding = &cluster["latest"]["findings"][0];
    assert_eq!(finding["at"]["file"], "cluster.yaml");
    let roll = cluster["latest"]["id"].as_i64().unwrap();
    assert_eq!(
        world.json(&format!("/api/v1/rolls/{roll}"))["commit"],
        second
    );
    assert_eq!(world.get("/api/v1/rolls/999").unwrap().0, 404);
    assert_eq!(world.get("/api/v1/clusters/other").unwrap().0, 404);
    assert_eq!(
        world.json("/api/v1/events")[0]["event"]["subject"],
        "example"
    );
    let (_, metrics) = world.get("/metrics").unwrap();
    let counted = "windlass_rolls{cluster=\"example\",outcome=\"refused\"} 2";
    assert!(metrics.contains(counted), "{metrics}");

    worker.signal("-TERM");
    assert!(worker.ended().success());
}

#[test]
fn its_health_is_told_by_the_program_itself() {
    let world = World::new();
    world.push("name: [");
    let health = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        let config = world.path("worker.yaml");
        let output = command.arg("health").arg("--config").arg(config);
        // A proxy that the environment names is for the outside world.
        let output = output.env("http_proxy", "http://127.0.0.1:1").output();
        let output = output.unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.code(), said)
    };
    let address = format!("127.0.0.1:{}", world.port);
    let (code, said) = health();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(&address) && said.contains("refused"),
        "{said}"
    );

    let _worker = world.start();
    assert_eq!(health(), (Some(0), "ready\n".to_owned()));

    let config = fs::read_to_string(world.path("worker.yaml")).unwrap();
    let silent = config.replace(&format!("listen: {address}\n"), "");
    let silent = silent.replace("hook: { secret_files: [hook.secret] }\n", "");
    fs::write(world.path("worker.yaml"), silent).unwrap();
    let (code, said) = health();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("add `listen:"), "{said}");
}

#[test]
fn a_push_to_a_worker_that_is_away_succeeds_and_is_seen_later() {
    let world = World::new();
    world.install_hook();
    let (commit, said) = world.push("name: [");
    assert!(said.contains("it will look by itself"), "{said}");
    let _worker = world.start();
    world.wait_for_report_of(&commit);
}

#[test]
fn killed_and_started_again_it_remembers() {
    let world = World::new();
    world.push("name: [");
    let mut worker = world.start();
    let (commit, _) = world.push("name: ]");
    worker.signal("-KILL");
    worker.ended();
    // The lock went with the process; what had come in the meantime is looked at.
    let _again = world.start();
    world.wait_for_report_of(&commit);
}

#[test]
fn templates_without_end_are_refused() {
    let world = World::new();
    let (work, starter) = (world.path("work"), world.path("starter"));
    let mut init = Command::new(env!("CARGO_BIN_EXE_windlass"));
    assert!(init.arg("init").arg(&starter).status().unwrap().success());
    let mut copy = Command::new("cp");
    let copied = copy.arg("-rT").args([&starter, &work]).status();
    assert!(copied.unwrap().success());
    let doubling = "{% set text = text ~ text %}".repeat(40);
    let template = work.join("components/haproxy/haproxy.cfg.tera");
    fs::write(template, format!("{{% set text = \"123\" %}}{doubling}")).unwrap();
    let cluster = fs::read_to_string(work.join("cluster.yaml")).unwrap();
    let (commit, _) = world.push(&cluster);
    let _worker = world.start();
    world.wait_for_report_of(&commit);
    let finding = &world.json("/api/v1/clusters/example")["latest"]["findings"][0];
    assert_eq!(finding["code"], "WL218", "{finding}");
    let template = "components/haproxy/haproxy.cfg.tera";
    assert_eq!(finding["at"]["file"], template, "{finding}");
}

#[test]
fn one_worker_for_each_state_directory() {
    let world = World::new();
    world.push("name: [");
    let _first = world.start();
    let second = world.command().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(2), "used wrongly");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another worker uses"), "{said}");
}

#[test]
fn systemd_is_told_of_readiness_life_and_end() {
    let world = World::new();
    world.push("name: [");
    let path = world.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let started = world
        .command()
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "600000")
        .spawn();
    let mut worker = Worker(started.unwrap());
    let hear = |wanted: &str| {
        let mut message = [0; 512];
        loop {
            let length = socket.recv(&mut message).unwrap();
            let text = String::from_utf8_lossy(&message[..length]);
            if text.lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    worker.signal("-INT");
    hear("STOPPING=1");
    assert!(worker.ended().success());
}

#[test]
fn what_a_person_asks_reaches_a_running_worker() {
    let world = World::new();
    let (commit, _) = world.push("name: [");
    let _worker = world.start();
    world.wait_for_report_of(&commit);
    // systemd shows the credentials to the worker alone; a person's shell does not need them.
    let config = fs::read_to_string(world.path("worker.yaml")).unwrap();
    let key = "ssh: { identity_file: $CREDENTIALS_DIRECTORY/ssh-key }\n";
    fs::write(world.path("worker.yaml"), config + key).unwrap();
    let ask = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command
            .args(words)
            .arg("--config")
            .arg(world.path("worker.yaml"));
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (done, said) = ask(&["accept-rewind", "example", &commit]);
    assert!(done && said.contains(&commit), "{said}");
    assert_eq!(
        world.json("/api/v1/clusters/example")["accepted"],
        commit.as_str()
    );
    let (done, said) = ask(&["accept-rewind", "example", &commit[..7]]);
    assert!(!done && said.contains("full commit id"), "{said}");
    let (done, said) = ask(&["retry", "other"]);
    assert!(!done && said.contains("no cluster named other"), "{said}");
    let (done, said) = ask(&["retry", "example"]);
    assert!(done && said.contains("looked at again"), "{said}");
    wait("both questions to be worked on", || {
        let events = world.json("/api/v1/events");
        let asked = events.as_array().unwrap().iter();
        let asked = asked.filter(|e| e["event"]["source"] == "/cli" && e["state"] == "done");
        asked.count() == 2
    });
}
