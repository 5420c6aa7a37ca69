//! The end of the flow: one report, told the same everywhere, and what follows from it for the next time.

use jiff::Timestamp;
use windlass_core::finding::{Findings, Severity};
use windlass_core::ids::NodeName;
use windlass_core::outcome::{Failure, Outcome};
use windlass_core::plan::Skipped;
use windlass_core::preview::repeats;

use super::deploy::{Answered, Deploy};
use super::fleet::Fleet;
use super::looked::{Ended, Flowed};
use super::trouble::Trouble;
use super::turn::Handover;
use crate::queue::{Event, EventKind};
use crate::store::reports::Report;

impl<F: Fleet> Deploy<F> {
    pub(super) async fn answer(
        &self,
        flowed: Flowed,
        event: &Event,
        trigger: &str,
        started: Timestamp,
    ) -> Result<Answered, Trouble> {
        let mut answered = Answered::default();
        match flowed {
            Flowed::Nothing => {}
            Flowed::Ended(ended) => {
                let report = self.remember(ended, trigger, started).await?;
                answered.then = self.follows(&report, event);
                answered.report = Some(report);
            }
            Flowed::Next(turn) => answered.then = Some(turn),
        }
        Ok(answered)
    }

    /// What a roll was called off for may wait in the queue for another attempt, and comes at once. It is one event, also
    /// where the roll is told once more.
    pub(super) fn follows(&self, report: &Report, event: &Event) -> Option<Event> {
        let stopped = self.handover == Handover::Never && self.stop.is_cancelled();
        if stopped || !report.outcome.was_called_off() {
            return None;
        }
        let after = report.roll.as_ref().unwrap_or(&event.id);
        let id = format!("{after}-newer");
        Some(Event::new(EventKind::Moved, "/roll", &self.cluster, id))
    }

    /// Stores and logs how it ended, unless the same was told before.
    pub(super) async fn remember(
        &self,
        ended: Ended,
        trigger: &str,
        started: Timestamp,
    ) -> Result<Report, Trouble> {
        if let Some(roll) = &ended.roll
            && let Some(told) = self.store.report_of(roll).await?
        {
            return Ok(told);
        }
        if let Outcome::RolledOut { .. } | Outcome::Unchanged { .. } = &ended.outcome {
            self.store.rolled(&self.cluster, &ended.commit).await?;
        }
        if let Some(bundle) = ended.bundle
            && ended.outcome.quarantines()
        {
            let reason = in_words(&ended.outcome);
            self.store
                .quarantine(&self.cluster, bundle, &reason)
                .await?;
        }
        let report = Report {
            id: 0,
            roll: ended.roll,
            cluster: self.cluster.clone(),
            commit: ended.commit,
            subject: ended.subject,
            bundle: ended.bundle,
            reviewed: ended.reviewed,
            trigger: trigger.to_owned(),
            started,
            ended: Timestamp::now(),
            outcome: ended.outcome,
        };
        let latest = self.store.reports(Some(&self.cluster), 1).await?.pop();
        if latest.is_some_and(|latest| told_before(&latest, &report.commit, &report.outcome)) {
            tracing::debug!(cluster = %self.cluster, outcome = report.outcome.word(), "as before");
            self.store.told(&self.cluster).await?;
            return Ok(report);
        }
        let report = self.store.add_report(report).await?;
        log(&report);
        Ok(report)
    }
}

/// A sweep finds the same again and again.
pub(super) fn told_before(latest: &Report, commit: &str, outcome: &Outcome) -> bool {
    if latest.commit != commit {
        return false;
    }
    match (&latest.outcome, outcome) {
        (
            Outcome::RolledOut {
                skipped: before, ..
            }
            | Outcome::Unchanged { skipped: before },
            Outcome::Unchanged { skipped },
        ) => same_nodes(before, skipped),
        (before @ Outcome::Refused { .. }, after) => before == after,
        // Why it went back was told, and that it therefore waits as well.
        (Outcome::RolledBack { .. }, after) => repeats(after),
        _ => false,
    }
}

