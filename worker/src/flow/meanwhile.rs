//! What goes on beside a roll: the watched branch is looked at again and again, and whenever something is published. Else
//! the commit that mends what a roll waits for would wait with it, behind the roll in the queue.

use std::convert::Infallible;
use std::time::Duration;

use windlass_core::plan::{OnNewerCommit, Plan};

use super::deploy::Deploy;
use super::fleet::Fleet;
use super::newer::Signals;
use crate::git::mirror::Step;

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two looks, however many hooks come.
const PAUSE: Duration = Duration::from_secs(1);
/// For the look before a turn. A remote that is away must not hold the roll up.
const FIRST_LOOK: Duration = Duration::from_secs(10);

impl<F: Fleet> Deploy<F> {
    /// Carries `roll` out, and tells it of a newer commit by `signals`.
    pub(super) async fn looking<T>(
        &self,
        plan: &Plan,
        signals: &Signals,
        roll: impl Future<Output = T>,
    ) -> T {
        let rolling = self.newer.begin(&plan.commit, signals);
        let done = tokio::select! {
            done = roll => done,
            never = self.look_out(&plan.commit) => match never {},
        };
        drop(rolling);
        self.live.over(&self.cluster);
        done
    }

    /// For one turn of a roll whose turns may be shorter than the time between two looks: where the policy stops for a
    /// newer commit, it must be noticed before the turn begins.
    pub(super) async fn look_before_turn(&self, plan: &Plan) {
        if plan.on_newer_commit == OnNewerCommit::Stop {
            // Where that takes too long, the turn goes on and is looked at from then on.
            let _ = tokio::time::timeout(FIRST_LOOK, self.look_once(&plan.commit)).await;
        }
    }

    async fn look_out(&self, commit: &str) -> Infallible {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.newer.woken() => {}
            }
            self.look_once(commit).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn look_once(&self, commit: &str) {
        // That a remote is away, the watcher tells.
        let Ok(head) = self.source.look().await else {
            return;
        };
        let contains =
            head != commit && matches!(self.source.step(commit, &head).await, Ok(Step::Forward));
        self.newer.saw(&head, contains);
    }
}
