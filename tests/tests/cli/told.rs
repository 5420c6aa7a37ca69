//! One outcome, told the same everywhere, with the node, the gate and the last lines of the service's log: `roll`'s exit
//! code and JSON, `status`, the worker's log and its API.

use std::time::Duration;

use serde_json::Value;
use windlass_tests::cluster::{Cluster, Report};
use windlass_tests::lab::{Lab, LabSpec, wait_until};

use super::fits;

/// What must be told of a failed gate.
struct Failed {
    node: String,
    what: String,
    log: Vec<String>,
}

impl Failed {
    fn of(outcome: &Value) -> Self {
        let failure = &outcome["failure"];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let log = failure["log"].as_array().expect("lines");
        let failed = Self {
            node: text(&failure["node"]),
            what: text(&failure["what"]),
            log: log.iter().map(text).collect(),
        };
        assert_eq!(outcome["outcome"], "rolled-back");
        assert_eq!(failure["step"], "gates");
        assert!(failed.what.contains("blog"), "{}", failed.what);
        assert!(!failed.log.is_empty(), "no line of the service's log");
        failed
    }

    /// Words that must be found, free of what is escaped where it stands among others.
    fn words(&self) -> Vec<&str> {
        let last = self.log.last().map(String::as_str).unwrap_or_default();
        let plain = last.split(['"', '\\']).next().unwrap_or_default();
        vec!["rolled back", &self.node, &self.what, plain]
    }
}

#[test]
#[ignore = "lab: needs root"]
fn a_failed_gate_is_told_the_same_everywhere() -> anyhow::Result<()> {
    let lab = Lab::boot(&LabSpec::only(&["vps1", "homelab"]))?;
    let cluster = Cluster::make(&lab)?;
    cluster.write_site("blog", 8082)?;
    cluster.commit("Add the blog")?;
    cluster.says(&["roll", "--yes"])?.ended(0);

    cluster.replace("sites/blog.yaml", "/health", "/helth")?;
    cluster.commit("Move the health page")?;
    let rolled = cluster.says(&["roll", "--yes", "--format", "json"])?;
    let outcome = rolled.ended(1).json()?;
    fits("outcome", &outcome);
    let failed = Failed::of(&outcome);
    let status = cluster.says(&["status", "--format", "json"])?.ended(0);
    let status = status.json()?;
    fits("status", &status);
    let latest = &status["latest"];
    assert_eq!(latest["commit"], cluster.head()?.as_str());
    for key in ["outcome", "failure", "nodes", "kept"] {
        assert_eq!(latest[key], outcome[key], "{key}");
    }
    cluster
        .says(&["status"])?
        .ended(0)
        .names(&failed.words())
        .names(&["Move the health page", "the last turn was taken back: "]);

    by_the_worker(&cluster)
}

/// The same by the worker; another commit, because this one is not tried again.
fn by_the_worker(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.replace("sites/blog.yaml", "/helth", "/heelth")?;
    let commit = cluster.commit("Move it elsewhere")?;
    cluster.push()?;
    let mut worker = cluster.worker()?;
    let mut report: Option<Report> = None;
    wait_until(Duration::from_secs(120), || {
        report = worker.report(&commit).ok().flatten();
        report.is_some()
    })?;
    worker.kill()?;
    let api = report.expect("a report").value;
    let failed = Failed::of(&api);
    let log = worker.log_tail(usize::MAX);
    let line = log.lines().find(|line| line.contains("rolled back: "));
    let line = line.unwrap_or_else(|| panic!("the log does not tell it:\n{log}"));
    for word in failed.words() {
        assert!(line.contains(word), "{word:?} is not in {line}");
    }
    let state = cluster.dir().join("state").display().to_string();
    let status = cluster.says(&["status", "--state", &state, "--format", "json"])?;
    assert_eq!(status.ended(0).json()?["latest"], api);
    cluster
        .says(&["status", "--state", &state])?
        .ended(0)
        .names(&failed.words());
    Ok(())
}
