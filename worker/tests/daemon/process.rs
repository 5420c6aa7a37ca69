//! The worker as a process of its own: real repository, real hook, real signals. The definitions it is given are
//! broken on purpose, so that every push ends in a refusal and no node is needed.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use super::world::{DEADLINE, Worker, World, wait};

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
fn one_worker_watches_several_clusters() {
    let world = World::new();
    world.git(
        world.dir.path(),
        &["init", "--quiet", "--bare", "other.git"],
    );
    let config = fs::read_to_string(world.path("worker.yaml")).unwrap();
    let other = "  - { name: other, poll: 1h, repository: { url: OTHER, branch: main } }\n";
    let url = world.path("other.git").display().to_string();
    fs::write(
        world.path("worker.yaml"),
        config + &other.replace("OTHER", &url),
    )
    .unwrap();
    let (first, _) = world.push("name: [");
    world.git(
        &world.path("work"),
        &["push", "--quiet", "../other.git", "main"],
    );
    let _worker = world.start();
    for cluster in ["example", "other"] {
        world.wait_for_report(&first, cluster);
    }

    // The hook wakes whoever watches a branch of that name; who finds nothing new has nothing to tell.
    world.install_hook();
    let (second, said) = world.push("name: ]");
    assert!(
        said.contains("example: woken") && said.contains("other: woken"),
        "{said}"
    );
    world.wait_for_report(&second, "example");
    wait("the other one to have looked", || {
        let events = world.json("/api/v1/events");
        let all = events.as_array().unwrap().iter();
        let mut hooks =
            all.filter(|e| e["event"]["source"] != "/poll" && e["event"]["subject"] == "other");
        hooks.any(|e| e["state"] == "done")
    });
    let other = world.json("/api/v1/rolls?cluster=other");
    assert_eq!(other.as_array().map(Vec::len), Some(1), "{other}");
    assert_eq!(other[0]["commit"], first);
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
