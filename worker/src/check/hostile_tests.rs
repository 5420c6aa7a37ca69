//! What a hostile commit would try. Each of these was seen to succeed with its protection taken away.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[tokio::test]
async fn files_of_this_machine_are_not_there() {
    let marker = tempfile::Builder::new()
        .prefix("windlass-outside")
        .tempfile_in("/var/tmp")
        .unwrap();
    std::fs::write(marker.path(), "options { };\n").unwrap();
    std::fs::set_permissions(marker.path(), Permissions::from_mode(0o644)).unwrap();
    let outside = marker.path().to_str().unwrap().to_owned();
    for line in [
        "errorfile 500 /etc/shadow".to_owned(),
        format!("errorfile 500 {outside}"),
    ] {
        let cfg = CFG.replace("  errorfile 503", &format!("  {line}\n  errorfile 503"));
        let files = [("/etc/haproxy/haproxy.cfg", cfg.as_str())];
        assert_refuses(&["haproxy"], HAPROXY, &files, "error opening file").await;
    }
    let lua = CFG.replace("  chroot", &format!("  lua-load {outside}\n  chroot"));
    let files = [("/etc/haproxy/haproxy.cfg", lua.as_str())];
    assert_refuses(&["haproxy"], HAPROXY, &files, "No such file").await;
    let include = format!("include \"{outside}\";\n");
    let files = [("/etc/bind/named.conf", include.as_str())];
    assert_refuses(
        &["bind9"],
        "named-checkconf /etc/bind/named.conf",
        &files,
        "file not found",
    )
    .await;
}

#[tokio::test]
async fn homes_keys_accounts_and_environment_stay_hidden() {
    let text = "never() { if \"$@\" 2>/dev/null; then echo \"possible: $*\"; exit 9; fi; }\n\
                for file in /etc/shadow /etc/ssh/ssh_host_ed25519_key /root/.ssh /home /work /boot; do\n\
                never test -e $file; done\n\
                never test -e /proc/1/root/work\n\
                test -z \"$(ls -A /root)\"\n\
                never grep -q '^[^:]*:[^:]*:[1-5][0-9][0-9][0-9]:' /etc/passwd\n\
                names=$(env | cut -d= -f1 | sort | tr '\\n' ' ')\n\
                test \"$names\" = 'HOME LC_ALL OLDPWD PATH PWD ' || { echo \"$names\"; exit 8; }\n\
                test \"$(ls /proc | grep -c '^[0-9]')\" -lt 10\n\
                never touch /usr/windlass-was-here\n\
                never mount -o remount,rw,bind /usr\n\
                never unshare --user true\n\
                never unshare --map-root-user --mount mount -t tmpfs none /mnt\n";
    assert_accepts(&["openssh-server"], text, &[]).await;
}

#[tokio::test]
async fn there_is_no_network() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let text = format!(
        "for a in 127.0.0.1 $(cat /etc/addresses); do\n\
         if bash -c \"exec 3<>/dev/tcp/$a/{port}\" 2>/dev/null; then exit 9; fi; done\n"
    );
    let own = std::net::UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| {
            socket
                .connect("192.0.2.1:9")
                .and_then(|()| socket.local_addr())
        })
        .map_or_else(
            |_| "127.0.0.1".to_owned(),
            |address| address.ip().to_string(),
        );
    assert_accepts(&[], &text, &[("/etc/addresses", own.as_str())]).await;
    assert!(
        listener.accept().is_err(),
        "the sandbox reached this machine"
    );
}

#[tokio::test]
async fn a_fork_bomb_meets_a_limit() {
    let text = "bash -c 'f() { f | f & }; for i in $(seq 400); do sleep 30 & done; exit 9'";
    assert_refuses(&[], text, &[], "fork").await;
}

#[tokio::test]
async fn endless_output_and_endless_sleep_end() {
    let findings = run_one(&[], "yes windlass | head -c 10000000000", &[]).await;
    let finding = findings.iter().next().unwrap();
    assert_eq!(finding.code, checks::CHECK_KILLED);
    assert!(finding.message.contains("printed more than 16 MiB"));

    let mut sleeping = check("trap '' TERM; sleep 100000 & sleep 100000");
    sleeping.command.timeout = 1;
    let findings = run(vec![release("vps1", &[], vec![sleeping], &[])]).await;
    assert_eq!(
        findings.iter().next().unwrap().code,
        checks::CHECK_TIMED_OUT
    );
}

#[tokio::test]
async fn memory_and_disk_have_limits() {
    let disk = "for i in 1 2 3 4; do head -c 100000000 /dev/zero > /tmp/$i; done";
    assert_refuses(&[], disk, &[], "No space left").await;
    let large = "head -c 200000000 /dev/zero > /tmp/large";
    assert!(run_one(&[], large, &[]).await.has_errors());
    // One process alone, before what all may take together.
    let limits = Limits {
        memory_bytes: 64 << 20,
        ..Limits::default()
    };
    let memory = "head -c 300000000 /dev/zero | tail -n 1 > /dev/null";
    let findings = limited(limits, memory).await;
    assert!(
        format!("{findings:?}").contains("exhausted"),
        "{findings:#?}"
    );
}

/// Each is small enough; together they are not.
#[tokio::test]
#[ignore = "needs root: makes a cgroup"]
async fn many_processes_meet_one_limit_of_memory() {
    let limits = Limits {
        total_memory_bytes: 96 << 20,
        ..Limits::default()
    };
    let one = "(head -c 30000000 /dev/zero; sleep 3) | tail -c 30000000 > /dev/null";
    let findings = limited(limits.clone(), one).await;
    assert!(findings.is_empty(), "{findings:#?}");

    let many = format!("for i in 1 2 3 4 5 6; do {{ {one}; }} & done; wait\n");
    let findings = limited(limits, &many).await;
    let finding = findings.iter().next().unwrap();
    assert_eq!(finding.code, checks::CHECK_KILLED);
    let words = "together took more than 96 MiB";
    assert!(finding.message.contains(words), "{finding:?}");
}
