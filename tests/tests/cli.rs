//! The commands as people use them: what each promises in docs/commands.md, its exit codes, and that nothing on
//! a node is lost by any of them.

#[path = "cli/formats.rs"]
mod formats;
#[path = "cli/taking_back.rs"]
mod taking_back;
#[path = "cli/told.rs"]
mod told;

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use windlass_tests::cluster::{Cluster, Said, program};
use windlass_tests::lab::{Lab, LabSpec};

fn windlass(dir: &Path, arguments: &[&str]) -> anyhow::Result<Said> {
    let mut command = Command::new(program()?);
    for name in ["IDENTITY", "CERTIFICATES", "SECRETS", "CA_FILE", "STATE"] {
        command.env_remove(format!("WINDLASS_{name}"));
    }
    Said::of(command.arg("-C").arg(dir).args(arguments))
}

/// A value that the program printed is what its schema says.
#[track_caller]
fn fits(schema: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../schemas/{schema}.json"));
    let text = std::fs::read_to_string(path).expect("the schema");
    let schema: Value = serde_json::from_str(&text).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a valid schema");
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
}

fn current(lab: &Lab) -> Vec<String> {
    lab.nodes()
        .iter()
        .map(|node| {
            node.sh("readlink /var/lib/windlass/current")
                .expect("a release")
        })
        .collect()
}

#[test]
fn a_new_repository_passes_and_a_broken_one_is_told_where() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let repo = dir.path().join("cluster");
    let into = repo.display().to_string();
    windlass(dir.path(), &["init", &into])?.ended(0);
    windlass(&repo, &["check"])?.ended(0);
    windlass(dir.path(), &["init", &into])?
        .ended(2)
        .names(&["is not empty"]);

    let site = repo.join("sites/www.yaml");
    let good = std::fs::read_to_string(&site)?;
    std::fs::write(&site, format!("{good}no_such_key: 1\n"))?;
    let line = good.lines().count() + 1;
    windlass(&repo, &["check"])?.ended(1).names(&[
        &format!("sites/www.yaml:{line}:"),
        "WL",
        "no_such_key",
    ]);
    let said = windlass(&repo, &["check", "--format", "json"])?.ended(1);
    let findings = said.json()?;
    fits("findings", &findings);
    let code = findings[0]["code"].as_str().expect("a code");
    windlass(&repo, &["explain", code])?.ended(0).names(&[code]);
    Ok(())
}

#[test]
fn what_needs_no_repository_works_anywhere() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let at = dir.path();
    windlass(at, &["--no-such-option"])?
        .ended(2)
        .names(&["--no-such-option"]);
    windlass(at, &["explain"])?
        .ended(0)
        .names(&["WL401", "WL601"]);
    windlass(at, &["explain", "WL999"])?
        .ended(2)
        .names(&["WL999"]);
    windlass(at, &["schema"])?.ended(0).names(&["cluster"]);
    let schema = windlass(at, &["schema", "outcome"])?.ended(0).json()?;
    jsonschema::meta::validate(&schema).expect("a schema");
    windlass(at, &["schema", "nonsense"])?.ended(2);
    let script = windlass(at, &["completions", "bash"])?.ended(0).out;
    std::fs::write(at.join("completions.bash"), script)?;
    let loads = "source completions.bash && complete -p windlass";
    Said::of(Command::new("bash").current_dir(at).args(["-c", loads]))?.ended(0);
    windlass(at, &["check"])?.ended(1).names(&["cluster.yaml"]);
    windlass(&at.join("nowhere"), &["check"])?
        .ended(2)
        .names(&["nowhere"]);
    Ok(())
}

/// The starter with every node's SSH at this port of the loopback, committed.
fn starter_on_the_loopback(dir: &Path, port: u16) -> anyhow::Result<()> {
    windlass(dir, &["init", &dir.display().to_string()])?.ended(0);
    let files = ["vps1", "vps2", "vps3", "homelab"].map(|node| format!("nodes/{node}.yaml"));
    for file in files.iter().map(String::as_str).chain(["cluster.yaml"]) {
        let text = std::fs::read_to_string(dir.join(file))?
            .replace("192.0.2.", "127.0.2.")
            .replace("198.51.100.", "127.0.100.")
            .replace("203.0.113.", "127.0.113.")
            .replace("  user: root\n", &format!("  user: root\n  port: {port}\n"));
        std::fs::write(dir.join(file), text)?;
    }
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "--all"],
        &[
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "commit",
            "--quiet",
            "-m",
            "Start",
        ],
    ] {
        Said::of(Command::new("git").arg("-C").arg(dir).args(arguments))?.ended(0);
    }
    Ok(())
}

