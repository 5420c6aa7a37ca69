//! Everything that must make a node go back, and what it is like afterwards.

use std::time::Duration;

use windlass::ports::{NodeError, NodeWriter};
use windlass_core::observed::AttemptPhase;
use windlass_core::plan::Turn;
use windlass_core::release::Release;

use super::bench::{Bench, NEW, OLD, command, fence, release, turn};

/// A node that holds `one`, with the turn to `two` staged as "1-b".
async fn prepared(change: impl FnOnce(&mut Turn)) -> (Bench, Release, Release) {
    let bench = Bench::boot();
    let one = release(&[(OLD, "old\n"), ("/etc/demo/gone.conf", "gone\n")]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    let two = release(&[
        (OLD, "changed\n"),
        (NEW, "new\n"),
        ("/etc/demo/sub/x", "x\n"),
    ]);
    let mut second = turn(Some(&one), &two);
    second.backward = vec![command("cat /etc/demo/old.conf >>/root/backward")];
    change(&mut second);
    bench
        .nodes
        .stage(&fence(1), "1-b", &two, &second)
        .await
        .unwrap();
    (bench, one, two)
}

async fn assert_old(bench: &Bench, one: &Release, two: &Release) {
    assert_eq!(bench.read(OLD), "old\n");
    assert_eq!(bench.read("/etc/demo/gone.conf"), "gone\n");
    assert_eq!(bench.sh("ls -A /etc/demo"), "gone.conf\nold.conf");
    assert_eq!(bench.read("/root/backward"), "old\n");
    let state = bench.status().await;
    assert_eq!(
        state.current.map(|release| release.digest),
        Some(one.meta.digest)
    );
    assert_eq!(state.rolled_back, [two.meta.digest]);
    assert_eq!(state.attempt.unwrap().phase, AttemptPhase::RolledBack);
    assert!(state.drift.is_empty(), "{:?}", state.drift);
    assert!(
        !bench
            .sh("systemctl list-timers --all")
            .contains("windlass-deadman")
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_failing_step_goes_back_at_once_and_tells_its_last_words() {
    let (bench, one, two) = prepared(|turn| {
        turn.forward = vec![
            command("echo the bind address is taken; exit 7"),
            command("touch /root/never"),
        ];
    })
    .await;
    let Err(NodeError::Failed { why, log, .. }) = bench.activate("1-b", 60).await else {
        panic!("the step did not fail");
    };
    assert!(why.contains("exit status 7"), "{why}");
    assert!(
        log.iter().any(|line| line == "the bind address is taken"),
        "{log:?}"
    );
    assert!(!bench.exists("/root/never"));
    assert_old(&bench, &one, &two).await;
    let again = bench.activate("1-b", 60).await;
    assert!(matches!(again, Err(NodeError::Refused { .. })), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn nobody_confirms_and_the_dead_man_goes_back() {
    let (bench, one, two) = prepared(|_| ()).await;
    bench.activate("1-b", 2).await.unwrap();
    bench.wait_rolled_back().await;
    assert_old(&bench, &one, &two).await;
    let Err(NodeError::Refused { why, .. }) = bench.confirm("1-b").await else {
        panic!("a node that went back was confirmed");
    };
    assert!(why.starts_with("rolled-back"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_node_that_cannot_be_reached_any_more_heals_itself() {
    let (bench, one, two) = prepared(|turn| {
        turn.forward = vec![command(
            "iptables -I INPUT -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP",
        )];
        turn.backward.push(command(
            "iptables -D INPUT -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP",
        ));
    })
    .await;
    bench.activate("1-b", 12).await.unwrap();
    let locked_out = bench.nodes.extend(&fence(1), "1-b", &bench.name, 60).await;
    assert!(
        matches!(locked_out, Err(NodeError::Unreachable { .. })),
        "{locked_out:?}"
    );
    bench.wait_rolled_back().await;
    assert_old(&bench, &one, &two).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_reboot_before_the_confirmation_goes_back() {
    let (bench, one, two) = prepared(|_| ()).await;
    bench.activate("1-b", 600).await.unwrap();
    assert_eq!(bench.read(OLD), "changed\n");
    bench.node().kill().unwrap();
    bench.node().start().unwrap();
    bench.wait_rolled_back().await;
    assert_old(&bench, &one, &two).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_confirmed_release_outlives_a_reboot() {
    let (bench, _, two) = prepared(|_| ()).await;
    bench.activate("1-b", 5).await.unwrap();
    bench.confirm("1-b").await.unwrap();
    bench.node().kill().unwrap();
    bench.node().start().unwrap();
    bench.sh(
        "systemctl is-active -q multi-user.target || systemctl is-system-running --wait || true",
    );
    assert_eq!(bench.read(OLD), "changed\n");
    let state = bench.status().await;
    assert_eq!(
        state.current.map(|release| release.digest),
        Some(two.meta.digest)
    );
    assert_eq!(state.attempt.unwrap().phase, AttemptPhase::Confirmed);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_confirmed_attempt_can_be_taken_back() {
    let (bench, one, two) = prepared(|_| ()).await;
    bench.activate("1-b", 60).await.unwrap();
    bench.confirm("1-b").await.unwrap();
    bench.rollback("1-b").await.unwrap();
    assert_old(&bench, &one, &two).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn either_the_confirmation_wins_or_the_dead_man() {
    let bench = Bench::boot();
    let mut base = release(&[(OLD, "0\n")]);
    bench.roll("1-start", &turn(None, &base), &base).await;
    let mut wins = [0, 0];
    for round in 1..=6_u64 {
        let next = release(&[(OLD, &format!("{round}\n"))]);
        let token = format!("1-r{round}");
        bench.stage(&token, Some(&base), &next).await;
        bench.activate(&token, 1).await.unwrap();
        // Around the second at which the timer fires.
        tokio::time::sleep(Duration::from_millis(800 + round * 40)).await;
        let confirmed = bench.confirm(&token).await;
        if confirmed.is_err() {
            bench.wait_rolled_back().await;
        }
        let state = bench.status().await;
        let (release, phase) = match confirmed {
            Ok(()) => (&next, AttemptPhase::Confirmed),
            Err(_) => (&base, AttemptPhase::RolledBack),
        };
        wins[usize::from(phase == AttemptPhase::Confirmed)] += 1;
        assert_eq!(state.attempt.unwrap().phase, phase);
        assert_eq!(state.current.unwrap().digest, release.meta.digest);
        assert!(state.drift.is_empty());
        if phase == AttemptPhase::Confirmed {
            base = next;
        }
    }
    println!("dead-man {}, confirmation {}", wins[0], wins[1]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn an_extended_timer_does_not_fire_at_its_first_deadline() {
    let (bench, ..) = prepared(|_| ()).await;
    bench.activate("1-b", 2).await.unwrap();
    bench
        .nodes
        .extend(&fence(1), "1-b", &bench.name, 300)
        .await
        .unwrap();
    let timers = bench.sh("systemctl list-timers --all --no-legend 'windlass-deadman*' | wc -l");
    assert_eq!(timers, "1", "the first timer is still armed");
    // A timer that fired already while `extend` held the lock counts no more either.
    bench.sh("sh /var/lib/windlass/agent deadman 1-b windlass-deadman-1-b-000");
    assert_eq!(bench.phase().await, AttemptPhase::Activated);
    bench.confirm("1-b").await.unwrap();
}

/// Going on would put back what it knows of and leave the rest.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_release_that_cannot_be_read_leaves_the_node_stuck_until_it_can() {
    let (bench, one, two) = prepared(|_| {}).await;
    bench.activate("1-b", 60).await.unwrap();
    let awk = bench.sh("readlink -f /usr/bin/awk");
    bench.sh(&format!("chmod a-x {awk}"));
    let stuck = bench.rollback("1-b").await;
    assert!(matches!(stuck, Err(NodeError::Stuck { .. })), "{stuck:?}");
    bench.sh(&format!("chmod a+x {awk}"));
    assert_eq!(bench.phase().await, AttemptPhase::Stuck);
    bench.rollback("1-b").await.unwrap();
    assert_old(&bench, &one, &two).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_backward_step_that_fails_leaves_the_node_stuck_until_it_is_mended() {
    let (bench, one, two) = prepared(|turn| {
        turn.forward = vec![command("false")];
        turn.backward.push(command("test -e /root/mended"));
    })
    .await;
    let stuck = bench.activate("1-b", 60).await;
    assert!(matches!(stuck, Err(NodeError::Stuck { .. })), "{stuck:?}");
    assert_eq!(bench.phase().await, AttemptPhase::Stuck);
    assert_eq!(bench.read(OLD), "old\n");
    bench.sh("touch /root/mended; rm /root/backward");
    bench.rollback("1-b").await.unwrap();
    assert_old(&bench, &one, &two).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_node_out_of_service_comes_back_into_service_when_it_goes_back() {
    let (bench, ..) = prepared(|turn| {
        turn.drain = vec![command("touch /root/drained")];
        turn.undrain = vec![command("rm /root/drained")];
    })
    .await;
    let fence = fence(1);
    bench.nodes.drain(&fence, "1-b", &bench.name).await.unwrap();
    assert!(bench.exists("/root/drained"));
    bench.activate("1-b", 1).await.unwrap();
    bench.wait_rolled_back().await;
    bench
        .nodes
        .rollback(&fence, "1-b", &bench.name, "again")
        .await
        .unwrap();
    assert!(!bench.exists("/root/drained"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_full_disk_changes_nothing() {
    let (bench, one, _) = prepared(|_| ()).await;
    bench.node().fill_disk().unwrap();
    let big = release(&[(OLD, &"big\n".repeat(2_000_000))]);
    let stage = bench
        .nodes
        .stage(&fence(1), "1-c", &big, &turn(Some(&one), &big))
        .await;
    let Err(NodeError::Failed { why, .. }) = stage else {
        panic!("{stage:?}");
    };
    assert!(why.contains("No space left"), "{why}");
    bench.node().free_disk().unwrap();
    assert_eq!(bench.read(OLD), "old\n");
    bench.activate("1-b", 60).await.unwrap();
    bench.confirm("1-b").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_full_disk_at_activation_leaves_the_old_release() {
    let bench = Bench::boot();
    let one = release(&[(OLD, "old\n")]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    let two = release(&[(OLD, &"big\n".repeat(1_000_000))]);
    bench.stage("1-b", Some(&one), &two).await;
    bench.node().fill_disk().unwrap();
    let full = bench.activate("1-b", 60).await;
    assert!(matches!(full, Err(NodeError::Failed { .. })), "{full:?}");
    assert_eq!(bench.read(OLD), "old\n");
    bench.node().free_disk().unwrap();
    assert_eq!(bench.sh("ls -A /etc/demo"), "old.conf");
    bench.activate("1-b", 60).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_disk_that_fills_after_the_activation_does_not_keep_the_node_from_going_back() {
    let (bench, one, two) = prepared(|_| ()).await;
    bench.activate("1-b", 600).await.unwrap();
    bench.node().fill_disk().unwrap();
    let full = bench.sh("dd if=/dev/zero of=/var/tmp/more bs=64k count=1 2>&1 || true");
    assert!(full.contains("No space left"), "{full}");
    bench.rollback("1-b").await.unwrap();
    assert_old(&bench, &one, &two).await;
    bench.node().free_disk().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_worker_that_came_back_and_then_died_does_not_condemn_its_release() {
    let (bench, one, two) = prepared(|_| ()).await;
    bench.activate("1-b", 60).await.unwrap();
    let (fence, name) = (fence(1), &bench.name);
    bench.nodes.extend(&fence, "1-b", name, 1).await.unwrap();
    bench.wait_rolled_back().await;
    assert_eq!(bench.read(OLD), "old\n");
    let state = bench.status().await;
    assert_eq!(state.rolled_back, []);
    let attempt = state.attempt.unwrap();
    assert!(attempt.reason.starts_with("cancelled"), "{attempt:?}");
    bench.roll("1-c", &turn(Some(&one), &two), &two).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn the_connection_that_activated_can_neither_extend_nor_confirm() {
    for (user, sudo) in [("root", ""), ("admin", "sudo -n ")] {
        let bench = Bench::boot_as(user, !sudo.is_empty());
        let one = release(&[(OLD, "old\n")]);
        bench.stage("1-a", None, &one).await;
        let agent = bench.sh("readlink /var/lib/windlass/agent");
        let agent =
            format!("{sudo}sh {agent} VERB --fence 1 --holder roll-1 --cluster example 1-a 60");
        // All of them over one connection, and then the last one over another.
        let ssh = |script: &str| {
            let output = bench.node().ssh_command(user).arg(script).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let calls = ["activate", "extend", "confirm"].map(|verb| agent.replace("VERB", verb));
        let said = ssh(&calls.join("; "));
        let ends: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("end"))
            .collect();
        assert!(ends[0].starts_with("end\tok"), "{said}");
        assert!(ends[1].starts_with("end\trefused"), "{said}");
        assert!(ends[2].starts_with("end\trefused"), "{said}");
        assert_eq!(bench.phase().await, AttemptPhase::Activated);
        assert!(ssh(&calls[2]).contains("end\tok"));
        assert_eq!(bench.phase().await, AttemptPhase::Confirmed);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_read_only_directory_changes_nothing() {
    let bench = Bench::boot();
    let inner = "/etc/demo/inner/x.conf";
    let one = release(&[(OLD, "old\n"), (inner, "old\n")]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    let two = release(&[
        (OLD, "changed\n"),
        (inner, "changed\n"),
        ("/etc/demo/sub/x", "x\n"),
    ]);
    bench.stage("1-b", Some(&one), &two).await;
    bench.node().make_read_only("/etc/demo/inner").unwrap();
    let refused = bench.activate("1-b", 60).await;
    let Err(NodeError::Failed { why, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("Read-only"), "{why}");
    bench.node().make_writable("/etc/demo/inner").unwrap();
    assert_eq!(bench.sh("ls -A /etc/demo"), "inner\nold.conf");
    assert_eq!(bench.phase().await, AttemptPhase::Staged);
    bench.activate("1-b", 60).await.unwrap();
    assert_eq!(bench.read(inner), "changed\n");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_node_remembers_the_last_hundred_releases_that_went_back() {
    let (bench, _, two) = prepared(|turn| turn.forward = vec![command("exit 1")]).await;
    let known = |from: u32, to: u32| (from..to).map(|number| format!("{number:064x}"));
    let list = known(0, 150).collect::<Vec<_>>().join("\n") + "\n";
    std::fs::write(bench.path("/var/lib/windlass/rolled-back"), list).unwrap();
    bench.activate("1-b", 60).await.unwrap_err();
    let mut newest: Vec<String> = known(51, 150).collect();
    newest.push(two.meta.digest.to_string());
    let told = bench.status().await.rolled_back;
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(told, newest);
}
