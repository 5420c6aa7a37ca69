//! Compares the nodes with the newest commit and changes nothing: the way of a roll up to its plan. What is found
//! leads to a sweep in the cluster's own lane, which looks again before it does anything.

use windlass_core::outcome::Outcome;

use super::deploy::Deploy;
use super::fleet::Fleet;
use super::looked::{Ended, Looked};
use super::remember::told_before;
use super::trouble::Trouble;
use crate::queue::EventKind;

/// What comparing showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// Nothing that was not told before; `behind`: a node is still away.
    AsKnown { behind: bool },
    /// There is something to do or to tell.
    Differs(String),
}

impl<F: Fleet> Deploy<F> {
    pub async fn compare(&self) -> Result<Compared, Trouble> {
        if self.newer.rolling() {
            return Err(Trouble::Later("a roll is under way".to_owned()));
        }
        let ended = match self.look(EventKind::Sweep).await? {
            Looked::Nothing => return Ok(Compared::AsKnown { behind: false }),
            Looked::Ended(ended) => *ended,
            Looked::Planned(planned) if planned.plan.turns.is_empty() => {
                let skipped = planned.plan.skipped.clone();
                planned.ended(Outcome::Unchanged { skipped })
            }
            Looked::Planned(planned) => {
                let nodes: Vec<&str> = planned
                    .plan
                    .turns
                    .keys()
                    .map(|node| node.as_str())
                    .collect();
                let words = format!("to be brought up to date: {}", nodes.join(", "));
                return self.found(Compared::Differs(words)).await;
            }
        };
        let latest = self.store.reports(Some(&self.cluster), 1).await?.pop();
        let Ended {
            commit, outcome, ..
        } = &ended;
        let compared = if latest.is_some_and(|latest| told_before(&latest, commit, outcome)) {
            let behind = match outcome {
                Outcome::Unchanged { skipped } => !skipped.is_empty(),
                _ => false,
            };
            Compared::AsKnown { behind }
        } else {
            Compared::Differs(format!("{} would be new", outcome.word()))
        };
        self.found(compared).await
    }

    async fn found(&self, compared: Compared) -> Result<Compared, Trouble> {
        let words = match &compared {
            Compared::AsKnown { behind: false } => "as it was told last",
            Compared::AsKnown { behind: true } => "a node is still away",
            Compared::Differs(words) => words,
        };
        self.store.compared(&self.cluster, words).await?;
        Ok(compared)
    }
}
