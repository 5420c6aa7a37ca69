//! What a roll meets in the world: nodes that are down, full, read-only, locked or die in their turn, files and
//! commits that make no sense, two people at once. Each ends in a finding or a clear error, and with every node
//! at its old or its new release.

use std::fs;
use std::time::Duration;

use windlass_tests::cluster::{Cluster, NOTE, Said, two_machines};
use windlass_tests::lab::{Lab, Node, wait_until};

/// What stands in the note of vps1 and of homelab.
#[track_caller]
fn expect(lab: &Lab, texts: &[&str; 2]) {
    for (name, text) in ["vps1", "homelab"].iter().zip(texts) {
        let node = lab.node(name);
        let held = node.sh("cat /etc/note/text").expect("the note");
        assert_eq!(held.trim(), *text, "{name}");
        node.sh("systemctl is-active note").expect("the service");
    }
}

#[track_caller]
fn whole(lab: &Lab, cluster: &Cluster) {
    cluster.is_whole(lab).expect("nothing half done");
}

fn roll(cluster: &Cluster) -> anyhow::Result<Said> {
    cluster.says(&["roll", "--yes"])
}

#[test]
#[ignore = "lab: needs root"]
fn a_node_that_is_down_is_behind_and_catches_up() -> anyhow::Result<()> {
    let lab = two_machines()?;
    let cluster = Cluster::with_note(&lab)?;
    let vps1 = lab.node("vps1");
    vps1.kill()?;

    cluster.note("second", 0)?;
    roll(&cluster)?
        .ended(0)
        .names(&["rolled out", "homelab hold", "behind", "vps1"]);
    cluster
        .says(&["status"])?
        .ended(1)
        .names(&["vps1", "unreachable"]);
    cluster
        .says(&["doctor", "--nodes"])?
        .ended(1)
        .names(&["FAIL node vps1", "ok   node homelab"]);
    roll(&cluster)?
        .ended(0)
        .names(&["unchanged", "behind", "vps1"]);

    cluster.append("cluster.yaml", "  unreachable: refuse\n")?;
    cluster.commit("Refuse while a node is down")?;
    roll(&cluster)?.ended(1).names(&["WL402", "vps1"]);

    vps1.start()?;
    expect(&lab, &["first", "second"]);
    roll(&cluster)?.ended(0).names(&["rolled out", "vps1 hold"]);
    expect(&lab, &["second", "second"]);
    whole(&lab, &cluster);
    dies_in_its_turn(&lab, &cluster)?;
    freezes_in_its_turn(&lab, &cluster)?;
    slow(&lab, &cluster)
}

/// A machine that hangs while it is changed: its connections stay open and nothing answers. When it goes on, its
/// dead-man is due.
fn freezes_in_its_turn(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    cluster.note("fourth", 3)?;
    let mut under_way = cluster.until(&["roll", "--yes"], "vps1: is changed")?;
    let vps1 = lab.node("vps1");
    wait_until(Duration::from_secs(10), || {
        vps1.sh("grep -q fourth /etc/note/text").is_ok()
    })?;
    vps1.freeze()?;
    under_way.go_on_until("vps1: no answer")?;
    vps1.thaw()?;
    let said = under_way.finish()?;
    // The timer and the worker wake it together; whoever is first, no node is left behind.
    let held = match said.code {
        Some(0) => "fourth",
        _ => {
            said.ended(1).names(&["rolled back", "vps1", "homelab"]);
            "second"
        }
    };
    expect(lab, &[held, held]);
    whole(lab, cluster);
    Ok(())
}

/// A line that takes seconds for what others take in a moment: it is waited for.
fn slow(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    let noise = std::process::Command::new("openssl")
        .args(["rand", "-base64", "90000"])
        .output()?;
    let large = "name: large\non: all\nfiles: [{ path: /etc/large, template: noise.tera }]\n";
    cluster.write("components/large/component.yaml", large)?;
    let noise = String::from_utf8(noise.stdout)?;
    cluster.write("components/large/noise.tera", &noise)?;
    cluster.note("fifth", 0)?;
    let vps1 = lab.node("vps1");
    vps1.limit_network(Some(128))?;
    roll(cluster)?.ended(0).names(&["rolled out", "vps1"]);
    vps1.limit_network(None)?;
    expect(lab, &["fifth", "fifth"]);
    whole(lab, cluster);
    Ok(())
}

