//! The commands that look at the nodes: `status` and `drift`.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use windlass_core::observed::{AttemptPhase, DriftKind, Drifted, NodeState, Observed, Seen};
use windlass_core::report::{self, visible::clean};

use super::Exit;
use super::cert::told;
use super::history::{self, Unfinished};
use super::session::Session;
use crate::certificates::{self, CertificateView};
use crate::roll::observe;
use crate::store::reports::Report;

/// What the nodes hold, what they serve, and how the last roll ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Status {
    #[serde(flatten)]
    observed: Observed,
    certificates: Vec<CertificateView>,
    /// Of this state directory; absent where it knows of none.
    latest: Option<Report>,
    /// Begun, and not over: under way, or left by one who died.
    unfinished: Option<Unfinished>,
}

/// Asks every node of the working tree's definitions; `None` where those are broken.
async fn observe(session: &Session<'_>) -> anyhow::Result<Option<Observed>> {
    let Some(model) = session.model()? else {
        return Ok(None);
    };
    let nodes = session.nodes(&model)?;
    Ok(Some(
        observe::all(&nodes, model.nodes.keys().cloned()).await,
    ))
}

pub(super) async fn status(session: &Session<'_>) -> anyhow::Result<Exit> {
    let Some(model) = session.model()? else {
        return Ok(Exit::Findings);
    };
    let (nodes, prober) = (session.nodes(&model)?, session.prober()?);
    let given = session.given();
    let (observed, certificates) = tokio::join!(
        observe::all(&nodes, model.nodes.keys().cloned()),
        certificates::seen_from_outside(&prober, &model, given),
    );
    let history = history::read(session, &model.cluster.name).await;
    let status = Status {
        observed,
        certificates,
        latest: history.latest,
        unfinished: history.unfinished,
    };
    session.output.result(&status, || {
        let mut text = table(&status.observed);
        if !status.certificates.is_empty() {
            text.push_str(&certificates::outside(&status.certificates));
        }
        text.push_str(&told_last(&status));
        text
    })?;
    let observed = &status.observed;
    let served = told(
        session.output,
        status.certificates.iter().map(|view| &view.findings),
    );
    let states = || observed.nodes.values().filter_map(state_of);
    if states().any(|state| phase(state) == Some(AttemptPhase::Stuck)) {
        return Ok(Exit::Stuck);
    }
    let fine =
        states().count() == observed.nodes.len() && states().all(|state| state.drift.is_empty());
    Ok(if fine { served } else { Exit::Findings })
}

/// What a node said, where it answered.
pub(super) fn state_of(seen: &Seen) -> Option<&NodeState> {
    match seen {
        Seen::State(state) => Some(state),
        Seen::Unreachable(_) | Seen::Refused(_) => None,
    }
}

fn told_last(status: &Status) -> String {
    let mut text = String::new();
    if let Some(report) = &status.latest {
        let of = Some((report.commit.as_str(), report.subject.as_str()));
        _ = write!(
            text,
            "\nThe last roll ({}, ended {}):\n{}",
            report.trigger,
            report.ended.strftime("%Y-%m-%d %H:%M:%S UTC"),
            report::roll::text(&report.outcome, of)
        );
    }
    if let Some(Unfinished { commit, subject }) = &status.unfinished {
        let commit: String = commit.chars().take(12).collect();
        _ = writeln!(
            text,
            "\nA roll of {commit} {} is not over: it is under way, or the next `windlass roll` finishes it first",
            clean(subject)
        );
    }
    text
}

fn phase(state: &NodeState) -> Option<AttemptPhase> {
    state.attempt.as_ref().map(|attempt| attempt.phase)
}

fn table(observed: &Observed) -> String {
    let mut text = format!(
        "{:<14}{:<15}{:<14}{}\n",
        "NODE", "RELEASE", "COMMIT", "STATE"
    );
    for (node, seen) in &observed.nodes {
        _ = match seen {
            Seen::Unreachable(why) => {
                writeln!(
                    text,
                    "{node:<14}{:<15}{:<14}unreachable: {}",
                    "-",
                    "-",
                    clean(why)
                )
            }
            Seen::Refused(why) => {
                writeln!(
                    text,
                    "{node:<14}{:<15}{:<14}refused: {}",
                    "-",
                    "-",
                    clean(why)
                )
            }
            Seen::State(state) => {
                let (release, commit) = match &state.current {
                    Some(current) => (
                        current.digest.short(),
                        current.commit.chars().take(12).collect(),
                    ),
                    None => ("none".to_owned(), "-".to_owned()),
                };
                writeln!(text, "{node:<14}{release:<15}{commit:<14}{}", words(state))
            }
        };
    }
    text
}

/// What a person wants to know of a node in a few words.
fn words(state: &NodeState) -> String {
    let attempt = state.attempt.as_ref();
    let reason = attempt
        .map(|attempt| clean(&attempt.reason))
        .unwrap_or_default();
    let turn = match attempt.map(|attempt| attempt.phase) {
        None | Some(AttemptPhase::Confirmed | AttemptPhase::Staged) => "ok".to_owned(),
        Some(AttemptPhase::Activating) => "in its turn: being changed".to_owned(),
        Some(AttemptPhase::Activated) => "in its turn: changed, not confirmed yet".to_owned(),
        Some(AttemptPhase::RollingBack) => "going back".to_owned(),
        Some(AttemptPhase::RolledBack) => format!("ok; the last turn was taken back: {reason}"),
        Some(AttemptPhase::Stuck) => format!("STUCK: {reason}"),
    };
    if state.drift.is_empty() {
        turn
    } else {
        format!("{turn}; {} files drifted", state.drift.len())
    }
}

pub(super) async fn drift(session: &Session<'_>) -> anyhow::Result<Exit> {
    let Some(observed) = observe(session).await? else {
        return Ok(Exit::Findings);
    };
    let mut drifted = Vec::new();
    let mut silent = 0;
    for (node, seen) in &observed.nodes {
        match seen {
            Seen::State(state) => {
                drifted.extend(state.drift.iter().map(|(path, kind)| Drifted {
                    node: node.clone(),
                    path: path.clone(),
                    kind: *kind,
                }));
            }
            Seen::Unreachable(why) | Seen::Refused(why) => {
                silent += 1;
                session
                    .output
                    .error(&format!("{node} cannot be asked: {why}"));
            }
        }
    }
    session.output.result(&drifted, || {
        if drifted.is_empty() {
            return "no drift\n".to_owned();
        }
        let mut text = String::new();
        for file in &drifted {
            let what = match file.kind {
                DriftKind::Modified => "was changed",
                DriftKind::Missing => "is missing",
                DriftKind::Attributes => "has another mode or owner",
            };
            _ = writeln!(text, "{}: {} {what}", file.node, file.path);
        }
        text.push_str(
            "\nBring what was changed by hand into the repository, or let the next roll replace it:\n  \
             windlass adopt NODE [PATH…]    a copy is kept on the node\n",
        );
        text
    })?;
    Ok(if drifted.is_empty() && silent == 0 {
        Exit::Done
    } else {
        Exit::Findings
    })
}
