//! The components of the starter repository on real machines: what their templates promise is looked at from outside,
//! and what other people's programs have put beside them stays.

use std::time::Duration;

use anyhow::{Context as _, Result};
use windlass_tests::cluster::{Cluster, DOMAIN};
use windlass_tests::lab::{Lab, LabSpec, Node, wait_until};

/// For HAProxy's checks and for a machine that starts.
const SOON: Duration = Duration::from_secs(90);

fn rolled_out(lab: &Lab) -> Result<Cluster> {
    let cluster = Cluster::make(lab)?;
    roll(&cluster)?;
    Ok(cluster)
}

fn roll(cluster: &Cluster) -> Result<()> {
    let said = cluster.says(&["roll", "--yes"])?;
    said.ended(0).names(&["rolled out"]);
    Ok(())
}

/// Another change of what a node has for a component.
fn set(cluster: &Cluster, node: &str, vars: &str) -> Result<()> {
    let path = format!("nodes/{node}.yaml");
    let text = std::fs::read_to_string(cluster.checkout().join(&path))?;
    let kept = text.split("vars:").next().unwrap_or_default();
    cluster.write(&path, &format!("{kept}vars: {vars}\n"))?;
    cluster.commit(&format!("{node}: {vars}")).map(drop)
}

/// All rules but ours, without counters.
fn foreign(node: &Node) -> Result<String> {
    node.sh(
        "for save in iptables-save ip6tables-save; do $save | grep -v -e '^#' -e WINDLASS-IN | sed 's/ \\[.*\\]$//'; done",
    )
}

/// As Docker and fail2ban leave them.
const OTHERS: &str = "
set -e
iptables -N DOCKER-USER
iptables -A DOCKER-USER -s 203.0.113.0/24 -j DROP
iptables -A FORWARD -j DOCKER-USER
iptables -P FORWARD DROP
iptables -t nat -A POSTROUTING -s 172.18.0.0/16 -j MASQUERADE
for filter in iptables ip6tables; do
    $filter -N f2b-sshd
    $filter -A f2b-sshd -j RETURN
    $filter -I INPUT 1 -p tcp --dport 22 -j f2b-sshd
done
";

fn ours(node: &Node) -> Result<String> {
    node.sh("iptables -S WINDLASS-IN 2>/dev/null; iptables -S INPUT | grep WINDLASS-IN; true")
}

#[test]
#[ignore = "lab: needs root"]
fn the_firewall_keeps_to_its_own_chain() -> Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "homelab"]))?;
    let cluster = rolled_out(&lab)?;
    let vps1 = lab.node("vps1");
    vps1.sh(OTHERS)?;
    let others = foreign(vps1)?;
    assert!(others.contains("DOCKER-USER") && others.contains("f2b-sshd"));

    set(&cluster, "vps1", "{ firewall: { open: [6000/tcp] } }")?;
    roll(&cluster)?;
    assert!(ours(vps1)?.contains("--dport 6000 -j ACCEPT"));
    assert_eq!(foreign(vps1)?, others, "after a change");
    vps1.sh("for port in 6000 6001; do systemd-run --quiet socat TCP-LISTEN:$port,fork,reuseaddr EXEC:'echo hello'; done")?;
    let answers = |port: u16| -> Result<bool> {
        let to = format!("TCP:{}:{port},connect-timeout=2", vps1.ip());
        let said = lab
            .run_in_net("socat")
            .args(["-u", &to, "STDOUT"])
            .output()?;
        Ok(said.stdout == b"hello\n")
    };
    wait_until(SOON, || answers(6000).unwrap_or(false)).context("6000 is open")?;
    assert!(!answers(6001)?, "6001 is open to everyone");

    cluster.says(&["rollback", "--yes"])?.ended(0);
    assert!(!ours(vps1)?.contains("--dport 6000"));
    assert_eq!(foreign(vps1)?, others, "after going back");

    // What others added is theirs to bring back; ours comes by itself.
    vps1.restart()?;
    vps1.wait_ssh(SOON)?;
    vps1.sh("systemctl start hello@www")?;
    wait_until(SOON, || {
        ours(vps1).is_ok_and(|it| it.contains("-A INPUT -j WINDLASS-IN"))
    })
    .context("no chain after a restart")?;
    vps1.sh(OTHERS)?;
    let others = foreign(vps1)?;

    // Its own tests expect it on every node.
    std::fs::remove_dir_all(cluster.checkout().join("components/firewall/tests"))?;
    let nowhere_but_home = "on: { nodes: [homelab] }";
    cluster.replace(
        "components/firewall/component.yaml",
        "on: all",
        nowhere_but_home,
    )?;
    cluster.commit("No firewall on vps1")?;
    roll(&cluster)?;
    assert_eq!(
        ours(vps1)?,
        "",
        "something of the removed component is left"
    );
    assert_eq!(foreign(vps1)?, others, "after the component was removed");
    assert!(ours(lab.node("homelab"))?.contains("WINDLASS-IN"));
    Ok(())
}

