//! A turn that goes well, and what it may not do.

use windlass::ports::{NodeError, NodeReader, NodeWriter};
use windlass_core::observed::{AttemptPhase, DriftKind};

use super::bench::{Bench, NEW, OLD, ZONE, check, command, fence, path, release, turn, zone};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_turn_creates_replaces_and_removes_and_then_holds() {
    let bench = Bench::boot();
    let one = release(&[(OLD, "old\n"), ("/etc/demo/deep/er/gone.conf", "x\n")]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    let mut two = release(&[(OLD, "changed\n"), (NEW, "new\n")]);
    two.meta.files.get_mut(&path(NEW)).unwrap().mode = "0640".to_owned();
    two.meta.files.get_mut(&path(NEW)).unwrap().owner = "root:haproxy".to_owned();
    let mut second = turn(Some(&one), &two);
    second.forward = vec![command("cat /etc/demo/*.conf >/root/seen")];
    bench.roll("1-b", &second, &two).await;

    assert_eq!(bench.read("/root/seen"), "new\nchanged\n");
    assert_eq!(
        bench.sh("stat -c '%a %U:%G' /etc/demo/new.conf"),
        "640 root:haproxy"
    );
    assert!(!bench.exists("/etc/demo/deep"), "empty directories stay");
    let state = bench.status().await;
    assert_eq!(
        state.current.as_ref().map(|release| release.digest),
        Some(two.meta.digest)
    );
    assert_eq!(state.current.unwrap(), two.meta);
    assert_eq!(state.previous, Some(one.meta.digest));
    assert_eq!((state.fence, state.holder.as_str()), (1, "roll-1"));
    assert!(state.drift.is_empty());
    let read = bench
        .nodes
        .read_files(&bench.name, &[path(NEW), path("/etc/passwd")])
        .await
        .unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[&path(NEW)], b"new\n");
    assert!(
        !bench
            .sh("systemctl list-timers --all")
            .contains("windlass-deadman")
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn secret_files_are_read_by_who_may_write_and_nothing_else_with_them() {
    let bench = Bench::boot();
    let mut one = release(&[(OLD, "old\n"), (NEW, "key\n")]);
    one.meta.files.get_mut(&path(NEW)).unwrap().secret = true;
    bench.roll("1-a", &turn(None, &one), &one).await;
    let both = [path(OLD), path(NEW), path("/etc/shadow")];
    let read = bench.nodes.read_files(&bench.name, &both).await.unwrap();
    assert_eq!(
        read.into_iter().collect::<Vec<_>>(),
        [(path(OLD), b"old\n".to_vec())]
    );
    let read = bench.nodes.read_secrets(&bench.name, &both).await.unwrap();
    assert_eq!(
        read.into_iter().collect::<Vec<_>>(),
        [(path(NEW), b"key\n".to_vec())]
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn status_tells_drift_by_kind() {
    let bench = Bench::boot();
    let one = release(&[(OLD, "a\n"), (NEW, "b\n"), ("/etc/demo/mode.conf", "c\n")]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    bench.sh("echo x >>/etc/demo/old.conf; rm /etc/demo/new.conf; chmod 600 /etc/demo/mode.conf");
    let drift = bench.status().await.drift;
    assert_eq!(drift[&path(OLD)], DriftKind::Modified);
    assert_eq!(drift[&path(NEW)], DriftKind::Missing);
    assert_eq!(drift[&path("/etc/demo/mode.conf")], DriftKind::Attributes);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn checks_see_the_candidate_and_touch_nothing() {
    let bench = Bench::boot();
    let one = release(&[(OLD, "old\n")]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    let mut two = release(&[(NEW, "new\n"), (ZONE, &zone("www A 192.0.2.1"))]);
    let mut with_script = check("helper.sh", 10);
    with_script
        .scripts
        .insert("helper.sh".into(), "#!/bin/sh\necho helped\n".into());
    two.meta.components[0].checks = vec![
        check(
            "cat /etc/demo/new.conf; grep -c '( 1 60' /etc/demo/example.zone; ls /etc/demo",
            10,
        ),
        check(
            "echo broken >/etc/demo/new.conf; touch /run/trial /var/lib/trial /tmp/trial; exit 4",
            10,
        ),
        check("sleep 60", 1),
        check("yes | head -c 3000000; sleep 1000 & exit 0", 10),
        with_script,
        check(
            "ip -o link | grep -vc ' lo:' || ps ax | grep -c '[s]ystemd' || true",
            10,
        ),
    ];
    bench.stage("1-b", Some(&one), &two).await;
    let outputs = bench
        .nodes
        .check(&fence(1), "1-b", &bench.name)
        .await
        .unwrap();
    let seen: Vec<_> = outputs
        .iter()
        .map(|output| (output.index, output.exit))
        .collect();
    assert_eq!(
        seen,
        [
            (0, Some(0)),
            (1, Some(4)),
            (2, None),
            (3, Some(0)),
            (4, Some(0)),
            (5, Some(0))
        ]
    );
    assert_eq!(outputs[0].output, "new\n1\nexample.zone\nnew.conf\n");
    assert_eq!(outputs[3].output.len(), 65536);
    assert_eq!(outputs[4].output, "helped\n");
    assert_eq!(
        outputs[5].output, "0\n0\n",
        "network or processes are shared"
    );
    for path in [NEW, ZONE, "/run/trial", "/var/lib/trial", "/tmp/trial"] {
        assert!(!bench.exists(path), "{path} is there after the check");
    }
    assert_eq!(bench.read(OLD), "old\n");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_lower_fence_and_an_equal_one_of_another_are_refused() {
    let bench = Bench::boot();
    let one = release(&[(OLD, "old\n")]);
    let first = turn(None, &one);
    let stage = async |fence: &_, token| bench.nodes.stage(fence, token, &one, &first).await;
    stage(&fence(5), "5-a").await.unwrap();
    let mut late = fence(4);
    late.holder = "roll-5".to_owned();
    let lower = stage(&late, "4-a").await;
    assert!(matches!(lower, Err(NodeError::Fenced { .. })), "{lower:?}");
    let mut twin = fence(5);
    twin.holder = "someone-else".to_owned();
    let equal = stage(&twin, "5-b").await;
    assert!(matches!(equal, Err(NodeError::Fenced { .. })), "{equal:?}");
    let mut stranger = fence(9);
    stranger.cluster = "another".parse().unwrap();
    let other = stage(&stranger, "9-a").await;
    assert!(matches!(other, Err(NodeError::Refused { .. })), "{other:?}");
    assert_eq!(bench.status().await.fence, 5);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn every_verb_may_be_repeated() {
    let bench = Bench::boot();
    let one = release(&[(OLD, "old\n")]);
    let mut first = turn(None, &one);
    first.forward = vec![command("echo once >>/root/forward")];
    let (fence, name) = (fence(1), &bench.name);
    for _ in 0..2 {
        bench
            .nodes
            .stage(&fence, "1-a", &one, &first)
            .await
            .unwrap();
    }
    for _ in 0..2 {
        bench.activate("1-a", 60).await.unwrap();
    }
    bench
        .nodes
        .stage(&fence, "1-a", &one, &first)
        .await
        .unwrap();
    for _ in 0..2 {
        bench.nodes.extend(&fence, "1-a", name, 60).await.unwrap();
    }
    for _ in 0..2 {
        bench.confirm("1-a").await.unwrap();
    }
    assert_eq!(bench.read("/root/forward"), "once\n");
    for _ in 0..2 {
        bench.rollback("1-a").await.unwrap();
    }
    assert_eq!(bench.phase().await, AttemptPhase::RolledBack);
    assert!(!bench.exists("/etc/demo"));
    assert!(bench.status().await.current.is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn two_attempts_at_once_are_refused_and_so_is_another_base() {
    let bench = Bench::boot();
    let one = release(&[(OLD, "one\n")]);
    let two = release(&[(OLD, "two\n")]);
    bench.stage("1-a", None, &one).await;
    bench.activate("1-a", 60).await.unwrap();
    let first = turn(None, &two);
    let beside = bench.nodes.stage(&fence(1), "1-b", &two, &first).await;
    assert!(
        matches!(beside, Err(NodeError::Refused { .. })),
        "{beside:?}"
    );
    bench.confirm("1-a").await.unwrap();
    bench.stage("1-b", None, &two).await;
    let stale = bench.activate("1-b", 60).await;
    assert!(matches!(stale, Err(NodeError::Refused { .. })), "{stale:?}");
    assert_eq!(bench.read(OLD), "one\n");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn probes_and_logs_come_from_the_node() {
    let bench = Bench::boot();
    let run = async |script, limit| bench.nodes.run(&bench.name, script, limit).await.unwrap();
    assert_eq!(
        run("echo $((6 * 7)); exit 3", 5).await,
        (Some(3), "42\n".into())
    );
    assert_eq!(run("sleep 30", 1).await.0, None);
    assert_eq!(run("yes", 2).await.1.len(), 65536);
    bench.sh("systemd-run --wait -q --unit=talker echo heard-it");
    let lines = bench
        .nodes
        .logs(&bench.name, "talker.service", 20)
        .await
        .unwrap();
    assert!(
        lines.iter().any(|line| line.contains("heard-it")),
        "{lines:?}"
    );
}
