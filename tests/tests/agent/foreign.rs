//! Files that Windlass did not write, or that someone changed since: never overwritten silently.

use windlass::ports::{NodeError, NodeWriter};

use super::bench::{Bench, NEW, OLD, fence, path, release, turn};

const CONFFILE: &str = "/etc/haproxy/haproxy.cfg";

async fn refused(bench: &Bench, token: &str) -> Vec<String> {
    match bench.activate(token, 60).await {
        Err(NodeError::Refused { drift, .. }) => drift.iter().map(ToString::to_string).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_file_changed_by_hand_is_refused_until_it_is_adopted() {
    let bench = Bench::boot();
    let one = release(&[(OLD, "old\n"), (NEW, "same\n")]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    bench.sh("echo mine >/etc/demo/old.conf");
    let two = release(&[(OLD, "changed\n"), (NEW, "same\n")]);
    bench.stage("1-b", Some(&one), &two).await;
    assert_eq!(refused(&bench, "1-b").await, [OLD]);
    assert_eq!(bench.read(OLD), "mine\n");

    let mut adopting = turn(Some(&one), &two);
    adopting.adopt = vec![path(OLD)];
    bench
        .nodes
        .stage(&fence(1), "1-c", &two, &adopting)
        .await
        .unwrap();
    bench.activate("1-c", 60).await.unwrap();
    assert_eq!(bench.read(OLD), "changed\n");
    assert_eq!(
        bench.read("/var/lib/windlass/adopted/etc/demo/old.conf"),
        "mine\n"
    );
    bench.rollback("1-c").await.unwrap();
    assert_eq!(bench.read(OLD), "mine\n");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_file_that_is_not_ours_is_refused_but_an_identical_one_is_taken_over() {
    let bench = Bench::boot();
    bench.sh("mkdir /etc/demo; echo theirs >/etc/demo/old.conf; echo same >/etc/demo/new.conf");
    let one = release(&[(OLD, "ours\n"), (NEW, "same\n")]);
    bench.stage("1-a", None, &one).await;
    assert_eq!(refused(&bench, "1-a").await, [OLD]);
    bench.sh("rm /etc/demo/old.conf");
    bench.activate("1-a", 60).await.unwrap();
    bench.rollback("1-a").await.unwrap();
    assert_eq!(bench.sh("ls -A /etc/demo"), "new.conf");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn an_unedited_conffile_of_a_package_is_taken_over_and_an_edited_one_is_not() {
    let bench = Bench::boot();
    let packaged = bench.read(CONFFILE);
    let one = release(&[(CONFFILE, "global\n")]);
    bench.stage("1-a", None, &one).await;
    bench.activate("1-a", 60).await.unwrap();
    assert_eq!(bench.read(CONFFILE), "global\n");
    bench.rollback("1-a").await.unwrap();
    assert_eq!(bench.read(CONFFILE), packaged);

    bench.sh("echo '# mine' >>/etc/haproxy/haproxy.cfg");
    bench.stage("1-b", None, &one).await;
    assert_eq!(refused(&bench, "1-b").await, [CONFFILE]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn what_stands_in_the_place_of_a_file_is_never_replaced() {
    let bench = Bench::boot();
    bench.sh(
        "mkdir -p /etc/demo/old.conf; ln -s /etc/passwd /etc/demo/new.conf; mkfifo /etc/demo/pipe",
    );
    let one = release(&[(OLD, "x\n"), (NEW, "x\n"), ("/etc/demo/pipe", "x\n")]);
    bench.stage("1-a", None, &one).await;
    assert_eq!(refused(&bench, "1-a").await.len(), 3);
    assert!(bench.read("/etc/passwd").starts_with("root:"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn forgetting_a_node_keeps_its_files() {
    let bench = Bench::boot();
    let one = release(&[(OLD, "old\n")]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    bench.nodes.forget(&fence(1), &bench.name).await.unwrap();
    assert_eq!(bench.read(OLD), "old\n");
    let state = bench.status().await;
    assert_eq!((state.fence, state.cluster, state.current), (0, None, None));
    assert!(!bench.exists("/etc/systemd/system/windlass-recover.service"));
}
