//! Real programs in the real sandbox.

#[path = "hostile_tests.rs"]
mod hostile;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use windlass_core::release::{Command, FileMeta, ReleaseComponent, ReleaseMeta};

use super::*;
use crate::check::Limits;

/// A release of one component, from paths and contents.
fn release(node: &str, packages: &[&str], checks: Vec<Check>, files: &[(&str, &str)]) -> Release {
    let name: ComponentName = "thing".parse().unwrap();
    let mut metas = BTreeMap::new();
    let mut contents = BTreeMap::new();
    for (path, content) in files {
        let path: NodePath = path.parse().unwrap();
        let meta = FileMeta {
            digest: Digest::of(content.as_bytes()),
            mode: "0644".to_owned(),
            owner: "root:root".to_owned(),
            component: name.clone(),
            secret: false,
            serial: content.contains("@WINDLASS_SERIAL@"),
            inputs: vec!["components/thing/file.tera".to_owned()],
        };
        metas.insert(path.clone(), meta);
        contents.insert(path, Arc::from(content.as_bytes()));
    }
    Release {
        meta: ReleaseMeta {
            cluster: "example".parse().unwrap(),
            node: node.parse().unwrap(),
            digest: Digest::of(node.as_bytes()),
            commit: "c".to_owned(),
            files: metas,
            components: vec![ReleaseComponent {
                name,
                packages: packages.iter().map(|&p| p.to_owned()).collect(),
                checks,
                apply: Vec::new(),
                drain: Vec::new(),
                undrain: Vec::new(),
                remove: Vec::new(),
                units: Vec::new(),
            }],
            gates: Vec::new(),
            sources: BTreeMap::new(),
        },
        contents,
    }
}

fn check(run: &str) -> Check {
    Check {
        command: Command {
            component: "thing".parse().unwrap(),
            label: "the check".to_owned(),
            run: run.to_owned(),
            timeout: 60,
        },
        fail_on: None,
        finding: None,
        on: CheckOn::Both,
        scripts: BTreeMap::new(),
    }
}

fn bundle(releases: Vec<Release>) -> Bundle {
    let by_node = releases
        .into_iter()
        .map(|release| (release.meta.node.clone(), release));
    Bundle::new("c".to_owned(), by_node.collect())
}

async fn run(releases: Vec<Release>) -> Findings {
    let checker = Checker::new(Sandbox::default());
    checker.sandbox.available().await.unwrap();
    let remembered = Remembered::default();
    let cancel = CancellationToken::new();
    checker
        .run(&bundle(releases), &remembered, &|_| {}, &cancel)
        .await
        .unwrap()
}

/// What one shell text found, with files beside it.
async fn run_one(packages: &[&str], text: &str, files: &[(&str, &str)]) -> Findings {
    run(vec![release("vps1", packages, vec![check(text)], files)]).await
}

async fn assert_accepts(packages: &[&str], text: &str, files: &[(&str, &str)]) {
    let findings = run_one(packages, text, files).await;
    assert!(findings.is_empty(), "{findings:#?}");
}

async fn assert_refuses(packages: &[&str], text: &str, files: &[(&str, &str)], because: &str) {
    let findings = run_one(packages, text, files).await;
    assert!(findings.has_errors(), "accepted: {text}");
    let all = format!("{findings:?}");
    assert!(all.contains(because), "{findings:#?}");
}

const HAPROXY: &str = "haproxy -dW -c -f /etc/haproxy/haproxy.cfg";
const CFG: &str = "global\n  user haproxy\n  group haproxy\n  chroot /var/lib/haproxy\ndefaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n  errorfile 503 /etc/haproxy/errors/503.http\nfrontend in\n  bind :80\n  default_backend be\nbackend be\n  server a 127.0.0.1:81\n";

#[tokio::test]
async fn haproxy_sees_the_candidate_at_its_final_paths() {
    let good = [("/etc/haproxy/haproxy.cfg", CFG)];
    assert_accepts(&["haproxy"], HAPROXY, &good).await;
    let bad = CFG.replace("default_backend be", "default_backend nope");
    let bad = [("/etc/haproxy/haproxy.cfg", bad.as_str())];
    assert_refuses(&["haproxy"], HAPROXY, &bad, "nope").await;
}

