//! An event's way from the queue into the flow, and its answer back.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::sync::Notify;
use windlass_core::outcome::Outcome;

use super::ask;
use super::consumer::{Answer, Handler};
use super::orders;
use super::systemd::tell;
use crate::flow::compare::Compared;
use crate::flow::deploy::{Answered, Deploy};
use crate::flow::fleet::Fleet;
use crate::flow::trouble::Trouble;
use crate::queue::{Event, EventKind};

pub(super) struct Deployer<F> {
    pub(super) deploy: Deploy<F>,
    /// Told when a node was left behind, so that it is looked for soon.
    pub(super) behind: Arc<Notify>,
    /// Told when the flow has come to an end, however it ended.
    pub(super) rolled: Arc<Notify>,
    /// The same for whoever looks at what the nodes serve.
    pub(super) changed: Arc<Notify>,
    /// Told when the watched branch may have moved, before anything is rolled.
    pub(super) moved: Arc<Notify>,
}

impl<F: Fleet> Deployer<F> {
    pub(super) fn new(deploy: Deploy<F>) -> Self {
        let [behind, rolled, changed, moved] = [(); 4].map(|()| Arc::new(Notify::new()));
        Self {
            deploy,
            behind,
            rolled,
            changed,
            moved,
        }
    }

    pub(super) async fn recover(&self) {
        if let Err(trouble) = self.deploy.recover().await {
            tracing::error!(cluster = %self.deploy.cluster, %trouble, "an unfinished roll could not be taken up yet");
        }
    }
}

impl<F: Fleet> Handler for Deployer<F> {
    async fn handle(&self, event: Event) -> Answer {
        if let Err(error) = ask::heed(&self.deploy.store, &event).await {
            return Answer::Broken(error.to_string());
        }
        if let Err(error) = orders::accept(&self.deploy.materials, &event).await {
            return Answer::Broken(format!("{error:#}"));
        }
        if event.kind == EventKind::Timer {
            return Answer::Then(Box::new(probe(&event)));
        }
        if event.kind == EventKind::Moved {
            self.moved.notify_one();
        }
        match self.deploy.run(&event).await {
            Ok(Answered { report, then }) => {
                if let Some(report) = report {
                    self.rolled.notify_one();
                    self.changed.notify_one();
                    if leaves_behind(&report.outcome) {
                        self.behind.notify_one();
                    }
                    let status = format!("{}: {}", report.cluster, report.outcome.word());
                    tell(&[NotifyState::Status(&status)]);
                }
                then.map_or(Answer::Done, |event| Answer::Then(Box::new(event)))
            }
            // The next sweep comes anyway; events must not pile up while a remote is away.
            Err(Trouble::Later(why) | Trouble::Again(_, why)) if event.kind == EventKind::Sweep => {
                tracing::info!(cluster = %self.deploy.cluster, why, "not now");
                Answer::Done
            }
            Err(Trouble::Later(why)) => Answer::Later(why),
            Err(Trouble::Again(delay, why)) => Answer::Again(delay, why),
            Err(Trouble::Broken(error)) => Answer::Broken(format!("{error:#}")),
        }
    }

    fn came(&self) {
        self.deploy.newer.wake();
    }
}

/// Compares the nodes beside whatever else goes on, and has the cluster's own lane look where something differs.
pub(super) struct Comparer<F>(pub(super) Arc<Deployer<F>>);

impl<F: Fleet> Handler for Comparer<F> {
    async fn handle(&self, event: Event) -> Answer {
        let cluster = &self.0.deploy.cluster;
        match self.0.deploy.compare().await {
            Ok(Compared::AsKnown { behind }) => {
                if behind {
                    self.0.behind.notify_one();
                }
                Answer::Done
            }
            Ok(Compared::Differs(why)) => {
                tracing::info!(%cluster, why, "the nodes were compared; a sweep follows");
                // The same comparison gives the same sweep, however often it is made.
                let id = format!("{}-sweep", event.id);
                let sweep = Event::new(EventKind::Sweep, "/probe", cluster, id);
                Answer::Then(Box::new(sweep))
            }
            // The next comparison comes anyway.
            Err(Trouble::Later(why) | Trouble::Again(_, why)) => {
                tracing::debug!(%cluster, why, "the nodes are compared another time");
                Answer::Done
            }
            Err(Trouble::Broken(error)) => Answer::Broken(format!("{error:#}")),
        }
    }
}

/// The comparison that is due. However many workers said so, this one has seen it as one event.
fn probe(timer: &Event) -> Event {
    let id = format!("{}-probe", timer.id);
    Event::new(EventKind::Probe, "/timer", &timer.subject, id)
}

fn leaves_behind(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Unchanged { skipped } | Outcome::RolledOut { skipped, .. } => !skipped.is_empty(),
        Outcome::RolledBack { .. }
        | Outcome::Overtaken { .. }
        | Outcome::TakenBack { .. }
        | Outcome::Refused { .. }
        | Outcome::Stuck { .. } => false,
    }
}
