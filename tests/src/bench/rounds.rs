//! The rounds: in each, every tool does every scenario once, one after the other on the same nodes. The order
//! rotates, so that no tool always comes first.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use super::nodes;
use super::numbers::{Spread, millis, shown};
use super::tool::{Scenario, Tool};
use super::workspace::Workspace;
use crate::lab::Lab;

/// One tool in one scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    pub tool: Tool,
    pub scenario: Scenario,
    /// Absent where no run succeeded.
    pub time: Option<Spread>,
    /// To the floor's median.
    pub ratio: Option<f64>,
    pub failed: usize,
    /// Why the last failed run did.
    pub why: Option<String>,
}

#[derive(Default)]
struct Runs {
    times: Vec<f64>,
    failed: usize,
    why: Option<String>,
}

/// Runs the rounds. A tool that fails is told of in the result and does not end the others' rounds.
pub fn compare(
    lab: &Lab,
    work: &mut Workspace,
    tools: &[Tool],
    rounds: usize,
    logs: &Path,
) -> Result<Vec<Measured>> {
    fs::create_dir_all(logs)?;
    work.set_version("prepared")?;
    nodes::prepare(lab, work, tools)?;
    let mut runs: BTreeMap<(Scenario, Tool), Runs> = BTreeMap::new();
    if tools.contains(&Tool::Windlass) {
        first_roll(lab, work, logs)?;
    }
    for round in 0..rounds {
        let mut order = tools.to_vec();
        order.rotate_left(round % tools.len().max(1));
        for scenario in Scenario::ALL {
            match scenario {
                Scenario::Change => work.set_version(&format!("v{round}"))?,
                Scenario::Nothing => {}
                Scenario::Diff => work.set_version(&format!("v{round}-next"))?,
            }
            for tool in &order {
                let log = logs.join(format!("{}-{}-{round}.log", tool.word(), scenario.word()));
                let entry = runs.entry((scenario, *tool)).or_default();
                match run(lab, work, *tool, scenario, &log) {
                    Ok(time) => {
                        eprintln!(
                            "bench: round {}: {}, {}: {}",
                            round + 1,
                            tool.title(),
                            scenario.word(),
                            shown(time)
                        );
                        entry.times.push(time);
                    }
                    Err(error) => {
                        eprintln!(
                            "bench: round {}: {}, {}: FAILED: {error:#}",
                            round + 1,
                            tool.title(),
                            scenario.word()
                        );
                        entry.failed += 1;
                        entry.why = Some(format!("{error:#}"));
                    }
                }
            }
        }
    }
    Ok(summed(&runs))
}

/// Windlass takes new nodes over; every other tool finds its files there already.
fn first_roll(lab: &Lab, work: &Workspace, logs: &Path) -> Result<()> {
    let log = logs.join("windlass-first.log");
    if let Err(error) = run(lab, work, Tool::Windlass, Scenario::Change, &log) {
        eprintln!("bench: Windlass cannot take the nodes over: {error:#}");
    }
    Ok(())
}

fn run(lab: &Lab, work: &Workspace, tool: Tool, scenario: Scenario, log: &Path) -> Result<f64> {
    let out = File::create(log)?;
    let mut command = tool.command(scenario, work);
    command
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out);
    let start = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let time = millis(start.elapsed());
    if !status.success() {
        anyhow::bail!("{status}, see {}", log.display());
    }
    if scenario == Scenario::Change {
        nodes::verify(lab, work, tool)?;
    }
    Ok(time)
}

fn summed(runs: &BTreeMap<(Scenario, Tool), Runs>) -> Vec<Measured> {
    let floor = |scenario| {
        let runs = runs.get(&(scenario, Tool::Floor))?;
        Spread::of(&runs.times).map(|time| time.median)
    };
    runs.iter()
        .map(|((scenario, tool), runs)| {
            let time = Spread::of(&runs.times);
            let ratio = time
                .as_ref()
                .zip(floor(*scenario))
                .map(|(own, floor)| own.median / floor);
            Measured {
                tool: *tool,
                scenario: *scenario,
                time,
                ratio,
                failed: runs.failed,
                why: runs.why.clone(),
            }
        })
        .collect()
}
