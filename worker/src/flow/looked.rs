//! Where the flow came to: by looking alone, and at its end.

use std::sync::Arc;

use windlass_core::ids::Digest;
use windlass_core::outcome::Outcome;
use windlass_core::plan::Plan;
use windlass_core::release::Bundle;

use super::turn::Forsaken;
use crate::queue::Event;

/// What looking came to, before anything is done.
pub(super) enum Looked<N> {
    /// It was dealt with before.
    Nothing,
    Ended(Box<Ended>),
    Planned(Box<Planned<N>>),
}

pub(super) struct Planned<N> {
    pub(super) bundle: Arc<Bundle>,
    pub(super) plan: Plan,
    pub(super) nodes: Arc<N>,
    /// Another roll that is to be ended first.
    pub(super) forsaken: Option<Forsaken>,
}

impl<N> Planned<N> {
    pub(super) fn ended(&self, outcome: Outcome) -> Ended {
        Ended {
            roll: None,
            commit: self.plan.commit.clone(),
            subject: self.plan.subject.clone(),
            bundle: Some(self.plan.bundle),
            reviewed: self.plan.reviewed,
            outcome,
        }
    }
}

/// Where the flow came to.
pub(super) enum Flowed {
    /// It was dealt with before.
    Nothing,
    Ended(Ended),
    /// A roll's next turn.
    Next(Event),
}

/// What the flow came to, before it is remembered.
pub(super) struct Ended {
    /// Names the roll, where several workers may come to tell of it.
    pub(super) roll: Option<String>,
    pub(super) commit: String,
    pub(super) subject: String,
    pub(super) bundle: Option<Digest>,
    /// What a review of it can show.
    pub(super) reviewed: Option<Digest>,
    pub(super) outcome: Outcome,
}
