//! The lab keeps its promises: faults are real, labs do not disturb each other, nothing is left.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use windlass_tests::lab::{Lab, LabSpec, Node, reap_stale, wait_until};

/// What the machine still shows of a lab.
fn traces(number: u8) -> Vec<String> {
    let mut found = Vec::new();
    let paths = [
        format!("/run/windlass-lab/{number}"),
        format!("/run/netns/windlass-lab-{number}"),
        format!("/sys/class/net/wl{number}"),
        format!("/var/lib/windlass-lab/{number}"),
    ];
    found.extend(paths.into_iter().filter(|path| Path::new(path).exists()));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let below = format!("/run/windlass-lab/{number}/");
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&below))
            .map(str::to_owned),
    );
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let read = |file| fs::read_to_string(process.path().join(file)).unwrap_or_default();
        // A zombie is process 1's to collect, in its own time.
        let dead = read("stat")
            .rsplit_once(") ")
            .is_none_or(|(_, rest)| rest.starts_with('Z'));
        if !dead && read("cgroup").contains(&format!("/windlass-lab-{number}-")) {
            found.push(format!("{} {}", process.path().display(), read("cmdline")));
        }
    }
    let name = format!("windlass-lab-{number}-*");
    let groups = Command::new("find")
        .args(["/sys/fs/cgroup", "-name", &name])
        .output()
        .unwrap();
    found.extend(
        String::from_utf8_lossy(&groups.stdout)
            .lines()
            .map(str::to_owned),
    );
    found
}

fn eventually(what: &str, holds: impl FnMut() -> bool) {
    wait_until(Duration::from_secs(30), holds).expect(what);
}

fn can_log_in(node: &Node) -> bool {
    node.ssh("true").is_ok_and(|output| output.status.success())
}

fn can_ping(from: &Node, to: &Node) -> bool {
    let ping = format!(
        "ping -c1 -W1 {} && ping -c1 -W1 {}",
        to.ip(),
        to.secondary_ip()
    );
    from.try_sh(&ping).unwrap().status.success()
}