/// The power goes while the node is being changed, and comes back.
fn dies_in_its_turn(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    cluster.note("third", 20)?;
    let under_way = cluster.until(&["roll", "--yes"], "vps1: is changed")?;
    let vps1 = lab.node("vps1");
    wait_until(Duration::from_secs(10), || {
        vps1.sh("grep -q third /etc/note/text").is_ok()
    })?;
    vps1.kill()?;
    vps1.start()?;
    under_way
        .finish()?
        .ended(1)
        .names(&["rolled back", "vps1", "homelab"]);
    expect(lab, &["second", "second"]);
    whole(lab, cluster);
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_node_that_is_not_what_its_file_says_is_refused() -> anyhow::Result<()> {
    let lab = two_machines()?;
    let cluster = Cluster::with_note(&lab)?;
    cluster.note("second", 0)?;
    let vps1 = lab.node("vps1");

    // Set up anew, or someone stands in between.
    vps1.sh(
        "cd /etc/ssh && mkdir /root/old && mv ssh_host_* /root/old && ssh-keygen -q -A && systemctl restart ssh",
    )?;
    refused(&lab, &cluster, &["vps1", "ssh.host_keys"])?;
    vps1.sh("mv /root/old/* /etc/ssh/ && systemctl restart ssh")?;

    let file = "nodes/vps1.yaml";
    cluster.replace(file, "user: root", "user: admin")?;
    cluster.commit("Log in as admin")?;
    refused(&lab, &cluster, &["vps1", "sudo: true"])?;
    cluster.replace(file, "user: admin", "user: admin, sudo: true")?;
    cluster.commit("Through sudo")?;
    vps1.sh("mv /etc/sudoers.d/admin /root/sudoers")?;
    refused(&lab, &cluster, &["vps1", "sudo:", "NOPASSWD"])?;
    vps1.sh("mv /root/sudoers /etc/sudoers.d/admin")?;
    roll(&cluster)?.ended(0);
    expect(&lab, &["second", "second"]);

    cluster.note("third", 2)?;
    disks(&lab, &cluster, vps1)
}

/// The roll is refused for this reason, and no node was touched.
#[track_caller]
fn refused(lab: &Lab, cluster: &Cluster, words: &[&str]) -> anyhow::Result<()> {
    cluster.says(&["plan"])?.ended(1).names(words);
    roll(cluster)?.ended(1).names(&["refused"]).names(words);
    expect(lab, &["first", "first"]);
    Ok(())
}

/// The last node cannot be written to: the ones before it go back.
fn disks(lab: &Lab, cluster: &Cluster, vps1: &Node) -> anyhow::Result<()> {
    vps1.fill_disk()?;
    roll(cluster)?.ended(1).names(&["vps1", "No space left"]);
    expect(lab, &["second", "second"]);
    vps1.free_disk()?;
    whole(lab, cluster);

    // It fills while the other node has its turn.
    let under_way = cluster.until(&["roll", "--yes"], "homelab: is changed")?;
    vps1.fill_disk()?;
    under_way.finish()?.ended(1).names(&["vps1", "rolled back"]);
    expect(lab, &["second", "second"]);
    vps1.free_disk()?;
    whole(lab, cluster);

    vps1.make_read_only("/etc")?;
    let said = cluster.says(&["roll", "--yes", "--retry"])?.ended(1);
    said.names(&["vps1", "ead-only"]);
    expect(lab, &["second", "second"]);
    vps1.make_writable("/etc")?;
    whole(lab, cluster);
    cluster.says(&["roll", "--yes", "--retry"])?.ended(0);
    expect(lab, &["third", "third"]);
    whole(lab, cluster);
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn what_makes_no_sense_in_the_repository_is_refused() -> anyhow::Result<()> {
    let lab = two_machines()?;
    let cluster = Cluster::with_note(&lab)?;
    at_once(&lab, &cluster)?;
    checks(&lab, &cluster)?;
    empty(&lab, &cluster)?;
    removed(&lab, &cluster)
}

/// Two people roll at the same time, from one machine and from two.
fn at_once(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    cluster.note("second", 5)?;
    let first = cluster.until(&["roll", "--yes"], "homelab: is changed")?;
    roll(cluster)?
        .ended(2)
        .names(&["another windlass rolls demo"]);
    let elsewhere = cluster.dir().join("elsewhere").display().to_string();
    cluster
        .says(&["roll", "--yes", "--state", &elsewhere])?
        .ended(1)
        .names(&["WL410", "homelab"]);
    first.finish()?.ended(0);
    expect(lab, &["second", "second"]);
    whole(lab, cluster);
    Ok(())
}

/// Programs that a commit names are stopped when they do not stop by themselves.
fn checks(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    let with = |check: &str| {
        let text = format!("{NOTE}checks:\n  - {check}\n");
        cluster.write_component(&text)?;
        cluster.commit("Check more")?;
        roll(cluster)
    };
    with("{ run: 'yes', label: floods }")?
        .ended(1)
        .names(&["WL304", "floods"]);
    with("{ run: sleep 1000, label: hangs, timeout: 1s }")?
        .ended(1)
        .names(&["WL303", "hangs"]);
    with("{ run: sleep 1000, label: hangs, timeout: 1s, on: node }")?
        .ended(1)
        .names(&["WL303", "hangs"]);
    with("{ run: 'yes', label: floods, timeout: 5s, on: node }")?
        .ended(1)
        .names(&["floods"]);
    expect(lab, &["second", "second"]);
    whole(lab, cluster);
    for node in lab.nodes() {
        node.sh("! pgrep -x yes && ! pgrep -f '[s]leep 1000'")?;
    }
    cluster.note("second", 0).map(drop)
}

/// A commit without a single definition empties no machine.
fn empty(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    cluster.git(&["rm", "-rq", "."])?;
    cluster.commit("Begin from scratch")?;
    roll(cluster)?.ended(1).names(&["WL110", "no definitions"]);
    cluster.says(&["status"])?.ended(1);
    expect(lab, &["second", "second"]);
    cluster.git(&["revert", "--no-edit", "HEAD"])?;
    Ok(())
}

/// A component that is no longer there takes its files and its service with it, and nothing else.
fn removed(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    let other = "name: other\non: all\nfiles:\n  - { path: /etc/other/text, content: kept }\n";
    cluster.write("components/other/component.yaml", other)?;
    cluster.commit("Add another")?;
    roll(cluster)?.ended(0);
    fs::remove_dir_all(cluster.checkout().join("components/note"))?;
    cluster.commit("Take the note away")?;
    roll(cluster)?.ended(0);
    for node in lab.nodes() {
        node.sh("test ! -e /etc/note/text && test ! -e /etc/systemd/system/note.service")?;
        node.sh("! systemctl is-active --quiet note && test ! -e /etc/systemd/system/multi-user.target.wants/note.service")?;
        node.sh("grep -q kept /etc/other/text")?;
    }
    whole(lab, cluster);
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_rewound_branch_waits_for_a_person() -> anyhow::Result<()> {
    let lab = two_machines()?;
    let cluster = Cluster::with_note(&lab)?;
    let worker = cluster.worker()?;
    let outcome = |commit: &str| -> anyhow::Result<_> {
        let mut report = None;
        wait_until(Duration::from_secs(60), || {
            report = worker.report(commit).ok().flatten();
            report.is_some()
        })?;
        Ok(report.expect("waited for it"))
    };
    let second = cluster.note("second", 0)?;
    cluster.push()?;
    assert_eq!(outcome(&second)?.outcome, "rolled-out");
    expect(&lab, &["second", "second"]);

    cluster.git(&["reset", "--hard", "--quiet", "HEAD~1"])?;
    let rewound = cluster.note("rewound", 0)?;
    cluster.git(&["push", "--quiet", "--force", "origin", "HEAD:main"])?;
    let report = outcome(&rewound)?;
    assert_eq!(report.outcome, "refused", "{}", report.text);
    assert!(report.text.contains("WL601"), "{}", report.text);
    expect(&lab, &["second", "second"]);
    whole(&lab, &cluster);
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_service_that_does_not_come_back_takes_the_roll_back() -> anyhow::Result<()> {
    let lab = two_machines()?;
    let cluster = Cluster::with_note(&lab)?;
    let start = "ExecStart=/bin/sleep infinity";
    let on_vps1 = |start: &str| {
        format!("ExecStart=/bin/sh -c '[ ! -e /root/bad ] || {start}; exec sleep infinity'")
    };
    lab.node("vps1").sh("touch /root/bad")?;
    for (name, exec, words) in [
        // It starts, says why not, and ends: only a gate sees that.
        (
            "ends",
            on_vps1("{ echo no port is free >&2; exit 3; }"),
            &["gates failed", "no port is free"],
        ),
        // systemd itself cannot start it.
        (
            "missing",
            format!("ExecStartPre=/bin/sh -c '[ ! -e /root/bad ]'\n      {start}"),
            &["activate failed", "restart note"],
        ),
    ] {
        cluster.noted(&NOTE.replace(start, &exec), name, 0)?;
        let said = roll(&cluster)?.ended(1);
        // The one before it was done and well, and goes back as well.
        said.names(&[
            "rolled back",
            "vps1: ",
            "homelab, vps1 hold their old release",
        ])
        .names(words);
        expect(&lab, &["first", "first"]);
        whole(&lab, &cluster);
        roll(&cluster)?.ended(1).names(&["WL407"]);
    }
    lab.node("vps1").sh("rm /root/bad")?;
    cluster.says(&["roll", "--yes", "--retry"])?.ended(0);
    expect(&lab, &["missing", "missing"]);
    Ok(())
}