/// What a visitor of `https://www…/` sees at this node, behind the status.
fn visit(lab: &Lab, cluster: &Cluster, node: &str) -> Result<String> {
    let host = format!("www.{DOMAIN}");
    let output = lab
        .run_in_net("curl")
        .args([
            "--silent",
            "--max-time",
            "5",
            "--write-out",
            "\n%{http_code}",
        ])
        .arg("--cacert")
        .arg(cluster.ca())
        .arg("--resolve")
        .arg(format!("{host}:443:{}", lab.node(node).ip()))
        .arg(format!("https://{host}/"))
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
#[ignore = "lab: needs root"]
fn haproxy_goes_to_another_node_then_to_the_maintenance_page_and_forwards_ports() -> Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "vps2", "homelab"]))?;
    let cluster = Cluster::make(&lab)?;
    cluster.write(
        "forwards/git-ssh.yaml",
        "listen: 2222\non: { role: edge }\nto: { node: homelab, network: public, port: 22 }\n",
    )?;
    cluster.commit("Forward Git over SSH")?;
    roll(&cluster)?;
    let sees = |node: &str, what: &str| {
        wait_until(SOON, || {
            visit(&lab, &cluster, node).is_ok_and(|it| it.contains(what))
        })
        .with_context(|| {
            format!(
                "{node} does not show {what:?}: {:?}",
                visit(&lab, &cluster, node)
            )
        })
    };
    let app = |node: &str, verb: &str| lab.node(node).sh(&format!("systemctl {verb} hello@www"));

    sees("vps1", "www on vps1\n\n200")?;
    sees("vps2", "www on vps2\n\n200")?;
    app("vps1", "stop")?;
    sees("vps1", "www on vps2\n\n200")?;
    app("vps2", "stop")?;
    sees("vps1", "We are working on it")?;
    sees("vps1", "\n503")?;
    app("vps1", "start")?;
    sees("vps1", "www on vps1\n\n200")?;
    sees("vps2", "www on vps1\n\n200")?;

    for node in ["vps1", "vps2"] {
        let key = lab
            .run_in_net("ssh-keyscan")
            .args(["-t", "ed25519", "-p", "2222"])
            .arg(lab.node(node).ip().to_string())
            .output()?;
        let key = String::from_utf8_lossy(&key.stdout).into_owned();
        assert!(key.contains(lab.node("homelab").host_key()), "{key}");
    }
    Ok(())
}

/// Whether this user comes in with the lab's key; what the command says.
fn login(node: &Node, user: &str, command: &str) -> Result<String> {
    let output = node.ssh_command(user).arg(command).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
#[ignore = "lab: needs root"]
fn people_kernel_settings_and_logins_are_as_the_definitions_say() -> Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "homelab"]))?;
    let cluster = rolled_out(&lab)?;
    let vps1 = lab.node("vps1");
    let key = std::fs::read_to_string(lab.ssh_key().with_extension("pub"))?;
    let mia = format!(
        "users: [{{ name: mia, groups: [adm], sudo: true, ssh_keys: [\"{}\"] }}]",
        key.trim()
    );
    assert_eq!(login(vps1, "mia", "id -un")?, "");
    let forwards = "sysctl: { net.ipv4.ip_forward: 1 }";
    set(
        &cluster,
        "vps1",
        &format!("{{ base: {{ {mia}, {forwards} }} }}"),
    )?;
    roll(&cluster)?;
    assert_eq!(login(vps1, "mia", "id -un; sudo -n id -u")?, "mia\n0\n");
    assert!(vps1.sh("id -nG mia")?.contains("adm"));
    assert_eq!(vps1.sh("sysctl -n net.ipv4.ip_forward")?, "1");

    // A value that only the kernel can judge: refused in the turn, and taken back.
    let nonsense = "sysctl: { net.ipv4.ip_forward: maybe }";
    set(
        &cluster,
        "vps1",
        &format!("{{ base: {{ {mia}, {nonsense} }} }}"),
    )?;
    let said = cluster.says(&["roll", "--yes"])?;
    said.ended(1)
        .names(&["rolled back", "vps1", "Invalid argument"]);
    assert_eq!(vps1.sh("sysctl -n net.ipv4.ip_forward")?, "1");
    let file = "cat /etc/sysctl.d/60-windlass.conf";
    assert!(vps1.sh(file)?.contains("net.ipv4.ip_forward = 1"));

    // Whoever would lock the worker out is refused before a node is touched: by the definitions …
    let only_mia = format!("{{ base: {{ {mia}, {forwards} }}, sshd: {{ allow_users: [mia] }} }}");
    set(&cluster, "vps1", &only_mia)?;
    let said = cluster.says(&["roll", "--yes"])?;
    said.ended(1)
        .names(&["root could not log in", "AllowUsers"]);
    // … and by what stands on the node alone.
    let by_hand = "/etc/ssh/sshd_config.d/10-by-hand.conf";
    vps1.sh(&format!("echo 'DenyUsers root' >{by_hand}"))?;
    set(&cluster, "vps1", &only_mia.replace("[mia]", "[mia, root]"))?;
    let said = cluster.says(&["roll", "--yes"])?;
    said.ended(1).names(&["DenyUsers names it", "vps1"]);
    vps1.sh(&format!("rm {by_hand}"))?;
    roll(&cluster)?;
    assert_eq!(login(vps1, "mia", "id -un")?, "mia\n");

    // Who is taken off the list loses the ways in; the account and what is in it stay.
    set(
        &cluster,
        "vps1",
        &format!("{{ base: {{ users: [], {forwards} }} }}"),
    )?;
    roll(&cluster)?;
    assert_eq!(login(vps1, "mia", "id -un")?, "");
    assert!(vps1.sh("id mia")?.contains("mia"));
    assert_eq!(
        vps1.sh("ls /etc/sudoers.d /etc/ssh/authorized_keys.d | grep mia; true")?,
        ""
    );
    Ok(())
}

