//! `packaging/windlass.service` on a machine of its own, as docs/worker.md tells people to install it: systemd hears
//! that the worker is ready, hands it the keys, restarts it when it hangs, and a stop leaves no node half done.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use windlass_tests::cluster::{Cluster, program};
use windlass_tests::lab::{Lab, LabSpec, Node, wait_until};

/// Long enough for a machine that builds at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What docs/worker.md and the head of the unit say, once the program, the unit and the files are in place.
const INSTALL: &str = "\
set -e
useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin windlass
chown -R root:windlass /etc/windlass/secrets
chmod 0750 /etc/windlass/secrets
chmod 0600 /etc/windlass/ssh-key /etc/windlass/hook.secret
systemctl daemon-reload
systemctl enable --now windlass
";

const CONFIG: &str = "\
listen: 127.0.0.1:8320
hook: { secret_files: [$CREDENTIALS_DIRECTORY/hook-secret] }
ssh: { identity_file: $CREDENTIALS_DIRECTORY/ssh-key }
secrets: /etc/windlass/secrets
clusters:
  - name: demo
    repository: { url: /srv/git/cluster.git }
";

/// The hook's secret is one of the lines that people take the `#` from. A watchdog of a minute would be a test of one.
const DROP_IN: &str = "\
[Service]
LoadCredential=hook-secret:/etc/windlass/hook.secret
WatchdogSec=2
RestartSec=0
";

/// As a hook signs it, with tools that every machine has.
const SIGNED_HOOK: &str = r#"
body='{"refs": ["refs/heads/main"], "cluster": "demo"}'
mac=$(printf %s "$body" | openssl dgst -sha256 -hmac "$(cat /etc/windlass/hook.secret)" | sed 's/.* //')
curl --silent --show-error --output /dev/null --write-out '%{http_code}' --data "$body" \
    --header "X-Windlass-Signature: sha256=$mac" --header "X-Windlass-Delivery: $(cat /proc/sys/kernel/random/uuid)" \
    http://127.0.0.1:8320/hooks/git
"#;

/// A component that is quick to roll. Its check is refused where the unit leaves the sandbox no room.
fn note(text: &str, nap: u32) -> String {
    format!(
        "name: note\non: all\nsecrets: [word]\nfiles:\n  - path: /etc/note/text\n    content: \"{text} {{{{ secrets.word }}}}\\n\"\n    \
         secret: true\nchecks:\n  - run: grep -q {text} /etc/note/text && test ! -e /etc/windlass\n    on: worker\n\
         apply:\n  - run: sleep {nap}\n"
    )
}

/// The lab's cluster with nothing but the note, pushed to a repository on the worker's own machine.
fn push(cluster: &Cluster, worker: &Node, text: &str, nap: u32) -> anyhow::Result<()> {
    cluster.write("components/note/component.yaml", &note(text, nap))?;
    cluster.commit(&format!("Say {text}"))?;
    let bare = worker.root().join("srv/git/cluster.git");
    let to = bare.to_string_lossy();
    cluster.git(&["push", "--quiet", &to, "HEAD:main"])?;
    Ok(())
}

fn install(cluster: &Cluster, worker: &Node) -> anyhow::Result<()> {
    let root = worker.root();
    worker.sh("install -d -m 0755 /etc/windlass/secrets /etc/systemd/system/windlass.service.d")?;
    // Of the worker's machine the checks need bubblewrap, and the lab's image has none; both are Debian's.
    for (program, to) in [
        (program()?.as_path(), "usr/local/bin/windlass"),
        (Path::new("/usr/bin/bwrap"), "usr/bin/bwrap"),
    ] {
        let mut install = Command::new("install");
        install.args(["-m", "0755", "--strip"]).arg(program);
        let done = install.arg(root.join(to)).stdout(Stdio::null()).status()?;
        assert!(done.success(), "{}", program.display());
    }
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    fs::copy(
        packaging.join("windlass.service"),
        root.join("etc/systemd/system/windlass.service"),
    )?;
    fs::copy(cluster.ssh_key(), root.join("etc/windlass/ssh-key"))?;
    for (path, text) in [
        ("etc/systemd/system/windlass.service.d/local.conf", DROP_IN),
        ("etc/windlass/worker.yaml", CONFIG),
        ("etc/windlass/hook.secret", "a secret that nobody guesses\n"),
        ("etc/windlass/secrets/word", "aloud\n"),
    ] {
        fs::write(root.join(path), text)?;
    }
    worker.sh(INSTALL).map(drop)
}

fn property(worker: &Node, name: &str) -> String {
    let show = format!("systemctl show windlass --value --property {name}");
    worker.sh(&show).expect("systemctl show").trim().to_owned()
}

