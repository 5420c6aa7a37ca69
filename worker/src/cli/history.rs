//! What rolls by hand came to, kept beside their journal, so that `status` tells the same as `roll` did. Where the worker
//! keeps its state in the same directory, its rolls count as well: the latest is the latest, whoever rolled.

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::outcome::Outcome;
use windlass_core::plan::Plan;

use super::session::Session;
use crate::roll::{Journal as _, StoreJournal};
use crate::store::Store;
use crate::store::reports::Report;
use crate::worker::ask::DATABASE;

/// Where rolls by hand are journalled.
const BY_HAND: &str = "rolls.db";

/// A roll that was begun and is not over: it is under way, or whoever carried it out has died.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Unfinished {
    pub(super) commit: String,
    pub(super) subject: String,
}

/// How rolls of a cluster ended, as far as a state directory knows.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) latest: Option<Report>,
    pub(super) unfinished: Option<Unfinished>,
}

/// What an outcome is of.
pub(super) struct Of {
    pub(super) cluster: ClusterName,
    pub(super) commit: String,
    pub(super) subject: String,
    pub(super) bundle: Option<Digest>,
    pub(super) reviewed: Option<Digest>,
    /// The command.
    pub(super) trigger: &'static str,
    pub(super) started: Timestamp,
}

impl Of {
    pub(super) fn plan(plan: &Plan, trigger: &'static str, started: Timestamp) -> Self {
        Self {
            cluster: plan.cluster.clone(),
            commit: plan.commit.clone(),
            subject: plan.subject.clone(),
            bundle: Some(plan.bundle),
            reviewed: plan.reviewed,
            trigger,
            started,
        }
    }
}

pub(super) fn open(state: &Path) -> anyhow::Result<Store> {
    Store::open(&state.join(BY_HAND)).context("cannot open the journal of rolls")
}

/// The roll is over whatever becomes of this, so a failure is only told.
pub(super) async fn keep(session: &Session<'_>, store: &Store, of: Of, outcome: Outcome) {
    let report = Report {
        id: 0,
        roll: None,
        cluster: of.cluster,
        commit: of.commit,
        subject: of.subject,
        bundle: of.bundle,
        reviewed: of.reviewed,
        trigger: of.trigger.to_owned(),
        started: of.started,
        ended: Timestamp::now(),
        outcome,
    };
    if let Err(error) = store.add_report(report).await {
        let said = format!("`windlass status` will not tell of this: {error}");
        session.output.error(&said);
    }
}

/// What cannot be read is told, and is no reason to say nothing of the nodes.
pub(super) async fn read(session: &Session<'_>, cluster: &ClusterName) -> History {
    let history = match session.existing_state() {
        Some(state) => look(&state, cluster).await,
        None => return History::default(),
    };
    history.unwrap_or_else(|error| {
        let said = format!("how the last roll ended cannot be read: {error:#}");
        session.output.error(&said);
        History::default()
    })
}

async fn look(state: &Path, cluster: &ClusterName) -> anyhow::Result<History> {
    let mut history = History::default();
    for name in [BY_HAND, DATABASE] {
        let file = state.join(name);
        if !file.is_file() {
            continue;
        }
        let store = Store::open(&file)?;
        let latest = store.reports(Some(cluster), 1).await?.pop();
        history.latest = history
            .latest
            .into_iter()
            .chain(latest)
            .max_by_key(|report| report.ended);
        if let Some(open) = StoreJournal::new(store).unfinished(cluster).await? {
            history.unfinished = Some(Unfinished {
                commit: open.plan.commit,
                subject: open.plan.subject,
            });
        }
    }
    Ok(history)
}