#[test]
fn no_node_is_asked_before_the_right_to_roll_is_held() -> anyhow::Result<()> {
    let door = TcpListener::bind("0.0.0.0:0")?;
    let port = door.local_addr()?.port();
    let callers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&callers);
    std::thread::spawn(move || {
        for _caller in door.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let dir = tempfile::tempdir()?;
    let (repo, state) = (dir.path().join("repo"), dir.path().join("state"));
    std::fs::create_dir(&repo)?;
    std::fs::create_dir(&state)?;
    starter_on_the_loopback(&repo, port)?;

    let another = File::create(state.join("roll-example.lock"))?;
    another.lock()?;
    let state = state.display().to_string();
    let roll = ["roll", "--yes", "--state", &state];
    windlass(&repo, &roll)?
        .ended(2)
        .names(&["another windlass rolls example right now"]);
    assert_eq!(callers.load(Ordering::SeqCst), 0, "it planned first");
    another.unlock()?;
    windlass(&repo, &roll)?
        .ended(1)
        .names(&["no node was touched"]);
    assert!(callers.load(Ordering::SeqCst) > 0);
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn the_life_of_a_cluster_from_the_command_line() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "homelab"]))?;
    let cluster = Cluster::make(&lab)?;
    let first = first_roll(&lab, &cluster)?;
    look_at_files(&cluster)?;
    changed_by_hand(&lab, &cluster)?;
    taken_back(&lab, &cluster)?;
    interrupted(&lab, &cluster)?;
    assert_ne!(current(&lab), first);
    Ok(())
}

/// Empty machines, the roll, and once more; the releases that they hold then.
fn first_roll(lab: &Lab, cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    cluster
        .says(&["doctor", "--nodes"])?
        .ended(0)
        .names(&["node vps1", "node homelab"]);
    let plan = cluster.says(&["plan", "--format", "json"])?.ended(0);
    fits("plan", &plan.json()?);
    cluster
        .says(&["roll"])?
        .ended(1)
        .names(&["give --yes", "nothing was changed"]);
    for node in lab.nodes() {
        node.sh("test ! -e /var/lib/windlass/current")?;
    }
    let done = cluster.says(&["roll", "--yes"])?.ended(0);
    done.names(&["rolled out", "homelab, vps1"]);
    let again = cluster
        .says(&["roll", "--yes", "--format", "json"])?
        .ended(0);
    let outcome = again.json()?;
    fits("outcome", &outcome);
    assert_eq!(outcome["outcome"], "unchanged");
    let status = cluster.says(&["status", "--format", "json"])?.ended(0);
    let status = status.json()?;
    fits("status", &status);
    for node in lab.nodes() {
        let state = &status["nodes"][node.name()]["state"];
        assert_eq!(state["current"]["commit"], cluster.head()?.as_str());
    }
    cluster.says(&["drift"])?.ended(0).names(&["no drift"]);
    cluster.says(&["plan"])?.ended(0);
    Ok(current(lab))
}