#[track_caller]
fn wait_for(worker: &Node, what: &str, condition: impl FnMut() -> bool) {
    if wait_until(PATIENCE, condition).is_err() {
        panic!("waited in vain for {what}:\n{}", log(worker));
    }
}

fn log(worker: &Node) -> String {
    worker
        .sh("journalctl --unit windlass --no-pager")
        .expect("the log")
}

fn held(lab: &Lab) -> Vec<String> {
    let read = |node: &Node| node.sh("cat /etc/note/text").unwrap_or_default();
    lab.nodes()
        .iter()
        .map(|node| read(node).trim().to_owned())
        .collect()
}

#[test]
#[ignore = "lab: needs root"]
fn the_unit_runs_the_worker_as_the_documents_say() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "homelab"]))?;
    let cluster = Cluster::make(&lab)?;
    for folder in ["components", "sites", "zones", "certificates"] {
        fs::remove_dir_all(cluster.checkout().join(folder))?;
    }
    let worker = lab.node("homelab");
    let bare = worker.root().join("srv/git/cluster.git");
    let made = Command::new("git")
        .args(["init", "--quiet", "--bare", "--initial-branch=main"])
        .arg(&bare)
        .status()?;
    assert!(made.success(), "git init");
    push(&cluster, worker, "first", 0)?;

    // nspawn covers it; on a machine of metal nobody does.
    worker.sh("umount /proc/kmsg")?;
    // `systemctl enable --now` comes back when the worker has said that it is ready.
    install(&cluster, worker)?;
    assert_eq!(property(worker, "ActiveState"), "active");
    assert_eq!(property(worker, "StatusText"), "watching");
    assert_eq!(
        worker.sh("curl --silent http://127.0.0.1:8320/readyz")?,
        "ready"
    );
    wait_for(worker, "the first roll", || {
        held(&lab) == ["first aloud", "first aloud"]
    });
    the_unit_leaves_room_for_the_sandbox(worker)?;
    a_hanging_worker_is_started_again(worker);

    push(&cluster, worker, "second", 0)?;
    assert_eq!(worker.sh(SIGNED_HOOK)?, "202");
    wait_for(worker, "the roll that the hook woke", || {
        held(&lab) == ["second aloud", "second aloud"]
    });

    stopped_in_mid_turn_it_takes_the_turn_back(&lab, &cluster, worker)
}

/// The check ran, and would on a stricter kernel: an ordinary user's sandbox may mount a /proc of its own only where
/// nothing covers a part of the one that is there. Not every kernel holds to that, so it is asked what the unit put there.
fn the_unit_leaves_room_for_the_sandbox(worker: &Node) -> anyhow::Result<()> {
    let log = log(worker);
    assert!(!log.contains("WL306"), "{log}");
    let covers = "awk '$2 ~ \"^/proc/\" { print $2 }' /proc/$p/mounts | sort -u";
    let machine = worker.sh(&format!("p=1; {covers}"))?;
    let unit = worker.sh(&format!(
        "p=$(systemctl show windlass --value --property MainPID); {covers}"
    ))?;
    assert_eq!(unit, machine);
    Ok(())
}

fn a_hanging_worker_is_started_again(worker: &Node) {
    let before = property(worker, "MainPID");
    worker.sh(&format!("kill -STOP {before}")).expect("SIGSTOP");
    wait_for(worker, "another process", || {
        let now = property(worker, "MainPID");
        now != before && now != "0" && property(worker, "ActiveState") == "active"
    });
    assert_eq!(property(worker, "NRestarts"), "1");
    let log = log(worker);
    assert!(log.contains("Watchdog timeout"), "{log}");
}

fn stopped_in_mid_turn_it_takes_the_turn_back(
    lab: &Lab,
    cluster: &Cluster,
    worker: &Node,
) -> anyhow::Result<()> {
    push(cluster, worker, "third", 3)?;
    assert_eq!(worker.sh(SIGNED_HOOK)?, "202");
    wait_for(worker, "the first node to be changed", || {
        held(lab).contains(&"third aloud".to_owned())
    });
    worker.sh("systemctl stop windlass")?;
    assert_eq!(property(worker, "Result"), "success", "{}", log(worker));
    let old = ["second aloud", "second aloud"];
    assert_eq!(held(lab), old);
    for node in lab.nodes() {
        let timers = node.sh("systemctl list-timers --all --no-legend 'windlass-*'")?;
        assert_eq!(timers.trim(), "", "{}", node.name());
    }

    // A person's words reach the database without the unit's credentials, as the worker's own user.
    let said = worker.sh("runuser -u windlass -- /usr/local/bin/windlass retry demo 2>&1")?;
    assert!(said.contains("looked at again"), "{said}");
    worker.sh("systemctl start windlass")?;
    wait_for(worker, "the roll that was stopped", || {
        held(lab) == ["third aloud", "third aloud"]
    });
    Ok(())
}
