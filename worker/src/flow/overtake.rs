//! Ends a roll that nobody goes on with, so that another can begin and every roll has an outcome. Its messages may be
//! lost, or its worker may still be at it somewhere. So its nodes are claimed first, for a turn after all that it can
//! have: from then on whatever comes of it is behind, and is dropped or refused. Then the outcome is told, and at last the
//! nodes are claimed as let go. Who dies in between leaves a roll that is under way, and whoever ends it then tells
//! the same.

use jiff::Timestamp;
use windlass_core::fence::{Claim, TurnId};
use windlass_core::outcome::Outcome;

use super::deploy::Deploy;
use super::fleet::Fleet;
use super::looked::{Ended, Planned};
use super::trouble::Trouble;
use super::turn::Forsaken;
use crate::ports::{Fence, NodeError, NodeWriter as _};
use crate::queue::Event;

impl<F: Fleet> Deploy<F> {
    pub(super) async fn overtake(
        &self,
        forsaken: &Forsaken,
        planned: &Planned<F::Nodes>,
        event: &Event,
    ) -> Result<(), Trouble> {
        let roll = &forsaken.claim.turn.roll;
        let by = planned.plan.commit.clone();
        tracing::warn!(cluster = %self.cluster, roll, by, "a roll that nobody goes on with is ended");
        self.claim_all(forsaken, planned, 1, false).await?;
        let left = forsaken.nodes.difference(&forsaken.done);
        let outcome = Outcome::Overtaken {
            by,
            nodes: forsaken.done.iter().cloned().collect(),
            left: left.cloned().collect(),
        };
        let ended = Ended {
            roll: Some(roll.clone()),
            commit: forsaken.commit.clone(),
            subject: String::new(),
            bundle: None,
            reviewed: None,
            outcome,
        };
        self.remember(ended, event.kind.word(), Timestamp::now())
            .await?;
        self.claim_all(forsaken, planned, 2, true).await
    }

    async fn claim_all(
        &self,
        forsaken: &Forsaken,
        planned: &Planned<F::Nodes>,
        after: u64,
        over: bool,
    ) -> Result<(), Trouble> {
        let Forsaken { claim, fence, .. } = forsaken;
        let turn = TurnId {
            roll: claim.turn.roll.clone(),
            number: u32::MAX,
            after: *fence,
        };
        let worker = self.holder.clone();
        let fence = Fence {
            cluster: self.cluster.clone(),
            number: fence.saturating_add(after),
            holder: Claim { worker, turn, over }.to_string(),
        };
        for node in &forsaken.nodes {
            match planned.nodes.claim(&fence, node).await {
                Ok(_) => {}
                Err(error @ NodeError::Fenced { .. }) => {
                    return Err(Trouble::Later(error.to_string()));
                }
                Err(error) => {
                    tracing::warn!(%node, %error, "could not be claimed; the next roll's fence keeps others out");
                }
            }
        }
        Ok(())
    }
}