/// Why a node cannot be reached is told in changing words.
fn same_nodes(before: &[Skipped], now: &[Skipped]) -> bool {
    let names = |skipped: &[Skipped]| -> Vec<NodeName> {
        skipped.iter().map(|each| each.node.clone()).collect()
    };
    names(before) == names(now)
}

fn log(report: &Report) {
    let commit = report.commit.get(..12).unwrap_or(&report.commit);
    let words = in_words(&report.outcome);
    let (cluster, roll, outcome) = (&report.cluster, report.id, report.outcome.word());
    let (trigger, subject) = (&report.trigger, &report.subject);
    match &report.outcome {
        Outcome::Unchanged { .. }
        | Outcome::RolledOut { .. }
        | Outcome::Overtaken { .. }
        | Outcome::TakenBack { .. } => {
            tracing::info!(%cluster, roll, commit, subject, trigger, outcome, "{words}");
        }
        Outcome::Refused { .. } => {
            tracing::warn!(%cluster, roll, commit, subject, trigger, outcome, "{words}");
        }
        Outcome::RolledBack { failure, .. } => {
            let said = last_lines(Some(failure));
            tracing::warn!(%cluster, roll, commit, subject, trigger, outcome, said, "{words}");
        }
        Outcome::Stuck { failure, .. } => {
            let said = last_lines(failure.as_ref());
            tracing::error!(%cluster, roll, commit, subject, trigger, outcome, said, "{words}");
        }
    }
}

/// What the service said last; a field's value is escaped by whatever writes it.
fn last_lines(failure: Option<&Failure>) -> Option<String> {
    failure
        .filter(|failure| !failure.log.is_empty())
        .map(|failure| failure.log.join("\n"))
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Unchanged { skipped } => format!("unchanged{}", behind(skipped)),
        Outcome::RolledOut { nodes, skipped } => {
            format!("rolled out to {}{}", list(nodes), behind(skipped))
        }
        Outcome::RolledBack { failure, kept, .. } => {
            let kept = if kept.is_empty() {
                String::new()
            } else {
                format!("; {} kept the new release", list(kept))
            };
            format!("rolled back: {}{kept}", failed(failure))
        }
        Outcome::Overtaken { by, nodes, left } => {
            let by = by.get(..12).unwrap_or(by);
            let nodes = if nodes.is_empty() {
                "no node".to_owned()
            } else {
                list(nodes)
            };
            let left = list(left);
            format!("overtaken: {by} is rolled instead; {nodes} had their turn, {left} had not")
        }
        Outcome::TakenBack { nodes } => format!("taken back on {}", list(nodes)),
        Outcome::Refused { findings } => format!("refused: {}", first(findings)),
        Outcome::Stuck { nodes, failure } => {
            let each = nodes
                .iter()
                .map(|stuck| format!("{}: {} ({})", stuck.node, stuck.why, stuck.mend));
            let each: Vec<String> = failure.iter().map(failed).chain(each).collect();
            format!("stuck, a person must act: {}", each.join("; "))
        }
    }
}

fn failed(failure: &Failure) -> String {
    format!("{} on {}: {}", failure.what, failure.node, failure.message)
}

fn behind(skipped: &[Skipped]) -> String {
    let each = skipped
        .iter()
        .map(|Skipped { node, why }| format!("; {node} was skipped and is behind: {why}"));
    each.collect()
}

fn list(nodes: &[NodeName]) -> String {
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    names.join(", ")
}

/// The first error stands for all; the API has the rest.
fn first(findings: &Findings) -> String {
    let errors: Vec<_> = findings
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .collect();
    let Some(first) = errors.first() else {
        return "no finding says why".to_owned();
    };
    let place = first
        .at
        .as_ref()
        .map_or_else(String::new, |at| format!("{}:{}: ", at.file, at.line));
    let more = match errors.len() {
        1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    format!("{place}{} [{}]{more}", first.message, first.code)
}
