//! The commands that look at a checkout and at no node: `check` and `render`.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use schemars::JsonSchema;
use serde::Serialize;
use windlass_core::finding::Findings;
use windlass_core::ids::{Digest, NodeName};
use windlass_core::preview::Verdict;
use windlass_core::release::Release;

use super::Exit;
use super::session::Session;
use crate::flow::prepare::Rendered;

/// What `render` wrote.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Written {
    bundle: Digest,
    /// The folder; what a node would hold is in the subfolder of its name.
    out: String,
    nodes: Vec<NodeName>,
    /// How many secret files were left out, because `--with-secrets` was not given.
    secrets_left_out: usize,
}

/// Marks a folder as written by `render`, so that it may be written anew.
const MARK: &str = ".windlass-render";

pub(super) async fn check(session: &Session<'_>, rev: Option<&str>) -> anyhow::Result<Exit> {
    let prepared = session.check(rev).await?;
    let verdict = match &prepared.rendered {
        Some(rendered) if !prepared.findings.has_errors() => fine(rendered),
        _ => Verdict::Refused.words(&prepared.findings),
    };
    if session.output.annotated(&prepared.findings, &verdict)? {
        return Ok(exit(&prepared.findings));
    }
    session.output.result(&prepared.findings, || {
        let text = session.findings(&prepared);
        match &prepared.rendered {
            Some(rendered) if !prepared.findings.has_errors() => {
                format!("{text}{}\n", fine(rendered))
            }
            _ => text,
        }
    })?;
    Ok(exit(&prepared.findings))
}

fn exit(findings: &Findings) -> Exit {
    if findings.has_errors() {
        Exit::Findings
    } else {
        Exit::Done
    }
}

fn fine(rendered: &Rendered) -> String {
    let files: usize = rendered
        .bundle
        .releases
        .values()
        .map(|release| release.contents.len())
        .sum();
    format!(
        "ok: {} nodes, {files} files, bundle {}",
        rendered.bundle.releases.len(),
        rendered.bundle.digest.short()
    )
}

pub(super) fn render(
    session: &Session<'_>,
    out: &Path,
    node: Option<&str>,
    with_secrets: bool,
    rev: Option<&str>,
) -> anyhow::Result<Exit> {
    let prepared = session.render(rev)?;
    let Some(rendered) = session.accept(&prepared) else {
        return session.refuse(&prepared.findings);
    };
    let wanted = |name: &NodeName| node.is_none_or(|node| node == name.as_str());
    let releases: Vec<(&NodeName, &Release)> = rendered
        .bundle
        .releases
        .iter()
        .filter(|(name, _)| wanted(name))
        .collect();
    if releases.is_empty() {
        bail!("no node is named {:?}", node.unwrap_or_default());
    }
    clear(out)?;
    let mut left_out = 0;
    for (name, release) in &releases {
        left_out += write_release(&out.join(name.as_str()), release, with_secrets)?;
    }
    let written = Written {
        bundle: rendered.bundle.digest,
        out: out.display().to_string(),
        nodes: releases.iter().map(|(name, _)| (*name).clone()).collect(),
        secrets_left_out: left_out,
    };
    session.output.result(&written, || {
        format!(
            "{} releases written to {}\n",
            written.nodes.len(),
            written.out
        )
    })?;
    if left_out > 0 {
        session.output.note(&format!(
            "{left_out} secret files were left out; --with-secrets writes them too"
        ));
    }
    Ok(Exit::Done)
}

/// Empties a folder that an earlier `render` wrote; refuses any other that holds something.
fn clear(out: &Path) -> anyhow::Result<()> {
    let held = out.exists()
        && out
            .read_dir()
            .with_context(|| format!("cannot read {}", out.display()))?
            .next()
            .is_some();
    if held {
        if !out.join(MARK).is_file() {
            bail!(
                "{} holds files that `windlass render` did not write; give an empty folder",
                out.display()
            );
        }
        std::fs::remove_dir_all(out).with_context(|| format!("cannot empty {}", out.display()))?;
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    std::fs::write(out.join(MARK), "")
        .with_context(|| format!("cannot write into {}", out.display()))
}

/// Writes the files; how many secret ones were left out. With secrets the folder is for its owner alone.
fn write_release(dir: &Path, release: &Release, with_secrets: bool) -> anyhow::Result<usize> {
    let mut left_out = 0;
    let mut folders = DirBuilder::new();
    folders.recursive(true);
    if with_secrets {
        folders.mode(0o700);
    }
    folders.create(dir)?;
    for (path, content) in &release.contents {
        let meta = release.meta.files.get(path);
        if meta.is_some_and(|meta| meta.secret) && !with_secrets {
            left_out += 1;
            continue;
        }
        let target = dir.join(path.relative());
        if let Some(parent) = target.parent() {
            folders.create(parent)?;
        }
        let mode = meta
            .and_then(|meta| u32::from_str_radix(&meta.mode, 8).ok())
            .unwrap_or(0o600);
        write_file(&target, content, mode)
            .with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(left_out)
}

/// Nobody else can read it before it has its final mode, whatever the umask is.
fn write_file(target: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target)?;
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(mode))
}