#[test]
#[ignore = "lab: needs root"]
fn four_machines_boot_and_nothing_is_left_of_them() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::default())?;
    let names: Vec<&str> = lab.nodes().iter().map(Node::name).collect();
    assert_eq!(names, ["vps1", "vps2", "vps3", "homelab"]);
    for node in lab.nodes() {
        assert_eq!(node.sh("hostname")?, node.name());
        assert_eq!(node.sh("systemctl is-system-running --wait")?, "running");
        let admin = node.ssh_command("admin").arg("sudo -n id -u").output()?;
        assert_eq!(String::from_utf8_lossy(&admin.stdout), "0\n");
        let empty = node.try_sh("systemctl is-active haproxy named")?;
        assert_eq!(
            String::from_utf8_lossy(&empty.stdout),
            "inactive\ninactive\n"
        );
    }
    assert!(can_ping(lab.node("vps1"), lab.node("homelab")));
    let number = lab.number();
    assert!(!traces(number).is_empty());
    drop(lab);
    assert_eq!(traces(number), Vec::<String>::new());
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn the_host_and_strangers_reach_nodes_from_different_addresses() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1"]))?;
    let vps1 = lab.node("vps1");
    vps1.sh("systemd-run --quiet --unit=echo socat TCP-LISTEN:80,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR'")?;
    let ask = |mut socat: Command| {
        let output = socat
            .args([
                "-u",
                &format!("TCP:{}:80,retry=50,interval=0.1", vps1.ip()),
                "-",
            ])
            .output();
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(ask(Command::new("socat")), lab.host_ip().to_string());
    assert_eq!(ask(lab.run_in_net("socat")), lab.outside_ip().to_string());
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_node_can_be_cut_off_partitioned_frozen_and_slowed() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "vps2", "vps3"]))?;
    let [vps1, vps2, vps3] = ["vps1", "vps2", "vps3"].map(|name| lab.node(name));

    vps1.cut()?;
    assert!(!can_log_in(vps1) && !can_ping(vps2, vps1));
    assert_eq!(
        vps1.sh("hostname")?,
        "vps1",
        "the console works without a network"
    );
    vps1.join()?;
    eventually("vps1 is back", || can_log_in(vps1));

    lab.partition(&["vps1"], &["vps2"])?;
    assert!(!can_ping(vps1, vps2) && !can_ping(vps2, vps1));
    assert!(can_ping(vps1, vps3) && can_ping(vps2, vps3) && can_log_in(vps1));
    lab.heal()?;
    assert!(can_ping(vps1, vps2));

    let boot_id = vps2.sh("cat /proc/1/stat | cut -d' ' -f22")?;
    vps2.freeze()?;
    assert!(!can_log_in(vps2));
    vps2.thaw()?;
    eventually("vps2 goes on", || can_log_in(vps2));
    assert_eq!(
        vps2.sh("cat /proc/1/stat | cut -d' ' -f22")?,
        boot_id,
        "it was not restarted"
    );

    vps3.limit_network(Some(1000))?;
    assert!(can_log_in(vps3));
    vps3.limit_network(None)?;
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_killed_node_boots_again_with_what_it_had_written() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1"]))?;
    let vps1 = lab.node("vps1");
    vps1.sh("echo kept >/var/lib/mark; echo lost >/run/mark")?;
    vps1.freeze()?;
    vps1.kill()?;
    assert!(!vps1.is_running());
    assert_eq!(
        fs::read_to_string(vps1.root().join("var/lib/mark"))?,
        "kept\n"
    );
    vps1.start()?;
    assert_eq!(vps1.sh("cat /var/lib/mark; test ! -e /run/mark")?, "kept");
    vps1.sh("systemctl enable --quiet haproxy")?;
    vps1.restart()?;
    eventually("haproxy starts at boot", || {
        vps1.sh("systemctl is-active haproxy").is_ok()
    });
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_disk_can_be_full_and_a_directory_read_only() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1"]))?;
    let vps1 = lab.node("vps1");
    let write = "dd if=/dev/zero of=/etc/big bs=1M count=1 2>&1";
    vps1.fill_disk()?;
    let refused = vps1.try_sh(write)?;
    assert!(
        String::from_utf8_lossy(&refused.stdout).contains("No space left"),
        "{refused:?}"
    );
    vps1.free_disk()?;
    vps1.sh(write)?;
    vps1.make_read_only("/etc")?;
    let refused = vps1.ssh(write)?;
    assert!(
        String::from_utf8_lossy(&refused.stdout).contains("Read-only"),
        "{refused:?}"
    );
    vps1.make_writable("/etc")?;
    vps1.sh(write)?;
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_kept_lab_stays_until_it_is_taken_down() -> anyhow::Result<()> {
    let mut lab = Lab::boot(&LabSpec::only(&["vps1"]))?;
    let number = lab.number();
    lab.keep()?;
    drop(lab);
    reap_stale()?;
    let lab = Lab::attach(number)?;
    assert!(can_log_in(lab.node("vps1")));
    lab.down()?;
    assert_eq!(traces(number), Vec::<String>::new());
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn two_labs_run_side_by_side() -> anyhow::Result<()> {
    let one = Lab::boot(&LabSpec::only(&["vps1"]))?;
    let other = Lab::boot(&LabSpec::only(&["vps1"]))?;
    assert_ne!(one.number(), other.number());
    assert_ne!(one.node("vps1").ip(), other.node("vps1").ip());
    one.node("vps1").sh("touch /etc/mark")?;
    other.node("vps1").sh("test ! -e /etc/mark")?;
    drop(one);
    assert!(
        can_log_in(other.node("vps1")),
        "the end of one lab is not the end of the other"
    );
    Ok(())
}

/// A process that owns a lab, and that lab's number.
fn start_owner() -> (Child, u8) {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    // `cat` ends with the pipe that we hold, so that it does not outlive the test either.
    lab.args(["run", "--", "sh", "-c", "echo $WINDLASS_LAB; exec cat"]);
    let mut owner = lab
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    (owner, line.trim().parse().expect("the lab's number"))
}

#[test]
#[ignore = "lab: needs root"]
fn a_lab_goes_when_its_owner_is_killed() {
    let (mut owner, number) = start_owner();
    assert!(!traces(number).is_empty());
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the lab is gone", || traces(number).is_empty());
}

#[test]
#[ignore = "lab: needs root"]
fn a_lab_whose_lifeline_was_killed_too_is_reaped_by_the_next() {
    let (mut owner, number) = start_owner();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        if words.contains(&format!("/run/windlass-lab/{number}/teardown.sh")) {
            let pid = process.file_name().into_string().unwrap();
            assert!(
                Command::new("kill")
                    .args(["-KILL", &pid])
                    .status()
                    .unwrap()
                    .success()
            );
        }
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(
        Path::new(&format!("/run/netns/windlass-lab-{number}")).exists(),
        "nobody was left to remove it"
    );
    reap_stale().unwrap();
    assert_eq!(traces(number), Vec::<String>::new());
}

/// Runs a lab's whole life where only the cgroups that `mask` leaves are to be seen.
fn live_with_cgroups(mask: &str) {
    let life = r#"set -e
        echo "$WINDLASS_LAB"
        lab() { "$LAB" --lab "$WINDLASS_LAB" "$@"; }
        lab freeze vps1
        if lab ssh vps1 true; then exit 1; fi
        lab thaw vps1
        lab ssh vps1 systemctl restart haproxy
        lab freeze vps1
        lab kill vps1
        lab start vps1
        lab stop vps1
        lab start vps1"#;
    let run = format!(
        r#"{mask} && number=$("$LAB" run -- sh -c "$LIFE") \
        && ! find /sys/fs/cgroup | grep "windlass-lab-$number-""#
    );
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--mount", "sh", "-c", &run])
        .env("LIFE", life)
        .env("LAB", env!("CARGO_BIN_EXE_lab"));
    assert!(unshare.status().unwrap().success());
}

#[test]
#[ignore = "lab: needs root"]
fn a_host_with_only_v2_cgroups_will_do() {
    live_with_cgroups("umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup");
}

#[test]
#[ignore = "lab: needs root"]
fn a_host_without_v2_cgroups_will_do() {
    live_with_cgroups("! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified");
}
