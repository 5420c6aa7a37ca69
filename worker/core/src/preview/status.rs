//! The commit status: one line per cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Preview, Verdict, after};
use crate::ids::ClusterName;
use crate::outcome::Outcome;
use crate::report::visible::clean;

/// GitHub takes no more; the others take more.
const LONGEST: usize = 140;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Pending,
    Success,
    /// The request is not good.
    Failure,
    /// Windlass could not tell, or a person must act.
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    pub state: State,
    /// One line, at most 140 characters.
    pub description: String,
    /// "windlass/CLUSTER".
    pub context: String,
}

impl Status {
    pub(super) fn new(cluster: &ClusterName, state: State, description: &str) -> Self {
        let mut text: String = description.chars().take(LONGEST).collect();
        if description.chars().count() > LONGEST {
            text = text.chars().take(LONGEST - 1).collect();
            text.push('…');
        }
        Self {
            state,
            description: text,
            context: format!("windlass/{cluster}"),
        }
    }
}

pub fn status(preview: &Preview) -> Status {
    let state = match &preview.verdict {
        Verdict::Checking | Verdict::Withheld { .. } => State::Pending,
        Verdict::NoChange | Verdict::WouldChange { .. } => State::Success,
        Verdict::Refused | Verdict::Conflicted { .. } => State::Failure,
        Verdict::NotRun { .. } | Verdict::Failed { .. } => State::Error,
    };
    match &preview.held {
        None => Status::new(&preview.cluster, state, &preview.headline()),
        Some(who) => {
            let words = format!("held by {who}; {}", preview.headline());
            Status::new(&preview.cluster, State::Pending, &words)
        }
    }
}

/// Merged, and not rolled yet.
pub fn status_merged(cluster: &ClusterName, held: Option<&str>) -> Status {
    match held {
        None => Status::new(
            cluster,
            State::Pending,
            "merged; how it is rolled is told here",
        ),
        Some(who) => Status::new(
            cluster,
            State::Pending,
            &format!("merged, and held by {who} until it is released"),
        ),
    }
}

pub fn status_after(preview: &Preview, outcome: &Outcome) -> Status {
    let state = match outcome {
        _ if after::waits(outcome) => State::Pending,
        // The roll of the newer commit brings it, and tells.
        Outcome::Overtaken { .. } => State::Pending,
        Outcome::Unchanged { .. } | Outcome::RolledOut { .. } => State::Success,
        Outcome::RolledBack { .. } | Outcome::TakenBack { .. } | Outcome::Refused { .. } => {
            State::Failure
        }
        Outcome::Stuck { .. } => State::Error,
    };
    let held = after::held(outcome).map(|held| held.message.clone());
    let words = match outcome {
        // A status is plain text: other than in a comment's first line, the gate can be named.
        Outcome::RolledBack { failure, .. } => {
            let (step, what) = (after::step(failure), clean(&failure.what));
            format!("{} ({}, {step}: {what})", outcome.word(), failure.node)
        }
        _ => after::headline(outcome),
    };
    Status::new(&preview.cluster, state, &held.unwrap_or(words))
}
