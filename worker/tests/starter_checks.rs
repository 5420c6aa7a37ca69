//! The starter repository through every real checking program, as it is and with mistakes that only a program sees.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use tokio_util::sync::CancellationToken;
use windlass::check::{Checker, Progress, Remembered, Sandbox};
use windlass::git::checkout::snapshot_worktree;
use windlass::materials::{self, Directories};
use windlass_core::component;
use windlass_core::finding::{Excerpt, Findings};
use windlass_core::model;
use windlass_core::release::Bundle;
use windlass_core::render::{self, Cache, Inputs};
use windlass_core::snapshot::{Entry, Snapshot};

fn starter() -> Result<Snapshot> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../repo-template");
    Ok(snapshot_worktree(&folder)?)
}

fn replaced(mut snapshot: Snapshot, path: &str, from: &str, to: &str) -> Result<Snapshot> {
    let old = snapshot.file(path).with_context(|| format!("no {path}"))?;
    let old = String::from_utf8(old.to_vec())?;
    ensure!(old.contains(from), "{path} lacks {from:?}");
    let new = old.replace(from, to);
    let entry = Entry::File(new.into_bytes().into());
    snapshot.entries.insert(path.to_owned(), entry);
    Ok(snapshot)
}

fn bundle(snapshot: &Snapshot) -> Result<Bundle> {
    let loaded = model::load(snapshot);
    let model = loaded.model;
    let model = model.with_context(|| format!("{:#?}", loaded.findings))?;
    let (components, findings) = component::load(snapshot);
    ensure!(!findings.has_errors(), "{findings:#?}");
    let (materials, _) = materials::load(&Directories::default())?;
    let inputs = Inputs {
        snapshot,
        model: &model,
        components: &components,
        materials: &materials,
    };
    let rendered = render::render(inputs, &mut Cache::default());
    let bundle = rendered.bundle;
    bundle.with_context(|| format!("{:#?}", rendered.findings))
}

/// The findings, and how many checks were run and how many were known.
async fn checked(snapshot: &Snapshot, remembered: &Remembered) -> Result<(Findings, usize, usize)> {
    let [run, known] = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let tell = |progress: Progress| {
        let count = if progress.remembered { &known } else { &run };
        count.fetch_add(1, Ordering::Relaxed);
    };
    let checker = Checker::new(Sandbox::default());
    let cancel = CancellationToken::new();
    let bundle = bundle(snapshot)?;
    let found = checker.run(&bundle, remembered, &tell, &cancel).await?;
    Ok((found, run.into_inner(), known.into_inner()))
}

/// What the finding with these words quotes.
fn quoted<'a>(findings: &'a Findings, words: &str) -> Result<&'a Excerpt> {
    let mut all = findings.iter();
    let told = all.find(|finding| finding.message.contains(words));
    let told = told.with_context(|| format!("{findings:#?}"))?;
    told.excerpt.as_ref().context("nothing is quoted")
}

#[tokio::test]
async fn the_starter_passes_and_one_change_rechecks_only_what_it_touches() -> Result<()> {
    let remembered = Remembered::default();
    let (findings, run, known) = checked(&starter()?, &remembered).await?;
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(run > 5 && known == 0, "{run} run, {known} known");

    let path = "sites/www.yaml";
    let text = replaced(starter()?, path, "This page will be", "We will be")?;
    let (findings, changed, known) = checked(&text, &remembered).await?;
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(changed < run, "{changed} of {run} were run again");
    assert_eq!(changed + known, run);
    Ok(())
}

#[tokio::test]
async fn what_only_haproxy_sees_leads_to_the_line_and_its_template() -> Result<()> {
    let path = "components/haproxy/haproxy.cfg.tera";
    let broken = replaced(starter()?, path, "timeout connect", "timeout conect")?;
    let (findings, ..) = checked(&broken, &Remembered::default()).await?;
    let finding = findings.iter().find(|finding| finding.excerpt.is_some());
    let finding = finding.with_context(|| format!("{findings:#?}"))?;
    let excerpt = finding.excerpt.as_ref().context("nothing is quoted")?;
    assert_eq!(excerpt.path, "/etc/haproxy/haproxy.cfg");
    assert!(excerpt.text.contains("timeout conect"), "{findings:#?}");
    let at = finding.at.as_ref().context("no place is named")?;
    assert_eq!(at.file, path);
    assert_eq!(finding.node, None, "one mistake on all nodes is told once");
    Ok(())
}