/// `diff` and `render` on the working tree.
fn look_at_files(cluster: &Cluster) -> anyhow::Result<()> {
    let nothing = cluster.says(&["diff", "--format", "json"])?.ended(0);
    assert_eq!(nothing.json()?, serde_json::json!({}));
    cluster.write_site("blog", 8082)?;
    cluster.says(&["diff"])?.ended(0).names(&[
        "/etc/haproxy/hosts.map",
        "+blog.example.org",
        "blog",
    ]);
    let refused = cluster.says(&["render", "--out", "/etc"])?.ended(2);
    refused.names(&["/etc", "did not write"]);

    let out = cluster.dir().join("rendered");
    let into = out.display().to_string();
    let certificate = out.join("vps1/etc/haproxy/certs/wildcard.pem");
    cluster
        .says(&["render", "--out", &into, "--with-secrets"])?
        .ended(0);
    assert!(certificate.is_file(), "{certificate:?}");
    std::fs::write(out.join("left-over"), "")?;
    cluster
        .says(&["render", "--out", &into])?
        .ended(0)
        .names(&["secret files were left out"]);
    assert!(!certificate.exists() && !out.join("left-over").exists());
    let map = std::fs::read_to_string(out.join("vps1/etc/haproxy/hosts.map"))?;
    assert!(map.contains("blog.example.org"), "{map}");
    cluster
        .says(&["render", "--out", &into, "--node", "vps9"])?
        .ended(2)
        .names(&["vps9"]);
    assert!(out.join("vps1").is_dir(), "a slip emptied the folder");
    cluster.commit("Add the blog")?;
    cluster
        .says(&["diff", "HEAD~1", "HEAD"])?
        .ended(0)
        .names(&["+blog.example.org"]);
    Ok(())
}

/// Somebody edited a file of ours on the node: never overwritten silently.
fn changed_by_hand(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    let before = current(lab);
    let (vps1, map) = (lab.node("vps1"), "/etc/haproxy/hosts.map");
    vps1.sh(&format!("echo '# by hand' >> {map}"))?;
    cluster.says(&["drift"])?.ended(1).names(&["vps1", map]);
    cluster.says(&["status"])?.ended(1).names(&["drifted"]);
    cluster.says(&["roll", "--yes"])?.ended(1).names(&[
        "WL401",
        "vps1",
        map,
        "windlass adopt vps1",
    ]);
    vps1.sh(&format!("grep -q 'by hand' {map}"))?;
    assert_eq!(current(lab), before, "nothing may have been touched");

    cluster.says(&["adopt", "vps1", "--yes"])?.ended(0);
    vps1.sh(&format!(
        "! grep -q 'by hand' {map} && grep -q blog.example.org {map}"
    ))?;
    vps1.sh("grep -rq 'by hand' /var/lib/windlass/adopted")?;
    cluster.says(&["drift"])?.ended(0);
    cluster
        .says(&["roll", "--yes"])?
        .ended(0)
        .names(&["unchanged"]);
    Ok(())
}

/// `rollback`, and the way forward after it.
fn taken_back(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    let before = current(lab);
    cluster.write_site("shop", 8083)?;
    cluster.commit("Add the shop")?;
    cluster.says(&["roll", "--yes"])?.ended(0);
    let after = current(lab);
    assert_ne!(after, before);
    cluster.says(&["rollback"])?.ended(1).names(&["give --yes"]);
    assert_eq!(current(lab), after);
    cluster.says(&["rollback", "nobody", "--yes"])?.ended(2);
    cluster.says(&["rollback", "--yes"])?.ended(0);
    assert_eq!(current(lab), before);
    let vps1 = lab.node("vps1");
    vps1.sh("! grep -q shop /etc/haproxy/hosts.map && ! systemctl is-active hello@shop")?;
    cluster.says(&["drift"])?.ended(0);
    // What was taken back does not come again by itself.
    cluster
        .says(&["roll", "--yes"])?
        .ended(1)
        .names(&["WL407", "--retry"]);
    cluster.says(&["roll", "--yes", "--retry"])?.ended(0);
    assert_eq!(current(lab), after);
    Ok(())
}

/// Ctrl-C in the first and in the second node's turn: every node is at its old release.
fn interrupted(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    let before = current(lab);
    cluster.write_site("wiki", 8084)?;
    cluster.commit("Add the wiki")?;
    for at in ["homelab: is changed", "vps1: is changed"] {
        let roll = cluster.until(&["roll", "--yes"], at)?;
        roll.interrupt()?;
        roll.interrupt()?;
        roll.finish()?.ended(1).names(&["rolled back", "cancel"]);
        assert_eq!(current(lab), before, "interrupted at {at:?}");
        cluster.says(&["status"])?.ended(0);
    }
    let stopped = cluster.until(&["roll", "--yes"], "is sent its release")?;
    stopped.interrupt()?;
    stopped.finish()?.ended(1);
    assert_eq!(current(lab), before);
    cluster.says(&["roll", "--yes"])?.ended(0);
    assert_ne!(current(lab), before);
    Ok(())
}
