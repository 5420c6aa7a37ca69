//! Runs the checks of a whole bundle, each distinct one once: nodes that get the same files share a run, and what
//! was run before is remembered. The judging is the core's.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use windlass_core::check::{Ended, judge, merged};
use windlass_core::codes::checks;
use windlass_core::finding::{Finding, Findings, Location, Severity};
use windlass_core::ids::{ComponentName, Digest, NodePath};
use windlass_core::release::{Bundle, Check, CheckOn, Release};

use super::remembered::Remembered;
use super::sandbox::Sandbox;
use super::tree::Candidate;

/// The caller's wish to stop was followed; nothing is known of the candidate.
#[derive(Debug, thiserror::Error)]
#[error("the checks were cancelled")]
pub struct Cancelled;

/// One more check has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub done: usize,
    pub total: usize,
    pub label: String,
    /// Known from an earlier run.
    pub remembered: bool,
}

#[derive(Debug)]
pub struct Checker {
    sandbox: Sandbox,
    parallel: usize,
}

/// One distinct check: what to run, and for whom to judge it.
struct Job<'a> {
    check: &'a Check,
    candidate: Candidate,
    /// All of them hold the same files as far as the check can see.
    releases: Vec<&'a Release>,
}

impl Checker {
    pub fn new(sandbox: Sandbox) -> Self {
        // One more than processors: while a sandbox is set up it mostly waits for the kernel.
        let parallel = std::thread::available_parallelism().map_or(2, usize::from) + 1;
        Self { sandbox, parallel }
    }

    /// Runs every check of the bundle that is meant for the worker.
    pub async fn run(
        &self,
        bundle: &Bundle,
        remembered: &Remembered,
        progress: &(dyn Fn(Progress) + Sync),
        cancel: &CancellationToken,
    ) -> Result<Findings, Cancelled> {
        let (jobs, mut findings) = jobs(bundle);
        if jobs.is_empty() {
            return Ok(merged(findings).sorted());
        }
        if let Err(why) = self.sandbox.available().await {
            findings.push(not_run(&why, jobs.len()));
            return Ok(merged(findings).sorted());
        }
        let mut tally = Tally {
            jobs: &jobs,
            findings,
            progress,
            done: 0,
            without: Vec::new(),
        };
        let mut waiting = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            match remembered.get(&job.candidate.digest) {
                Some((status, output)) => tally.take(index, &Ended::Exit(status), &output, true),
                None => waiting.push((index, job)),
            }
        }
        let mut waiting = waiting.into_iter();
        let mut running = JoinSet::new();
        loop {
            let free = self.parallel.saturating_sub(running.len());
            for (index, job) in waiting.by_ref().take(free) {
                let (sandbox, candidate) = (self.sandbox.clone(), job.candidate.clone());
                let timeout = Duration::from_secs(u64::from(job.check.command.timeout));
                running.spawn(async move { (index, sandbox.run(&candidate, timeout).await) });
            }
            let ended = tokio::select! {
                () = cancel.cancelled() => {
                    running.shutdown().await;
                    return Err(Cancelled);
                }
                ended = running.join_next() => ended,
            };
            let Some(ended) = ended else { break };
            match ended {
                Ok((index, Ok((ended, output)))) => {
                    tally.remember(index, &ended, &output, remembered);
                    tally.take(index, &ended, &output, false);
                }
                // It worked when the first of them began.
                Ok((_, Err(why))) => tally.without.push(why),
                Err(error) => tally.findings.push(Finding::error(
                    checks::CHECK_KILLED,
                    format!("a check ended without a result: {error}"),
                )),
            }
        }
        Ok(tally.end())
    }
}

/// What is known so far of one run over the bundle.
struct Tally<'a> {
    jobs: &'a [Job<'a>],
    findings: Findings,
    progress: &'a (dyn Fn(Progress) + Sync),
    done: usize,
    /// Why those found no sandbox that did not.
    without: Vec<String>,
}

impl Tally<'_> {
    fn take(&mut self, index: usize, ended: &Ended, output: &str, remembered: bool) {
        let Some(job) = self.jobs.get(index) else {
            return;
        };
        self.findings.extend(judged(job, ended, output));
        self.done += 1;
        (self.progress)(Progress {
            done: self.done,
            total: self.jobs.len(),
            label: job.check.command.label.clone(),
            remembered,
        });
    }

    fn end(mut self) -> Findings {
        if let Some(why) = self.without.first() {
            self.findings.push(not_run(why, self.without.len()));
        }
        merged(self.findings).sorted()
    }

    /// Only what the program itself said; a missing program may be installed by the next time.
    fn remember(&self, index: usize, ended: &Ended, output: &str, remembered: &Remembered) {
        if let (Some(job), Ended::Exit(status)) = (self.jobs.get(index), ended)
            && *status != 127
        {
            remembered.put(job.candidate.digest, *status, output);
        }
    }
}

/// The distinct checks, those with most to read first, and findings for those that cannot run.
fn jobs(bundle: &Bundle) -> (Vec<Job<'_>>, Findings) {
    let mut jobs: BTreeMap<Digest, Job<'_>> = BTreeMap::new();
    let mut findings = Findings::default();
    for release in bundle.releases.values() {
        for component in &release.meta.components {
            for check in &component.checks {
                if check.on == CheckOn::Node {
                    continue;
                }
                match Candidate::of(check, component, release) {
                    Ok(candidate) => jobs
                        .entry(candidate.digest)
                        .or_insert_with(|| Job {
                            check,
                            candidate,
                            releases: Vec::new(),
                        })
                        .releases
                        .push(release),
                    Err(path) => findings.push(not_placeable(&component.name, &path)),
                }
            }
        }
    }
    let mut jobs: Vec<Job<'_>> = jobs.into_values().collect();
    // Begun last, what takes longest would keep everybody waiting alone.
    jobs.sort_by_key(|job| Reverse(job.candidate.bytes()));
    (jobs, findings)
}

fn judged(job: &Job<'_>, ended: &Ended, output: &str) -> Vec<Finding> {
    let Some(release) = job.releases.first() else {
        return Vec::new();
    };
    let found = judge(job.check, ended, output, release);
    found
        .into_iter()
        .map(|mut finding| {
            if job.releases.len() > 1 {
                finding.node = None;
            }
            // The nodes have the program and ask it again before anything changes.
            if finding.code == checks::CHECK_PROGRAM_MISSING && job.check.on == CheckOn::Both {
                finding.severity = Severity::Warning;
            }
            finding
        })
        .collect()
}

fn not_run(why: &str, count: usize) -> Finding {
    // A warning stops no roll, and the report of a roll that went well does not carry it.
    tracing::warn!("{count} checks were not run on this machine [WL306]: {why}");
    no_sandbox(why, count)
}

fn no_sandbox(why: &str, count: usize) -> Finding {
    let message = format!("{count} checks were not run here: {why}");
    Finding::warning(checks::NO_SANDBOX, message)
        .hint("apt-get install bubblewrap; `windlass explain WL306` says more")
}

fn not_placeable(component: &ComponentName, path: &NodePath) -> Finding {
    let definition = format!("components/{component}/component.yaml");
    Finding::error(
        checks::CHECK_PATH,
        format!("{path} cannot be shown to the checks of {component}"),
    )
    .at(Location::file(definition))
    .of(component)
    .hint("use a path below /etc or /usr/local, or give the check `on: node`")
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