/// Files with a secret, all below one folder that everyone may enter.
const VAULT: &str = "name: vault
on: { role: edge }
vars: { numbers: [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29] }
secrets: [vault_key]
files:
  - each: number in vars.numbers
    path: /etc/vault/{{ number }}
    content: \"{{ secrets.vault_key }} of 1\\n\"
    secret: true
apply:
  - run: if grep -q 'of 6' /etc/vault/10; then exit 1; fi
";

/// Reads whatever it may read, as fast as it can, until told to stop: first the number of rounds, then what it found.
const READER: &str = "
import os, sys
roots = ['/etc/vault', '/tmp', '/var/tmp', '/dev/shm', '/run', '/var/lib/windlass']
found, rounds = set(), 0
while not os.path.exists('/run/reader.stop'):
    rounds += 1
    for root in roots:
        for folder, _, files in os.walk(root):
            for name in files:
                path = os.path.join(folder, name)
                try:
                    with open(path, 'rb') as file:
                        if b'nobody-may-see' in file.read(4096): found.add(path)
                except OSError:
                    pass
with open('/tmp/reader.rounds', 'w') as told: told.write(str(rounds))
with open('/tmp/reader.found', 'w') as told: told.write(' '.join(sorted(found)))
";

#[test]
#[ignore = "lab: needs root"]
fn no_secret_can_be_read_by_others_for_an_instant() -> Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "homelab"]))?;
    let cluster = Cluster::make(&lab)?;
    let vps1 = lab.node("vps1");
    std::fs::write(cluster.secrets().join("vault_key"), "nobody-may-see this")?;
    cluster.write("components/vault/component.yaml", VAULT)?;
    cluster.commit("Put a secret into many files")?;
    vps1.sh(&format!(
        "cat >/usr/local/bin/reader.py <<'END'\n{READER}\nEND\n\
         systemd-run --quiet --unit=reader --uid=nobody --property=RemainAfterExit=yes python3 /usr/local/bin/reader.py"
    ))?;
    roll(&cluster)?;
    for version in 2..6 {
        let (old, new) = (format!("of {}", version - 1), format!("of {version}"));
        cluster.replace("components/vault/component.yaml", &old, &new)?;
        cluster.commit(&format!("Version {version}"))?;
        roll(&cluster)?;
    }
    // And on the way back.
    cluster.replace("components/vault/component.yaml", "of 5", "of 6")?;
    cluster.commit("Fail")?;
    cluster.says(&["roll", "--yes"])?.ended(1);
    assert_eq!(vps1.sh("cat /etc/vault/10")?, "nobody-may-see this of 5");
    vps1.sh("touch /run/reader.stop")?;
    wait_until(SOON, || vps1.sh("cat /tmp/reader.found").is_ok())?;
    let rounds: u32 = vps1.sh("cat /tmp/reader.rounds")?.parse()?;
    assert!(rounds > 100, "it looked only {rounds} times");
    assert_eq!(vps1.sh("cat /tmp/reader.found")?, "", "nobody read these");
    assert_eq!(vps1.sh("stat -c %a /etc/vault/10")?, "600");
    Ok(())
}
