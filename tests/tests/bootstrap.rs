//! A new cluster gets up in whatever order its nodes have their turns.

use windlass_tests::cluster::Cluster;
use windlass_tests::lab::{Lab, LabSpec};

#[test]
#[ignore = "lab: needs root"]
fn a_hidden_primary_may_have_its_turn_last() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "homelab"]))?;
    let cluster = Cluster::make(&lab)?;
    cluster.replace(
        "cluster.yaml",
        "order: [homelab, vps1]",
        "order: [vps1, homelab]",
    )?;
    cluster.commit("Begin with the secondary")?;
    let primary = lab.node("homelab");
    cluster
        .says(&["roll", "--yes"])?
        .ended(0)
        .names(&["rolled out"]);
    let asked = "dig +short +time=2 +tries=1 @127.0.0.1 example.org SOA";
    let served = lab.node("vps1").sh(asked)?;
    assert_ne!(served.trim(), "", "the secondary has no zone");
    assert_eq!(served, primary.sh(asked)?);
    Ok(())
}
