//! Getting in: as root, as a user with sudo, and every way not to.

use std::time::Duration;

use windlass::ports::{NodeError, NodeReader};

use super::bench::{Bench, OLD, release, turn};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_user_with_sudo_can_do_a_whole_turn() {
    let bench = Bench::boot_as("admin", true);
    let one = release(&[(OLD, "old\n")]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    assert_eq!(bench.read(OLD), "old\n");
    assert_eq!(bench.sh("stat -c %U /etc/demo/old.conf"), "root");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn without_root_it_says_what_to_do() {
    let bench = Bench::boot_as("admin", false);
    let Err(NodeError::Refused { why, .. }) = bench.nodes.status(&bench.name).await else {
        panic!("not refused");
    };
    assert!(why.contains("needs root"), "{why}");

    bench.sh(
        "rm -f /etc/sudoers.d/*; sed -i '/admin/d' /etc/sudoers; gpasswd -d admin sudo || true",
    );
    let worker = bench.worker_with(|target| {
        target.user = "admin".to_owned();
        target.sudo = true;
    });
    let Err(NodeError::Refused { why, .. }) = worker.status(&bench.name).await else {
        panic!("not refused");
    };
    assert!(why.contains("NOPASSWD"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn another_host_key_a_refused_key_and_a_closed_port_are_told_apart() {
    let bench = Bench::boot();
    let other_key = bench.sh("ssh-keygen -q -t ed25519 -N '' -f /tmp/k && cat /tmp/k.pub");
    let exchanged = bench.worker_with(|target| target.host_keys = vec![other_key]);
    let error = exchanged.status(&bench.name).await.unwrap_err();
    assert!(matches!(error, NodeError::HostKey { .. }), "{error:?}");
    let unpinned = bench.worker_with(|target| target.host_keys.clear());
    let error = unpinned.status(&bench.name).await.unwrap_err();
    assert!(matches!(error, NodeError::HostKey { .. }), "{error:?}");

    let closed = bench.worker_with(|target| target.port = 2);
    let error = closed.status(&bench.name).await.unwrap_err().to_string();
    assert!(
        error.contains("refused") && error.contains("port 2"),
        "{error}"
    );

    bench.sh("rm /root/.ssh/authorized_keys");
    let error = bench
        .other_worker()
        .status(&bench.name)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("authorized_keys"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_hung_and_a_cut_off_node_are_noticed_in_bounded_time() {
    let bench = Bench::boot();
    bench.status().await;
    bench.node().freeze().unwrap();
    let fresh = bench.other_worker();
    let error = tokio::time::timeout(Duration::from_secs(60), fresh.status(&bench.name)).await;
    assert!(
        matches!(error, Ok(Err(NodeError::Unreachable { .. }))),
        "{error:?}"
    );
    bench.node().thaw().unwrap();
    bench.node().cut().unwrap();
    let error =
        tokio::time::timeout(Duration::from_secs(60), bench.nodes.status(&bench.name)).await;
    assert!(
        matches!(error, Ok(Err(NodeError::Unreachable { .. }))),
        "{error:?}"
    );
    bench.node().join().unwrap();
    bench.status().await;
}
