//! A roll that a worker left when it died is finished, or taken back, and one whose end it told nobody is told, before
//! anything else is done.

use anyhow::Context as _;
use jiff::Timestamp;
use std::sync::Arc;
use windlass_core::model::{self, Model};
use windlass_core::outcome::Outcome;
use windlass_core::plan::Plan;

use super::deploy::Deploy;
use super::fleet::Fleet;
use super::looked::Ended;
use super::trouble::Trouble;
use crate::roll::{Journal as _, RollPermit, StoreJournal};

impl<F: Fleet> Deploy<F> {
    /// Takes up what is unfinished; for the worker's start.
    pub async fn recover(&self) -> Result<(), Trouble> {
        match RollPermit::take(&self.state, &self.cluster)? {
            Some(permit) => self.resume(&permit).await,
            None => Err(Trouble::Later(
                "another process rolls this cluster".to_owned(),
            )),
        }
    }

    pub(super) async fn resume(&self, permit: &RollPermit) -> Result<(), Trouble> {
        let journal = StoreJournal::new(self.store.clone());
        if let Some(untold) = journal.untold(&self.cluster).await? {
            let ended = ended(untold.plan, untold.outcome);
            self.remember(ended, "resumed", untold.begun).await?;
        }
        let Some(open) = journal.unfinished(&self.cluster).await? else {
            return Ok(());
        };
        let commit = open.plan.commit.clone();
        tracing::warn!(cluster = %self.cluster, commit, "a roll was left unfinished; taking it up");
        let started = Timestamp::now();
        let model = self.model_of(&commit).await?;
        let nodes = Arc::new(self.fleet.nodes(&model).context("ssh cannot be set up")?);
        let signals = self.signals();
        let driver = self.driver(nodes, &signals);
        let resuming = driver.resume(permit, &self.cluster);
        if let Some(outcome) = self.looking(&open.plan, &signals, resuming).await? {
            self.remember(ended(open.plan, outcome), "resumed", started)
                .await?;
        }
        Ok(())
    }

    /// Where the nodes are: as the roll's own commit says, or, where that cannot be read, as the newest does.
    pub(super) async fn model_of(&self, commit: &str) -> Result<Arc<Model>, Trouble> {
        let snapshot = match self.source.snapshot(commit).await {
            Ok(snapshot) => snapshot,
            Err(_) => {
                let head = self.source.fetch().await?;
                self.source.snapshot(&head).await?
            }
        };
        let loaded = tokio::task::spawn_blocking(move || model::load(&snapshot)).await?;
        let model = loaded.model;
        Ok(model.context("the definitions that the unfinished roll came from cannot be read")?)
    }
}

fn ended(plan: Plan, outcome: Outcome) -> Ended {
    Ended {
        roll: None,
        commit: plan.commit,
        subject: plan.subject,
        bundle: Some(plan.bundle),
        reviewed: plan.reviewed,
        outcome,
    }
}