#[tokio::test]
async fn named_checks_zones_with_a_serial_in_place_of_the_token() {
    let conf = "options { directory \"/var/cache/bind\"; };\nzone \"example.org\" { type master; file \"/etc/bind/zones/example.org\"; };\n";
    let zone = "$TTL 300\n@ IN SOA ns1.example.org. hostmaster.example.org. ( @WINDLASS_SERIAL@ 3600 900 604800 300 )\n@ IN NS ns1.example.org.\nns1 IN A 10.80.0.11\n";
    let text = "named-checkconf -z /etc/bind/named.conf";
    let good = [
        ("/etc/bind/named.conf", conf),
        ("/etc/bind/zones/example.org", zone),
    ];
    assert_accepts(&["bind9"], text, &good).await;
    let bad = zone.replace("IN A 10.80.0.11", "IN A 10.80.0.311");
    let bad = [
        ("/etc/bind/named.conf", conf),
        ("/etc/bind/zones/example.org", bad.as_str()),
    ];
    assert_refuses(&["bind9"], text, &bad, "10.80.0.311").await;
}

#[tokio::test]
async fn sshd_and_iptables_run_for_real() {
    let sshd = "mkdir -p /run/sshd; ssh-keygen -q -A; /usr/sbin/sshd -t";
    let good = [(
        "/etc/ssh/sshd_config",
        "PermitRootLogin prohibit-password\n",
    )];
    assert_accepts(&["openssh-server"], sshd, &good).await;
    let bad = [("/etc/ssh/sshd_config", "PermitRootLogin perhaps\n")];
    assert_refuses(&["openssh-server"], sshd, &bad, "perhaps").await;

    // Loaded into the sandbox's own network, where also an unknown target is noticed.
    let load = "iptables-restore < /etc/firewall/rules.v4";
    let rules = |target: &str| format!("*filter\n:WL-IN - [0:0]\n-A WL-IN -j {target}\nCOMMIT\n");
    let good = rules("ACCEPT");
    assert_accepts(
        &["iptables"],
        load,
        &[("/etc/firewall/rules.v4", good.as_str())],
    )
    .await;
    let bad = rules("DROPP");
    assert_refuses(
        &["iptables"],
        load,
        &[("/etc/firewall/rules.v4", bad.as_str())],
        "DROPP",
    )
    .await;
}

/// openssl.cnf is a file of the package and one of those that every sandbox has.
#[tokio::test]
async fn a_package_may_ship_what_the_sandbox_has_already() {
    assert_accepts(&["openssl"], "test -e /etc/ssl/openssl.cnf", &[]).await;
}

#[tokio::test]
async fn the_machines_authorities_are_there_for_those_who_name_them() {
    let unnamed = "cd /etc && test ! -e ssl/certs";
    assert_accepts(&["ca-certificates"], unnamed, &[]).await;
    let by_the_check = "test -e /etc/ssl/certs/ca-certificates.crt";
    assert_accepts(&["ca-certificates"], by_the_check, &[]).await;
    let by_a_file = ("/etc/haproxy/haproxy.cfg", "ca-file @system-ca\n");
    assert_accepts(&[], "cd /etc && test -e ssl/certs", &[by_a_file]).await;
}

#[tokio::test]
async fn identical_files_are_checked_once_and_remembered() {
    let node = |name, content| {
        release(
            name,
            &[],
            vec![check("grep -q good /etc/thing/x")],
            &[("/etc/thing/x", content)],
        )
    };
    let checker = Checker::new(Sandbox::default());
    let remembered = Remembered::default();
    let cancel = CancellationToken::new();
    let seen = Mutex::new(Vec::new());
    let tell = |progress: Progress| {
        seen.lock()
            .unwrap()
            .push((progress.total, progress.remembered))
    };

    let first = bundle(vec![
        node("vps1", "good"),
        node("vps2", "good"),
        node("vps3", "bad"),
    ]);
    let findings = checker
        .run(&first, &remembered, &tell, &cancel)
        .await
        .unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(
        findings.iter().next().unwrap().node,
        Some("vps3".parse().unwrap())
    );
    assert_eq!(
        std::mem::take(&mut *seen.lock().unwrap()),
        [(2, false), (2, false)]
    );

    let second = bundle(vec![
        node("vps1", "good"),
        node("vps2", "good"),
        node("vps3", "good too"),
    ]);
    assert!(
        checker
            .run(&second, &remembered, &tell, &cancel)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        std::mem::take(&mut *seen.lock().unwrap()),
        [(2, true), (2, false)]
    );
}

