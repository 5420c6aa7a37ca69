//! From a snapshot to a bundle that the real programs accept: what `check`, `diff`, `plan`, a roll and the worker
//! have in common. Reads and decides; nothing here can reach a node.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use windlass_core::check::located;
use windlass_core::component::{self, Components};
use windlass_core::finding::Findings;
use windlass_core::model::{self, Model};
use windlass_core::release::Bundle;
use windlass_core::render::{self, component_tests};
use windlass_core::snapshot::Snapshot;

use super::trial::Trial;
use crate::check::{Cancelled, Checker, Progress, Remembered};
use crate::materials::sealed::{self, Opened};
use crate::materials::{self, Directories};

/// What one preparation leaves for the next, so that a small change costs little.
#[derive(Debug, Default)]
pub struct Memory {
    model: model::Cache,
    render: Mutex<render::Cache>,
    checks: Remembered,
    opened: Opened,
    /// The commit that was rendered to its end last.
    ended: Mutex<Option<String>>,
}

/// A snapshot with all that was found wrong, and what it renders to unless there are errors.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub snapshot: Arc<Snapshot>,
    pub findings: Findings,
    pub rendered: Option<Rendered>,
}

/// Where stand-ins took the place of missing secrets, the bundle says so: good for looking, not for rolling.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub model: Arc<Model>,
    pub components: Arc<Components>,
    pub bundle: Arc<Bundle>,
}

/// Loads, cross-checks and renders. Takes processor time; call it where blocking is allowed.
pub fn render(
    snapshot: Arc<Snapshot>,
    directories: &Directories,
    memory: &Memory,
) -> anyhow::Result<Prepared> {
    let (mut materials, mut findings) = materials::load(directories)?;
    let loaded = model::load_cached(&snapshot, &memory.model);
    findings.extend(loaded.findings);
    let (components, wrong) = component::load(&snapshot);
    findings.extend(wrong);
    let mut rendered = None;
    if let Some(model) = loaded.model.filter(|_| !findings.has_errors()) {
        findings.extend(sealed::add(
            &snapshot,
            &directories.age_identities,
            &memory.opened,
            &mut materials,
        ));
        findings.extend(materials::by_secret(&model, &mut materials));
        findings.extend(materials::ordered(directories, &model, &mut materials));
        findings.extend(materials::examine(&model, &materials, Timestamp::now()));
        let inputs = render::Inputs {
            snapshot: &snapshot,
            model: &model,
            components: &components,
            materials: &materials,
        };
        // A cache that a panic left behind is at worst stale, and its entries are found by digest.
        let mut cache = memory.render.lock().unwrap_or_else(PoisonError::into_inner);
        let result = render::render(inputs, &mut cache);
        findings.extend(result.findings);
        rendered = result.bundle.map(|bundle| Rendered {
            model,
            components: Arc::new(components),
            bundle: Arc::new(bundle),
        });
    }
    Ok(Prepared {
        snapshot,
        findings: findings.sorted(),
        rendered,
    })
}

/// As `render`, but not before a process of its own has shown that rendering ends. Of a commit that was rendered
/// last, that is known.
pub fn render_tried(
    snapshot: Arc<Snapshot>,
    directories: &Directories,
    memory: &Memory,
    trial: Option<&Trial>,
) -> anyhow::Result<Prepared> {
    let known = || memory.ended.lock().unwrap_or_else(PoisonError::into_inner);
    if known().as_deref() != Some(&snapshot.commit)
        && let Some(trial) = trial
        && let Some(finding) = trial.run(&snapshot, directories)?
    {
        return Ok(Prepared {
            snapshot,
            findings: [finding].into_iter().collect(),
            rendered: None,
        });
    }
    let prepared = render(snapshot, directories, memory)?;
    *known() = Some(prepared.snapshot.commit.clone());
    Ok(prepared)
}

/// Runs the component tests and asks the real programs; their findings join the others.
pub async fn check(
    prepared: &mut Prepared,
    checker: &Checker,
    memory: &Memory,
    progress: &(dyn Fn(Progress) + Sync),
    cancel: &CancellationToken,
) -> Result<(), Cancelled> {
    let Some(rendered) = &prepared.rendered else {
        return Ok(());
    };
    let snapshot = Arc::clone(&prepared.snapshot);
    let tested = tokio::task::spawn_blocking(move || component_tests::run(&snapshot));
    let found = checker
        .run(&rendered.bundle, &memory.checks, progress, cancel)
        .await?;
    prepared.findings.extend(located(found, &prepared.snapshot));
    match tested.await {
        Ok(found) => prepared.findings.extend(found),
        Err(gone) if gone.is_panic() => std::panic::resume_unwind(gone.into_panic()),
        Err(_) => return Err(Cancelled),
    }
    prepared.findings = std::mem::take(&mut prepared.findings).sorted();
    Ok(())
}
