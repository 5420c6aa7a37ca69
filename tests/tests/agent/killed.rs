//! `kill -9` at every command of the agent that changes something: afterwards the node holds the old release or
//! the new one, whole, once it was told to recover.

use windlass_core::observed::AttemptPhase;
use windlass_core::release::Release;

use super::bench::{Bench, NEW, OLD, ZONE, command, fence, release, turn, zone};
use windlass::ports::NodeWriter;

/// Stand before the real commands and, at the N-th call, kill the agent instead of doing it.
const SHIMS: &str = r#"
mkdir -p /run/shim
cat >/usr/local/sbin/shim <<'SHIM'
#!/bin/sh
name=${0##*/}
exec 8>/run/shim/lock; flock 8
read -r n </run/shim/count; n=$((n + 1)); echo $n >/run/shim/count
read -r at </run/shim/at
exec 8>&-
if [ "$n" = "$at" ]; then echo "$name $*" >/run/shim/died; pkill -9 -f '^sh /var/lib/windlass/agent'; exit 9; fi
exec /usr/bin/$name "$@"
SHIM
chmod 755 /usr/local/sbin/shim
echo 0 >/run/shim/count; echo 0 >/run/shim/at
for name in mv tar sync cp find rm rmdir ln mkdir xargs timeout systemd-run systemctl sed; do ln -sf shim /usr/local/sbin/$name; done
"#;

/// Runs these calls one after the other until one fails; says whether the agent was killed.
fn agent(bench: &Bench, calls: &[String], die_at: u32) -> bool {
    let calls: Vec<String> = calls
        .iter()
        .map(|call| {
            let (verb, rest) = call.split_once(' ').unwrap();
            format!("sh $agent {verb} --fence 1 --holder roll-1 --cluster example {rest}")
        })
        .collect();
    let script = format!(
        "rm -f /run/shim/died; echo 0 >/run/shim/count; echo {die_at} >/run/shim/at
         agent=$(readlink /var/lib/windlass/agent); cd /
         {{ {}; }} >/dev/null 2>&1 || true
         echo 0 >/run/shim/at; test -e /run/shim/died",
        calls.join(" && ")
    );
    bench.node().try_sh(&script).unwrap().status.success()
}

/// The managed files without their serials.
fn fingerprint(bench: &Bench) -> String {
    bench.sh(
        "cd /etc/demo && /usr/bin/find . -mindepth 1 | LC_ALL=C sort | while read -r f; do
           echo \"$f\"; [ -d \"$f\" ] || /usr/bin/sed 's/( [0-9]*/(/' \"$f\"; done",
    )
}

fn releases() -> (Release, Release) {
    let gone = "/etc/demo/gone";
    let (zone_one, zone_two) = (zone("a A 192.0.2.1"), zone("a A 192.0.2.2"));
    let old = release(&[(OLD, "old\n"), (gone, "gone\n"), (ZONE, &zone_one)]);
    let new = release(&[
        (OLD, "changed\n"),
        (NEW, "new\n"),
        ("/etc/demo/sub/x", "x\n"),
        (ZONE, &zone_two),
    ]);
    (old, new)
}

async fn stage(bench: &Bench, token: &str, old: &Release, new: &Release) {
    let mut turn = turn(Some(old), new);
    turn.forward = vec![command("true")];
    turn.backward = vec![command("true")];
    let staged = bench.nodes.stage(&fence(1), token, new, &turn).await;
    staged.unwrap();
}

fn recover(bench: &Bench) {
    bench.sh("sh /var/lib/windlass/agent recover");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn killed_at_any_command_of_a_turn_the_node_is_old_or_new_and_never_mixed() {
    let bench = Bench::boot();
    let (old, new) = releases();
    bench.roll("1-start", &turn(None, &old), &old).await;
    let before = fingerprint(&bench);
    bench.sh(SHIMS);
    let mut deaths = 0;
    for at in 1.. {
        let token = format!("1-k{at}");
        stage(&bench, &token, &old, &new).await;
        let calls = ["activate TOKEN 300", "extend TOKEN 300", "confirm TOKEN"];
        let calls = calls.map(|call| call.replace("TOKEN", &token));
        let died = agent(&bench, &calls, at);
        deaths += u32::from(died);
        recover(&bench);
        let state = bench.status().await;
        let place = format!("at {at}: {}", bench.sh("cat /run/shim/died || true"));
        if state.attempt.unwrap().phase == AttemptPhase::Confirmed {
            assert_ne!(fingerprint(&bench), before, "{place}");
            assert_eq!(state.current.unwrap().digest, new.meta.digest, "{place}");
            assert!(state.drift.is_empty(), "{place}: {:?}", state.drift);
        }
        bench.rollback(&token).await.unwrap();
        let state = bench.status().await;
        assert_eq!(fingerprint(&bench), before, "{place}");
        assert_eq!(state.current.unwrap().digest, old.meta.digest, "{place}");
        assert!(state.drift.is_empty(), "{place}: {:?}", state.drift);
        if !died {
            break;
        }
    }
    println!("{deaths} deaths");
    assert!(deaths > 30, "only {deaths} deaths: the shims do not work");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn killed_at_any_command_of_going_back_it_goes_on_going_back() {
    let bench = Bench::boot();
    let (old, new) = releases();
    bench.roll("1-start", &turn(None, &old), &old).await;
    let before = fingerprint(&bench);
    bench.sh(SHIMS);
    let mut deaths = 0;
    for at in 1.. {
        let token = format!("1-k{at}");
        stage(&bench, &token, &old, &new).await;
        bench.activate(&token, 300).await.unwrap();
        let died = agent(&bench, &[format!("rollback {token} why")], at);
        deaths += u32::from(died);
        recover(&bench);
        let place = format!("at {at}: {}", bench.sh("cat /run/shim/died || true"));
        // Killed before the first word of it was on disk, the dead-man is still armed.
        if bench.phase().await == AttemptPhase::Activated {
            bench.rollback(&token).await.unwrap();
        }
        let state = bench.status().await;
        let phase = state.attempt.unwrap().phase;
        assert_eq!(phase, AttemptPhase::RolledBack, "{place}");
        assert_eq!(fingerprint(&bench), before, "{place}");
        assert!(state.drift.is_empty(), "{place}: {:?}", state.drift);
        if !died {
            break;
        }
    }
    println!("{deaths} deaths");
    assert!(deaths > 20, "only {deaths} deaths: the shims do not work");
}
