//! Reads what a node says of itself as the fate of this roll's attempt. The only way out of doubt: after a lost
//! answer the worker never guesses, it asks.

use super::event::Fate;
use crate::observed::{AttemptPhase, NodeState};

/// `fence` and `token` are this roll's.
pub fn fate(state: &NodeState, fence: u64, holder: &str, token: &str) -> Fate {
    if state.fence > fence || (state.fence == fence && state.holder != holder) {
        let message = format!("fence {} of {}", state.fence, state.holder);
        return Fate::Fenced { message };
    }
    let Some(attempt) = state.attempt.as_ref().filter(|a| a.token == token) else {
        return Fate::Untouched;
    };
    match attempt.phase {
        AttemptPhase::Staged => Fate::Untouched,
        AttemptPhase::Activating | AttemptPhase::RollingBack => Fate::Busy,
        AttemptPhase::Activated => Fate::Activated,
        AttemptPhase::Confirmed => Fate::Confirmed,
        AttemptPhase::RolledBack => Fate::WentBack {
            reason: attempt.reason.clone(),
        },
        AttemptPhase::Stuck => Fate::Stuck {
            message: attempt.reason.clone(),
        },
    }
}
