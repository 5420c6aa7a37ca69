//! kill -9 of `windlass worker` in the middle of a push's roll, on real machines and with the queue that it brings
//! along: the next one ends the roll, its outcome is told once, and every node holds one whole release.

use std::time::Duration;

use windlass_tests::cluster::{Cluster, NOTE, Worker, two_machines};
use windlass_tests::lab::{Lab, wait_until};

/// Slow enough to be caught at every step, and broken where somebody wants it so.
fn slow() -> String {
    let check = "checks:\n  - { run: sleep 1, on: node }\n";
    let gate = "  - { command: 'sleep 1; test ! -e /root/bad', deadline: 5s }\n";
    format!("{NOTE}{gate}{check}")
}

/// What is told of the commit when everything has been worked on: one outcome.
fn told(worker: &Worker, commit: &str, when: &str) -> anyhow::Result<String> {
    let ended = wait_until(Duration::from_secs(90), || {
        worker.report(commit).is_ok_and(|report| report.is_some())
            && worker.is_idle().is_ok_and(|idle| idle)
    });
    assert!(ended.is_ok(), "{when}: {}", worker.log_tail(40));
    let all = worker.reports(commit)?;
    let [report] = all.as_slice() else {
        panic!(
            "{when}: told {} times: {all:#?}\n{}",
            all.len(),
            worker.log_tail(60)
        );
    };
    Ok(report.outcome.clone())
}

fn killed_when(
    cluster: &Cluster,
    worker: &mut Worker,
    node: &str,
    says: &str,
    text: &str,
) -> anyhow::Result<String> {
    let commit = cluster.noted(&slow(), text, 2)?;
    cluster.push()?;
    worker.until(node, says)?;
    worker.kill()?;
    worker.restart()?;
    told(
        worker,
        &commit,
        &format!("killed when {node} said {says:?}"),
    )
}

fn begin() -> anyhow::Result<(Lab, Cluster, Worker)> {
    let lab = two_machines()?;
    let cluster = Cluster::with_note(&lab)?;
    let worker = cluster.worker()?;
    let commit = cluster.noted(&slow(), "slow", 2)?;
    cluster.push()?;
    assert_eq!(told(&worker, &commit, "to begin with")?, "rolled-out");
    Ok((lab, cluster, worker))
}

#[test]
#[ignore = "lab: needs root"]
fn a_worker_killed_on_the_way_out_is_followed_by_one_that_ends_the_roll() -> anyhow::Result<()> {
    let (lab, cluster, mut worker) = begin()?;
    let mut held = "slow".to_owned();
    for (node, says, untouched) in [
        ("vps1", "checks it", true),
        ("homelab", "is changed", false),
        ("homelab", "must stay healthy", false),
        ("homelab", "holds the new release", false),
        ("vps1", "is changed", false),
        ("vps1", "is probed", false),
    ] {
        let text = format!("{node} {says}").replace(' ', "-");
        let outcome = killed_when(&cluster, &mut worker, node, says, &text)?;
        match outcome.as_str() {
            "rolled-out" => held = text,
            // What was under way on a node may have ended with its worker, but nothing else goes back.
            "rolled-back" => assert!(!untouched, "{text}"),
            other => panic!("{text}: {other}"),
        }
        cluster.notes(&lab, &held)?;
        cluster.is_whole(&lab)?;
    }
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_worker_killed_on_the_way_back_is_followed_by_one_that_goes_all_the_way() -> anyhow::Result<()>
{
    let (lab, cluster, mut worker) = begin()?;
    lab.node("vps1").sh("touch /root/bad")?;
    for node in ["vps1", "homelab"] {
        let text = format!("bad-{node}");
        let outcome = killed_when(&cluster, &mut worker, node, "goes back", &text)?;
        assert_eq!(outcome, "rolled-back", "{node}");
        cluster.notes(&lab, "slow")?;
        cluster.is_whole(&lab)?;
        let report = worker.report(&cluster.head()?)?.expect("it was told");
        assert_eq!(report.value["failure"]["step"], "gates", "{}", report.text);
        assert!(worker.is_quarantined(&report)?, "{}", report.text);
    }
    Ok(())
}
