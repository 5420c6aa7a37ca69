//! The commands that look at a checkout and at no node: `check`, `render` and `diff`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use windlass_core::finding::Findings;
use windlass_core::ids::NodeName;
use windlass_core::preview::Verdict;
use windlass_core::release::Release;
use windlass_core::report::diff::{self, Fingerprints};

use super::Exit;
use super::session::Session;
use crate::flow::prepare::Rendered;

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
        return Ok(Exit::Findings);
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
    session.output.text(&format!(
        "{} releases written to {}\n",
        releases.len(),
        out.display()
    ));
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

/// Writes the files; how many secret ones were left out.
fn write_release(dir: &Path, release: &Release, with_secrets: bool) -> anyhow::Result<usize> {
    let mut left_out = 0;
    std::fs::create_dir_all(dir)?;
    for (path, content) in &release.contents {
        let meta = release.meta.files.get(path);
        if meta.is_some_and(|meta| meta.secret) && !with_secrets {
            left_out += 1;
            continue;
        }
        let target = dir.join(path.relative());
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&target, content)
            .with_context(|| format!("cannot write {}", target.display()))?;
        let mode = meta
            .and_then(|meta| u32::from_str_radix(&meta.mode, 8).ok())
            .unwrap_or(0o600);
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(left_out)
}

/// Asks the real programs as well, so that the verdict is the one that a request would get.
pub(super) async fn diff(
    session: &Session<'_>,
    base: Option<&str>,
    head: Option<&str>,
) -> anyhow::Result<Exit> {
    let old = session.render(Some(base.unwrap_or("HEAD")))?;
    let new = session.check(head).await?;
    let sound = new.rendered.as_ref();
    let Some(rendered) = sound.filter(|_| !new.findings.has_errors()) else {
        let verdict = Verdict::Refused.words(&new.findings);
        if !session.output.annotated(&new.findings, &verdict)? {
            session.show(&new);
            session.output.error(&verdict);
        }
        return Ok(Exit::Findings);
    };
    let Some(old) = session.accept(&old) else {
        return Ok(Exit::Findings);
    };
    let (old, bundle) = (&old.bundle.releases, &rendered.bundle.releases);
    // New for every run: a fingerprint says whether two contents are the same in one output, and nothing more.
    let key = uuid::Uuid::new_v4().into_bytes();
    let nodes: BTreeMap<NodeName, Vec<diff::FileDiff>> = bundle
        .keys()
        .chain(old.keys())
        .map(|node| {
            let (before, after) = (old.get(node), bundle.get(node));
            let files = diff::releases(before, after, &Fingerprints(&key));
            (node.clone(), files)
        })
        .filter(|(_, files)| !files.is_empty())
        .collect();
    let verdict = Verdict::of_nodes(&nodes, bundle.len()).words(&new.findings);
    if session.output.annotated(&new.findings, &verdict)? {
        return Ok(Exit::Done);
    }
    session.show(&new);
    session.output.result(&nodes, || {
        let text = diff::text(&nodes, session.output.colours());
        format!("{text}{verdict}\n")
    })?;
    Ok(Exit::Done)
}
