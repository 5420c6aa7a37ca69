//! `diff`: what merging one revision into another would change, with the verdict that a request would get. It merges as a
//! preview does and asks the real programs; it asks no node.

use std::collections::BTreeMap;

use windlass_core::finding::Findings;
use windlass_core::ids::NodeName;
use windlass_core::preview::Verdict;
use windlass_core::report::diff::{self, FileDiff, Fingerprints};
use windlass_core::snapshot::Snapshot;

use super::Exit;
use super::session::Session;
use crate::flow::prepare::{Prepared, Rendered};
use crate::flow::{preview, supposed};
use crate::git::merge::Merged;

pub(super) async fn run(
    session: &Session<'_>,
    base: Option<&str>,
    head: Option<&str>,
) -> anyhow::Result<Exit> {
    let base = base.unwrap_or("HEAD");
    let old = session.render(Some(base))?;
    let merged = match session.merged(base, head)? {
        Merged::Clean { snapshot, .. } => snapshot,
        Merged::Conflicted { files } => return conflicted(session, files),
    };
    let mut new = session.render_snapshot(merged.into())?;
    session.examine(&mut new).await?;
    let Some(rendered) = sound(&new) else {
        return refused(session, &new);
    };
    let findings_of_base = old.findings.clone();
    let Some(old) = session.accept(&old) else {
        session.output.error(&format!(
            "{base} cannot be rendered, so nothing is compared"
        ));
        return session.refuse(&findings_of_base);
    };
    let plan = supposed::plan(old, &rendered, &new.snapshot.subject);
    new.findings.extend(plan.findings.clone());
    new.findings = std::mem::take(&mut new.findings).sorted();
    if new.findings.has_errors() {
        return refused(session, &new);
    }
    let verdict = Verdict::of_plan(&plan).words(&new.findings);
    if session.output.annotated(&new.findings, &verdict)? {
        return Ok(Exit::Done);
    }
    session.show(&new);
    let diffs = differences(old, &rendered);
    session.output.result(&diffs, || {
        let text = diff::text(&diffs, session.output.colours());
        format!("{text}{verdict}\n")
    })?;
    Ok(Exit::Done)
}

fn sound(prepared: &Prepared) -> Option<Rendered> {
    let rendered = prepared.rendered.clone();
    rendered.filter(|_| !prepared.findings.has_errors())
}

fn differences(old: &Rendered, new: &Rendered) -> BTreeMap<NodeName, Vec<FileDiff>> {
    let (old, new) = (&old.bundle.releases, &new.bundle.releases);
    // New for every run: a fingerprint says whether two contents are the same in one output, and nothing more.
    let key = uuid::Uuid::new_v4().into_bytes();
    let nodes = new.keys().chain(old.keys()).map(|node| {
        let (before, after) = (old.get(node), new.get(node));
        let files = diff::releases(before, after, &Fingerprints(&key));
        (node.clone(), files)
    });
    nodes.filter(|(_, files)| !files.is_empty()).collect()
}

fn conflicted(session: &Session<'_>, files: Vec<String>) -> anyhow::Result<Exit> {
    let findings = preview::conflicts(&files);
    let verdict = Verdict::Conflicted { files };
    say_no(session, (&findings, &Snapshot::default()), &verdict)
}

fn refused(session: &Session<'_>, new: &Prepared) -> anyhow::Result<Exit> {
    say_no(session, (&new.findings, &new.snapshot), &Verdict::Refused)
}

fn say_no(
    session: &Session<'_>,
    (findings, snapshot): (&Findings, &Snapshot),
    verdict: &Verdict,
) -> anyhow::Result<Exit> {
    let words = verdict.words(findings);
    if !session.output.annotated(findings, &words)? {
        let text = session.findings_text(findings, snapshot);
        session.output.error(text.trim_end());
        session.output.error(&words);
        return session.refuse(findings);
    }
    Ok(Exit::Findings)
}