#[tokio::test]
async fn cancelling_kills_what_runs() {
    // A number of our own, so that the same test in another process is not mistaken for this one.
    let seconds = format!("1{:07}", std::process::id());
    let checker = Checker::new(Sandbox::default());
    let cancel = CancellationToken::new();
    let bundle = bundle(vec![release(
        "vps1",
        &[],
        vec![check(&format!("sleep {seconds}"))],
        &[],
    )]);
    let remembered = Remembered::default();
    let (result, ()) = tokio::join!(checker.run(&bundle, &remembered, &|_| {}, &cancel), async {
        wait_for("the check to run", || is_running(&seconds)).await;
        cancel.cancel();
    });
    assert!(result.is_err());
    wait_for("the check to be gone", || !is_running(&seconds)).await;
}

#[tokio::test]
async fn missing_programs_unplaceable_files_and_no_sandbox_are_told() {
    let findings = run_one(&["ghostd"], "ghostctl --check", &[]).await;
    let finding = findings.iter().next().unwrap();
    assert_eq!(
        (finding.code, finding.severity),
        (checks::CHECK_PROGRAM_MISSING, Severity::Warning)
    );
    assert!(
        finding
            .hint
            .as_ref()
            .unwrap()
            .contains("apt-get install ghostd")
    );

    let findings = run_one(&[], "true", &[("/usr/lib/thing", "x")]).await;
    assert_eq!(findings.iter().next().unwrap().code, checks::CHECK_PATH);

    let finding = no_sandbox("bubblewrap is not installed", 3);
    assert_eq!(finding.code, checks::NO_SANDBOX);
}

#[tokio::test]
async fn a_sandbox_that_breaks_is_told_and_nobody_is_refused_for_it() {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), everyone).unwrap();
    let (entry, broken) = (dir.path().join("bwrap"), dir.path().join("broken"));
    let text = "#!/bin/sh\ntest ! -e ${0%/*}/broken || { echo 'bwrap: No permissions' >&2; exit 1; }\nexec bwrap \"$@\"\n";
    std::fs::write(&entry, text).unwrap();
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&entry, everyone).unwrap();
    let entry: &'static str = entry.to_str().unwrap().to_owned().leak();

    let checker = Checker::new(Sandbox::default().entered_by(entry));
    let (remembered, cancel) = (Remembered::default(), CancellationToken::new());
    let run = async |text: &str| {
        let bundle = bundle(vec![release("vps1", &[], vec![check(text)], &[])]);
        let found = checker.run(&bundle, &remembered, &|_| {}, &cancel).await;
        let found = found.unwrap();
        let codes = found.iter().map(|finding| finding.code);
        codes.collect::<Vec<_>>()
    };
    assert_eq!(run("true").await, []);
    std::fs::write(&broken, "").unwrap();
    for _ in 0..2 {
        assert_eq!(run(": another; true").await, [checks::NO_SANDBOX]);
    }
    std::fs::remove_file(&broken).unwrap();
    assert_eq!(run(": another; true").await, []);
    // What a check says by itself is no word about the sandbox.
    assert_eq!(run("echo 'bwrap: x'; exit 1").await.len(), 1);
    assert_eq!(run("true").await, []);
}

#[tokio::test]
async fn scripts_lie_in_the_working_directory_and_on_the_path() {
    let mut with_script = check("./trial.sh && trial.sh");
    let script = "#!/bin/sh\ncat /usr/local/etc/x | grep -q here\n".to_owned();
    with_script.scripts.insert("trial.sh".to_owned(), script);
    let files = [("/usr/local/etc/x", "here\n")];
    let findings = run(vec![release("vps1", &[], vec![with_script], &files)]).await;
    assert!(findings.is_empty(), "{findings:#?}");
}

async fn limited(limits: Limits, text: &str) -> Findings {
    let bundle = bundle(vec![release("vps1", &[], vec![check(text)], &[])]);
    let (memory, cancel) = (Remembered::default(), CancellationToken::new());
    let checker = Checker::new(Sandbox::new(limits));
    let checked = checker.run(&bundle, &memory, &|_| (), &cancel).await;
    checked.unwrap()
}

#[tokio::test]
async fn limits_can_be_set_lower() {
    let limits = Limits {
        output_bytes: 10_000,
        ..Limits::default()
    };
    let findings = limited(limits, "seq 100000").await;
    assert_eq!(findings.iter().next().unwrap().code, checks::CHECK_KILLED);
}

/// Whether a process of this machine has that argument.
fn is_running(argument: &str) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.starts_with(b"sleep\0") && String::from_utf8_lossy(&line).contains(argument)
    })
}

async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
