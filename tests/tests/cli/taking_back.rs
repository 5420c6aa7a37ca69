//! `windlass rollback` where a node is down, where it is killed between two nodes, and where a node is lost meanwhile.

use std::time::Duration;

use windlass_tests::cluster::Cluster;
use windlass_tests::lab::{Lab, LabSpec};

use super::{current, fits};

const ROLLBACK: [&str; 4] = ["rollback", "--yes", "--format", "json"];

#[test]
#[ignore = "lab: needs root"]
fn a_rollback_names_the_node_that_is_down_and_ends_what_was_killed() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "homelab"]))?;
    let cluster = Cluster::make(&lab)?;
    cluster.says(&["roll", "--yes"])?.ended(0);
    let before = current(&lab);
    cluster.write_site("shop", 8083)?;
    cluster.commit("Add the shop")?;
    cluster.says(&["roll", "--yes"])?.ended(0);
    let after = current(&lab);
    let changed = before.iter().zip(&after).all(|(old, new)| old != new);
    assert!(changed, "both nodes have a turn: {before:?} {after:?}");
    down(&lab, &cluster, &after)?;
    killed(&lab, &cluster)?;
    assert_eq!(current(&lab), before);
    cluster
        .says(&["rollback", "--yes"])?
        .ended(0)
        .names(&["hold their old release again"]);
    assert_eq!(current(&lab), before, "an older roll was taken back");
    let status = cluster.says(&["status", "--format", "json"])?.ended(0);
    let latest = &status.json()?["latest"];
    assert_eq!(latest["outcome"], "taken-back");
    assert_eq!(latest["subject"], "Add the shop");
    Ok(())
}

/// Without vps1's answer nobody knows what the latest roll was: nothing is taken back, and it is named.
fn down(lab: &Lab, cluster: &Cluster, after: &[String]) -> anyhow::Result<()> {
    let vps1 = lab.node("vps1");
    vps1.kill()?;
    let refused = cluster.says(&ROLLBACK)?.ended(1).json()?;
    fits("outcome", &refused);
    let finding = &refused["findings"][0];
    assert_eq!(refused["outcome"], "refused");
    assert_eq!(finding["code"], "WL501");
    assert_eq!(finding["node"], "vps1");
    cluster
        .says(&["rollback", "--yes"])?
        .ended(1)
        .names(&["vps1", "`windlass rollback homelab`"]);
    cluster
        .says(&["rollback", "vps1", "--yes"])?
        .ended(1)
        .names(&["vps1", "WL501"])
        .hides("no node has a turn");
    vps1.start()?;
    vps1.wait_ssh(Duration::from_secs(60))?;
    assert_eq!(current(lab), after, "something was taken back");
    Ok(())
}

/// vps1 has gone back, and the home lab's agent waits for a lock that another holds: that is when it is killed.
fn killed(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    let homelab = lab.node("homelab");
    homelab.sh("systemd-run -q --unit=holds-the-lock flock /var/lib/windlass/lock sleep 600")?;
    homelab.sh("until ! flock -n /var/lib/windlass/lock true; do sleep 0.1; done")?;
    let half = cluster.until(&["rollback", "--yes"], "vps1: holds its old release again")?;
    half.kill()?;
    lost(lab, cluster)?;
    let rest = cluster.says(&ROLLBACK)?.ended(0).json()?;
    fits("outcome", &rest);
    let expected = serde_json::json!({ "outcome": "taken-back", "nodes": ["vps1", "homelab"] });
    assert_eq!(rest, expected);
    Ok(())
}

/// The home lab is gone when its turn is taken back; the lock goes with it.
fn lost(lab: &Lab, cluster: &Cluster) -> anyhow::Result<()> {
    let homelab = lab.node("homelab");
    let rest = cluster.until(&["rollback", "--yes"], "goes back to what it held before")?;
    homelab.kill()?;
    rest.finish()?
        .ended(3)
        .names(&["homelab", "`windlass rollback homelab`"]);
    let status = cluster.says(&["status", "--format", "json"])?.json()?;
    assert_eq!(status["latest"]["outcome"], "stuck");
    assert_eq!(status["latest"]["nodes"][0]["node"], "homelab");
    homelab.start()?;
    homelab.wait_ssh(Duration::from_secs(60))
}
