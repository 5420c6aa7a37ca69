//! kill -9 and Ctrl-C of the program all through a roll, on real machines: whatever it was doing, the next roll finishes
//! it or goes back, and every node holds one whole release. It is killed after each line of its progress, in four tests
//! that take every fourth; the driver's own tests kill it at every single write of its journal, on a fleet in memory.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use windlass_tests::cluster::Cluster;
use windlass_tests::lab::{Lab, LabSpec};

/// Runs the roll and sends it a signal after so many lines of progress. How it ended, and the progress after that.
fn signalled(
    cluster: &Cluster,
    lines: usize,
    signal: &str,
) -> anyhow::Result<(ExitStatus, String)> {
    let mut roll: Command = cluster.windlass(&["roll", "--yes"]);
    let mut child = roll.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let stderr = child.stderr.take().expect("stderr was piped");
    let mut progress = BufReader::new(stderr).lines().map_while(Result::ok);
    if progress.by_ref().take(lines).count() == lines {
        let pid = child.id().to_string();
        Command::new("kill").args([signal, &pid]).status()?;
    }
    let rest: Vec<String> = progress.collect();
    Ok((child.wait()?, rest.join("\n")))
}

/// Runs the roll and kills it after so many lines of progress; `false` when it ended before that.
fn killed_after(cluster: &Cluster, lines: usize) -> anyhow::Result<bool> {
    let (status, _) = signalled(cluster, lines, "-KILL")?;
    // A program that had ended by itself before the signal came was not killed.
    Ok(status.code().is_none())
}

/// The digest of the release that each node holds.
fn held(lab: &Lab) -> anyhow::Result<Vec<String>> {
    let read = "basename \"$(readlink /var/lib/windlass/current)\"";
    lab.nodes().iter().map(|node| node.sh(read)).collect()
}

fn assert_whole(lab: &Lab, cluster: &Cluster, when: &str) {
    let whole = cluster.is_whole(lab);
    whole.unwrap_or_else(|error| panic!("{when}: {error:#}"));
}

#[test]
#[ignore = "lab: needs root"]
fn a_roll_killed_after_lines_1_5_9_is_finished_or_taken_back_by_the_next() -> anyhow::Result<()> {
    killed_from(1)
}

#[test]
#[ignore = "lab: needs root"]
fn a_roll_killed_after_lines_2_6_10_is_finished_or_taken_back_by_the_next() -> anyhow::Result<()> {
    killed_from(2)
}

#[test]
#[ignore = "lab: needs root"]
fn a_roll_killed_after_lines_3_7_11_is_finished_or_taken_back_by_the_next() -> anyhow::Result<()> {
    killed_from(3)
}

#[test]
#[ignore = "lab: needs root"]
fn a_roll_killed_after_lines_4_8_12_is_finished_or_taken_back_by_the_next() -> anyhow::Result<()> {
    killed_from(4)
}

#[test]
#[ignore = "lab: needs root"]
fn ctrl_c_leaves_every_node_at_its_old_release_and_the_next_roll_goes_on() -> anyhow::Result<()> {
    let (lab, cluster) = rolled_out()?;
    let before = held(&lab)?;
    for (nth, lines) in [1, 5, 9].into_iter().enumerate() {
        cluster.write_site(&format!("site{nth}"), u16::try_from(8100 + nth)?)?;
        cluster.commit(&format!("Add site {nth}"))?;
        let (status, said) = signalled(&cluster, lines, "-INT")?;
        let when = format!("Ctrl-C after {lines} lines");
        assert_eq!(status.code(), Some(1), "{when}: {said}");
        assert_eq!(held(&lab)?, before, "{when}: {said}");
        assert_whole(&lab, &cluster, &when);
    }
    cluster
        .says(&["roll", "--yes"])?
        .ended(0)
        .names(&["rolled out"]);
    assert_ne!(held(&lab)?, before);
    Ok(())
}

/// Two machines that hold a release.
fn rolled_out() -> anyhow::Result<(Lab, Cluster)> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "homelab"]))?;
    let cluster = Cluster::make(&lab)?;
    // Each roll is ended early and rolled again; what only takes time would be multiplied by the steps.
    cluster.replace(
        "cluster.yaml",
        "min_healthy_time: 1s",
        "min_healthy_time: 0s",
    )?;
    cluster.commit("Hold nothing")?;
    cluster.says(&["roll", "--yes"])?.ended(0);
    Ok((lab, cluster))
}

/// Kills one roll after another, each four lines later than the one before, until one comes to its end.
fn killed_from(first: usize) -> anyhow::Result<()> {
    let (lab, cluster) = rolled_out()?;
    let mut killed = 0;
    for lines in (first..).step_by(4) {
        assert!(lines < 200, "the roll never ended");
        cluster.write_site(&format!("site{lines}"), u16::try_from(8100 + lines)?)?;
        cluster.commit(&format!("Add site {lines}"))?;
        if !killed_after(&cluster, lines)? {
            break;
        }
        killed += 1;
        let when = format!("killed after {lines} lines");
        let next = cluster.windlass(&["roll", "--yes", "--retry"]).output()?;
        assert!(
            next.status.success(),
            "{when}: {}\n{}",
            String::from_utf8_lossy(&next.stdout),
            String::from_utf8_lossy(&next.stderr)
        );
        assert_whole(&lab, &cluster, &when);
        let head = cluster.windlass(&["plan"]).output()?;
        assert!(
            head.status.success(),
            "{when}: {}",
            String::from_utf8_lossy(&head.stdout)
        );
    }
    assert!(killed > 5, "only {killed} steps were seen");
    Ok(())
}
