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

/// Reports are read so many at once. A merge that none of the newest ones speaks of is looked for no further.
const REPORTS: u32 = 50;

/// How a merge was rolled.
struct Found {
    report: Report,
    /// A later commit, which contains it too, was rolled out since: nothing more becomes of this one.
    passed: bool,
}

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
        match self.report(&commit, known.told.as_deref()).await? {
            Some(found) => self.tell_roll(request, known, &found).await,
            // Its own report is not kept any more; what was told of it stays.
            None if known.told.is_some() => {
                // Another worker may have told of a report that is still on its way.
                if !self.store.forgets_reports(&self.cluster).await? {
                    return Ok(());
                }
                known.stage = Stage::Over;
                Ok(self.store.remember_request(&self.cluster, &known).await?)
            }
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
        Found { report, passed }: &Found,
    ) -> Result<(), Trouble> {
        if known.told.is_none() || known.told != report.roll {
            let unseen = self.blank(request, Verdict::Checking);
            let previewed = known.preview.clone();
            // Where nothing was to change and nothing did, no comment is begun.
            let quiet = previewed.is_none() && matches!(report.outcome, Outcome::Unchanged { .. });
            let preview = previewed.unwrap_or(unseen);
            let nothing = preview.verdict == Verdict::NoChange && is_good(&report.outcome);
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
            known.told.clone_from(&report.roll);
            known.waits = waiting(report);
        }
        if is_good(&report.outcome) || *passed {
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

    /// How the first commit that contains the merge was rolled; where it was tried again, how that ended. `told` is the
    /// report that was told last.
    async fn report(&self, merged: &str, told: Option<&str>) -> Result<Option<Found>, Trouble> {
        let mut seen = Seen::default();
        let (mut oldest, mut is_kept) = (None, told.is_none());
        loop {
            let page = self.store.reports_before(&self.cluster, oldest, REPORTS);
            let page = page.await?;
            let is_last = page.len() < REPORTS as usize;
            for report in page {
                oldest = Some(report.id);
                is_kept |= told.is_some() && report.roll.as_deref() == told;
                if !self.see(&mut seen, report, merged).await {
                    return Ok(seen.found());
                }
            }
            if is_last {
                return Ok(seen.found().filter(|_| is_kept));
            }
            if seen.is_nothing() {
                return Ok(None);
            }
        }
    }

    /// Takes in the next older report; whether an older one may say more.
    async fn see(&self, seen: &mut Seen, report: Report, merged: &str) -> bool {
        if repeats(&report.outcome) && self.contains(&report.commit, merged).await {
            seen.repeated.get_or_insert(report);
            return true;
        }
        match &seen.first {
            // What waited, or was overtaken, was rolled with a later commit.
            Some(_) if waits(&report.outcome) || overtaken(&report.outcome) => return false,
            Some(newer) if newer.commit == report.commit => return true,
            _ => {}
        }
        if !self.contains(&report.commit, merged).await {
            return seen.first.is_none();
        }
        let newer = seen.first.replace(report);
        seen.passed |= newer.is_some_and(|newer| is_good(&newer.outcome));
        true
    }

    async fn contains(&self, commit: &str, merged: &str) -> bool {
        if commit == merged {
            return true;
        }
        let step = self.source.step(merged, commit).await;
        matches!(step, Ok(Step::Same | Step::Forward))
    }
}

/// While reports are looked through, the newest first.
#[derive(Default)]
struct Seen {
    /// The newest of the oldest commit so far that contains the merge.
    first: Option<Report>,
    repeated: Option<Report>,
    passed: bool,
}

impl Seen {
    fn is_nothing(&self) -> bool {
        self.first.is_none() && self.repeated.is_none()
    }

    fn found(self) -> Option<Found> {
        let passed = self.passed;
        let report = self.first.or(self.repeated);
        report.map(|report| Found { report, passed })
    }
}

fn is_good(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::RolledOut { .. } | Outcome::Unchanged { .. }
    )
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