/// HAProxy takes such a map, and answers 503 for the host.
#[tokio::test]
async fn a_map_that_names_no_backend_is_refused_with_its_line() -> Result<()> {
    let path = "components/haproxy/hosts.map.tera";
    let broken = replaced(
        starter()?,
        path,
        "site-{{ site.name }}",
        "sight-{{ site.name }}",
    )?;
    let (findings, ..) = checked(&broken, &Remembered::default()).await?;
    let excerpt = quoted(&findings, "is sent to sight-www")?;
    assert_eq!(excerpt.path, "/etc/haproxy/hosts.map");
    assert!(excerpt.text.contains("sight-www"), "{findings:#?}");
    Ok(())
}

/// iptables takes them, and nobody comes in any more.
#[tokio::test]
async fn rules_that_lock_the_worker_out_are_refused() -> Result<()> {
    let path = "components/firewall/rules.v4.tera";
    let broken = replaced(
        starter()?,
        path,
        "-p tcp --dport {{ ssh_port }} -j ACCEPT",
        "-p tcp --dport 1{{ ssh_port }} -j ACCEPT",
    )?;
    let (findings, ..) = checked(&broken, &Remembered::default()).await?;
    let words = "the worker's way in, port 22, is not accepted";
    let excerpt = quoted(&findings, words)?;
    assert_eq!(excerpt.path, "/etc/windlass/firewall.v4");
    Ok(())
}

/// BIND takes it, and refuses every transfer.
#[tokio::test]
async fn a_key_that_a_secondary_uses_and_nobody_defines_is_refused() -> Result<()> {
    let path = "components/bind-secondary/named.conf.tera";
    let broken = replaced(
        starter()?,
        path,
        "{{ address }} key \"xfer\";",
        "{{ address }} key \"xferr\";",
    )?;
    let (findings, ..) = checked(&broken, &Remembered::default()).await?;
    let told = findings.iter().any(|finding| {
        finding.message.contains("xferr") && finding.message.contains("nowhere defined")
    });
    assert!(told, "{findings:#?}");
    Ok(())
}

#[tokio::test]
async fn the_zone_for_challenges_is_checked_like_the_others() -> Result<()> {
    let acme = "edge: { role: edge, network: public, network6: public6 }\nacme: { authorities: [{ name: ca, directory: \"https://ca.example.net/dir\" }], dns: {} }\n";
    let edge = "edge: { role: edge, network: public, network6: public6 }\n";
    let mut snapshot = replaced(starter()?, "cluster.yaml", edge, acme)?;
    let certificate = "names: [\"*.example.org\"]\nacme: {}\n";
    let entry = Entry::File(certificate.as_bytes().into());
    snapshot
        .entries
        .insert("certificates/all.yaml".to_owned(), entry);
    let (findings, run, _) = checked(&snapshot, &Remembered::default()).await?;
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(run > 5);

    let path = "components/bind-primary/named.conf.tera";
    let strange = replaced(
        snapshot.clone(),
        path,
        "grant acme zonesub TXT",
        "grant acme wildcard _acme.* TXT",
    )?;
    let (findings, ..) = checked(&strange, &Remembered::default()).await?;
    let told = findings
        .iter()
        .any(|finding| finding.message.contains("_acme.*"));
    assert!(told, "{findings:#?}");
    let path = "components/bind-primary/component.yaml";
    let keyless = replaced(snapshot, path, "key \"acme\" {", "key \"acmee\" {")?;
    let (findings, ..) = checked(&keyless, &Remembered::default()).await?;
    let told = findings
        .iter()
        .any(|finding| finding.message.contains("acme"));
    assert!(told, "{findings:#?}");
    Ok(())
}
