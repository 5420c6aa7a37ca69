//! A new cluster gets up in whatever order its nodes have their turns.

use windlass_tests::cluster::Cluster;
use windlass_tests::lab::{Lab, LabSpec};

#[test]
#[ignore = "lab: needs root"]
fn a_hidden_primary_may_have_its_turn_last() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::default())?;
    let cluster = Cluster::make(&lab)?;
    cluster.replace(
        "cluster.yaml",
        "order: [homelab, vps1, vps2, vps3]",
        "order: [vps1, vps2, vps3, homelab]",
    )?;
    cluster.commit("Begin with the secondaries")?;
    let primary = lab.node("homelab");
    cluster
        .says(&["roll", "--yes"])?
        .ended(0)
        .names(&["rolled out"]);
    let asked = "dig +short +time=2 +tries=1 @127.0.0.1 example.org SOA";
    let known = primary.sh(asked)?;
    for secondary in ["vps1", "vps2", "vps3"] {
        let served = lab.node(secondary).sh(asked)?;
        assert_ne!(served.trim(), "", "{secondary} has no zone");
        assert_eq!(served, known, "{secondary}");
    }
    Ok(())
}
