//! After the merge the same comment and status tell how it was rolled.

use windlass_core::codes::plan::DIVERGED;
use windlass_core::ids::Digest;
use windlass_core::outcome::Outcome;
use windlass_core::preview::{
    After, Preview, Verdict, after, repeats, status_after, status_merged, waits,
};

use super::look::{Previewer, Requests};
use crate::flow::trouble::Trouble;
use crate::git::mirror::Step;
use crate::ports::forge::{ForgeRequest, ForgeWriter};
use crate::store::reports::Report;
use crate::store::requests::{KnownRequest, Stage};

/// A merge that none of so many reports speaks of is looked for no further.
const REPORTS: u32 = 50;

impl<F: ForgeWriter, P: Previewer> Requests<F, P> {
    pub(super) async fn merged(
        &self,
        request: &ForgeRequest,
        mut known: KnownRequest,
        commit: Option<&str>,
    ) -> Result<(), Trouble> {
        if known.stage == Stage::Over && known.merged.is_some() {
            return Ok(());
        }
        // Where the forge does not tell, the head itself is looked for.
        let commit = commit.unwrap_or(&request.head).to_owned();
        known.stage = Stage::Merged;
        known.merged = Some(commit.clone());
        match self.report(&commit).await? {
            Some(report) => self.tell_roll(request, known, &report).await,
            None => self.tell_waiting(request, known).await,
        }
    }

    async fn tell_waiting(
        &self,
        request: &ForgeRequest,
        mut known: KnownRequest,
    ) -> Result<(), Trouble> {
        let status = status_merged(&self.cluster, known.held.as_deref());
        self.set_status(&request.head, &mut known, status, None)
            .await?;
        Ok(self.store.remember_request(&self.cluster, &known).await?)
    }

    async fn tell_roll(
        &self,
        request: &ForgeRequest,
        mut known: KnownRequest,
        report: &Report,
    ) -> Result<(), Trouble> {
        if known.report != Some(report.id) {
            let unseen = self.blank(request, Verdict::Checking);
            let previewed = known.preview.clone();
            // Where nothing was to change and nothing did, no comment is begun.
            let quiet = previewed.is_none() && matches!(report.outcome, Outcome::Unchanged { .. });
            let preview = previewed.unwrap_or(unseen);
            let nothing = preview.verdict == Verdict::NoChange
                && matches!(
                    report.outcome,
                    Outcome::Unchanged { .. } | Outcome::RolledOut { .. }
                );
            let planned = self.planned(&preview, report).await?;
            let told = After {
                reviewed: &preview,
                planned: planned.as_ref(),
                outcome: &report.outcome,
            };
            let text = after(told, &self.limits);
            self.say_in_place(&mut known, &text, quiet || nothing)
                .await?;
            let status = status_after(&preview, &report.outcome);
            let page = planned.as_ref().unwrap_or(&preview).page.as_deref();
            self.set_status(&request.head, &mut known, status.clone(), page)
                .await?;
            if report.commit != request.head {
                // The commit that was rolled says it too: it is what the branch's page shows.
                self.set_status(&report.commit, &mut known, status, page)
                    .await?;
            }
            known.report = Some(report.id);
            known.waits = waiting(report);
        }
        if matches!(
            report.outcome,
            Outcome::RolledOut { .. } | Outcome::Unchanged { .. }
        ) {
            known.stage = Stage::Over;
        }
        Ok(self.store.remember_request(&self.cluster, &known).await?)
    }

    /// What was planned after the merge, where that is not what was reviewed.
    async fn planned(
        &self,
        preview: &Preview,
        report: &Report,
    ) -> Result<Option<Preview>, Trouble> {
        let Some(reviewed) = report.reviewed else {
            return Ok(None);
        };
        if preview.reviewed(&reviewed) {
            return Ok(None);
        }
        let number = preview.request.number;
        let latest = self.store.latest_preview(&self.cluster, number).await?;
        Ok(latest.filter(|latest| latest.reviewed(&reviewed)))
    }

    /// How the first commit that contains the merge was rolled; where it was tried again, how that ended.
    async fn report(&self, merged: &str) -> Result<Option<Report>, Trouble> {
        let reports = self.store.reports(Some(&self.cluster), REPORTS).await?;
        let (mut found, mut repeated) = (None::<Report>, None);
        for report in reports {
            if repeats(&report.outcome) && self.contains(&report.commit, merged).await {
                repeated = repeated.or(Some(report));
                continue;
            }
            match &found {
                // What waited, or was overtaken, was rolled with a later commit.
                Some(_) if waits(&report.outcome) || overtaken(&report.outcome) => break,
                Some(newer) if newer.commit == report.commit => {}
                _ if self.contains(&report.commit, merged).await => found = Some(report),
                Some(_) => break,
                None => {}
            }
        }
        Ok(found.or(repeated))
    }

    async fn contains(&self, commit: &str, merged: &str) -> bool {
        if commit == merged {
            return true;
        }
        let step = self.source.step(merged, commit).await;
        matches!(step, Ok(Step::Same | Step::Forward))
    }
}

/// What may be released, where that is missing.
fn waiting(report: &Report) -> Option<Digest> {
    let Outcome::Refused { findings } = &report.outcome else {
        return None;
    };
    let mut findings = findings.iter();
    let diverged = findings.any(|found| found.code == DIVERGED);
    report.reviewed.filter(|_| diverged)
}

fn overtaken(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Overtaken { .. })
}
