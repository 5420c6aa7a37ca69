//! What the commands on a checkout share: the snapshot, the keys, the checks with their progress, the nodes.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use windlass_core::finding::Findings;
use windlass_core::model::{self, Model};
use windlass_core::outcome::Outcome;
use windlass_core::plan::Inventory;
use windlass_core::report::findings::{self, Style};
use windlass_core::snapshot::Snapshot;

use super::Exit;
use super::args::Global;
use super::output::Output;
use crate::check::{Checker, Limits, Sandbox};
use crate::flow::prepare::{self, Memory, Prepared, Rendered};
use crate::flow::trial::Trial;
use crate::git::checkout;
use crate::git::merge::Merged;
use crate::materials::Directories;
use crate::node::{Login, Nodes, Target};
use crate::probe::NetProber;

pub(super) struct Session<'a> {
    global: &'a Global,
    pub(super) output: &'a Output,
    memory: Memory,
    pub(super) cancel: CancellationToken,
}

impl<'a> Session<'a> {
    pub(super) fn new(global: &'a Global, output: &'a Output) -> Self {
        Self {
            global,
            output,
            memory: Memory::default(),
            cancel: CancellationToken::new(),
        }
    }

    /// The working tree, or a revision.
    pub(super) fn snapshot(&self, rev: Option<&str>) -> anyhow::Result<Arc<Snapshot>> {
        let dir = &self.global.repo;
        let snapshot = match rev {
            None => checkout::snapshot_worktree(dir)?,
            Some(rev) => checkout::snapshot_rev(dir, rev)?,
        };
        Ok(Arc::new(snapshot))
    }

    /// What merging a revision, or the working tree, into another would give.
    pub(super) fn merged(&self, base: &str, head: Option<&str>) -> anyhow::Result<Merged> {
        Ok(checkout::merged(&self.global.repo, base, head)?)
    }

    /// Loads, cross-checks and renders.
    pub(super) fn render(&self, rev: Option<&str>) -> anyhow::Result<Prepared> {
        self.render_snapshot(self.snapshot(rev)?)
    }

    pub(super) fn render_snapshot(&self, snapshot: Arc<Snapshot>) -> anyhow::Result<Prepared> {
        let directories = self.directories();
        let trial = Trial::of_this_program();
        prepare::render_tried(snapshot, &directories, &self.memory, Some(&trial))
    }

    /// The model alone, for commands that only need to know the nodes. `None` where it has errors; they were told.
    pub(super) fn model(&self) -> anyhow::Result<Option<Arc<Model>>> {
        let snapshot = self.snapshot(None)?;
        let loaded = model::load(&snapshot);
        if loaded.model.is_none() {
            let text = findings::text(&loaded.findings, &snapshot, self.style());
            self.output.error(text.trim_end());
            self.refuse(&loaded.findings)?;
        }
        Ok(loaded.model)
    }

    /// How a command ends whose commit has errors, which were shown: programs get the outcome that it is.
    pub(super) fn refuse(&self, findings: &Findings) -> anyhow::Result<Exit> {
        let findings = findings.clone();
        self.output
            .result(&Outcome::Refused { findings }, String::new)?;
        Ok(Exit::Findings)
    }

    /// As `render`, and asks the real programs.
    pub(super) async fn check(&self, rev: Option<&str>) -> anyhow::Result<Prepared> {
        let mut prepared = self.render(rev)?;
        self.examine(&mut prepared).await?;
        Ok(prepared)
    }

    /// Asks the real programs what they say of it.
    pub(super) async fn examine(&self, prepared: &mut Prepared) -> anyhow::Result<()> {
        let checker = Checker::new(Sandbox::new(Limits::default()));
        let bar = self.output.progress("checks");
        let progress = |step: crate::check::Progress| {
            bar.set_length(step.total as u64);
            bar.set_position(step.done as u64);
        };
        let checked =
            prepare::check(prepared, &checker, &self.memory, &progress, &self.cancel).await;
        bar.finish_and_clear();
        checked.context("stopped")
    }

    /// Shows what was found; `None` where an error means that nothing goes on.
    pub(super) fn accept<'p>(&self, prepared: &'p Prepared) -> Option<&'p Rendered> {
        self.show(prepared);
        prepared
            .rendered
            .as_ref()
            .filter(|_| !prepared.findings.has_errors())
    }

    /// Shows what was found, on standard error.
    pub(super) fn show(&self, prepared: &Prepared) {
        let text = self.findings(prepared);
        if !text.is_empty() {
            self.output.error(text.trim_end());
        }
    }

    pub(super) fn findings(&self, prepared: &Prepared) -> String {
        self.findings_text(&prepared.findings, &prepared.snapshot)
    }

    pub(super) fn findings_text(&self, findings: &Findings, snapshot: &Snapshot) -> String {
        findings::text(findings, snapshot, self.style())
    }

    pub(super) fn repo(&self) -> &Path {
        &self.global.repo
    }

    pub(super) fn directories(&self) -> Directories {
        self.global.access.directories()
    }

    pub(super) fn age_identities(&self) -> &[PathBuf] {
        &self.global.access.age_identities
    }

    fn style(&self) -> Style {
        if self.output.colours() {
            Style::Colour
        } else {
            Style::Plain
        }
    }

    pub(super) fn nodes(&self, model: &Model) -> anyhow::Result<Arc<Nodes>> {
        let login = Login {
            key: self.global.access.identity.clone(),
            ..Login::default()
        };
        let nodes =
            Nodes::new(login, Target::all(model)).context("cannot prepare the SSH connections")?;
        Ok(Arc::new(nodes))
    }

    /// The directory with certificates by file.
    pub(super) fn given(&self) -> Option<&Path> {
        self.global.access.certificates.as_deref()
    }

    pub(super) fn prober(&self) -> anyhow::Result<NetProber> {
        NetProber::new(self.global.access.ca_file.as_deref())
    }

    /// What another commit of this checkout defines, where it can be read.
    pub(super) fn inventory(&self, commit: &str) -> Option<Inventory> {
        let snapshot = checkout::snapshot_rev(&self.global.repo, commit).ok()?;
        model::load(&snapshot)
            .model
            .map(|model| Inventory::of(&model))
    }

    /// Where this cluster's rolls are journalled.
    pub(super) fn state_dir(&self) -> anyhow::Result<PathBuf> {
        let dir = self.wanted_state()?;
        private_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }

    /// The same where it is there already.
    pub(super) fn existing_state(&self) -> Option<PathBuf> {
        self.wanted_state().ok().filter(|dir| dir.is_dir())
    }

    fn wanted_state(&self) -> anyhow::Result<PathBuf> {
        match &self.global.access.state {
            Some(dir) => Ok(dir.clone()),
            None => Ok(state_home()?.join("windlass")),
        }
    }
}

fn state_home() -> anyhow::Result<PathBuf> {
    if let Some(home) = std::env::var_os("XDG_STATE_HOME") {
        return Ok(home.into());
    }
    let home =
        std::env::var_os("HOME").context("neither XDG_STATE_HOME nor HOME is set: give --state")?;
    Ok(PathBuf::from(home).join(".local/state"))
}

fn private_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}
