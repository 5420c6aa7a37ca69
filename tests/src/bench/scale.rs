//! What the core alone costs: 3 nodes with many sites, cross-checked and rendered with the starter repository's
//! components, then again after one changed line with the caches warm. Each size is a process of its own, so
//! that its peak of memory is its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use windlass_core::component;
use windlass_core::finding::Findings;
use windlass_core::materials::{Materials, SecretText};
use windlass_core::model;
use windlass_core::render::{self, Inputs};
use windlass_core::snapshot::{Entry, Snapshot};

use super::numbers::{Spread, millis};

pub const SIZES: [usize; 4] = [10, 100, 1000, 5000];
/// One-line changes in each process.
const CHANGES: usize = 5;
const NODES: [&str; 3] = ["vps1", "vps2", "vps3"];

/// One process' figures, in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Once {
    pub first: Parts,
    /// The median of several one-line changes, by their sum.
    pub change: Parts,
    pub files: usize,
    pub peak_mib: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parts {
    /// Parse and cross-check the definitions.
    pub model: f64,
    pub components: f64,
    pub render: f64,
}

impl Parts {
    fn sum(&self) -> f64 {
        self.model + self.components + self.render
    }
}

/// One size over several processes.
#[derive(Debug, Serialize)]
pub struct Scale {
    pub sites: usize,
    pub files: usize,
    pub first: Spread,
    pub change: Spread,
    /// Where the time of the last process went.
    pub first_parts: Parts,
    pub change_parts: Parts,
    pub peak_mib: Spread,
}

/// Measures every size in processes of `program core SITES`.
pub fn scales(program: &Path, rounds: usize) -> Result<Vec<Scale>> {
    let mut all: BTreeMap<usize, Vec<Once>> = BTreeMap::new();
    for round in 0..rounds {
        for sites in SIZES {
            eprintln!("bench: core with {sites} sites, {} of {rounds}", round + 1);
            let output = Command::new(program)
                .args(["core", &sites.to_string()])
                .output()?;
            if !output.status.success() {
                bail!(
                    "core with {sites} sites: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            all.entry(sites)
                .or_default()
                .push(serde_json::from_slice(&output.stdout)?);
        }
    }
    all.into_iter()
        .map(|(sites, runs)| over(sites, &runs).context("no rounds"))
        .collect()
}

fn over(sites: usize, runs: &[Once]) -> Option<Scale> {
    let spread =
        |value: fn(&Once) -> f64| Spread::of(&runs.iter().map(value).collect::<Vec<f64>>());
    let last = runs.last()?;
    Some(Scale {
        sites,
        files: last.files,
        first: spread(|run| run.first.sum())?,
        change: spread(|run| run.change.sum())?,
        first_parts: last.first.clone(),
        change_parts: last.change.clone(),
        peak_mib: spread(|run| run.peak_mib)?,
    })
}

/// Measures this size in this process.
pub fn measure_here(sites: usize) -> Result<Once> {
    let mut snapshot = repository(sites)?;
    let materials = Materials::none(SecretText::new("no certificate"));
    let models = model::Cache::default();
    let mut renders = render::Cache::default();
    let (first, files) = prepare(&snapshot, &materials, &models, &mut renders)?;
    let mut changes = Vec::new();
    for change in 0..CHANGES {
        let port = 30_000 + change;
        snapshot
            .entries
            .insert(site_file(sites / 2), entry(&site(sites / 2, port)));
        changes.push(prepare(&snapshot, &materials, &models, &mut renders)?.0);
    }
    changes.sort_by(|a, b| a.sum().total_cmp(&b.sum()));
    let change = changes.swap_remove(CHANGES / 2);
    let peak_mib = status_mib("self", "VmHWM").context("no VmHWM in /proc/self/status")?;
    Ok(Once {
        first,
        change,
        files,
        peak_mib,
    })
}

fn prepare(
    snapshot: &Snapshot,
    materials: &Materials,
    models: &model::Cache,
    renders: &mut render::Cache,
) -> Result<(Parts, usize)> {
    let start = Instant::now();
    let loaded = model::load_cached(snapshot, models);
    let model = loaded.model.with_context(|| told(&loaded.findings))?;
    let modelled = start.elapsed();
    let (components, findings) = component::load(snapshot);
    if findings.has_errors() {
        bail!(told(&findings));
    }
    let read = start.elapsed();
    let inputs = Inputs {
        snapshot,
        model: &model,
        components: &components,
        materials,
    };
    let rendered = render::render(inputs, renders);
    let bundle = rendered.bundle.with_context(|| told(&rendered.findings))?;
    let done = start.elapsed();
    let files = bundle
        .releases
        .values()
        .map(|release| release.contents.len())
        .sum();
    let parts = Parts {
        model: millis(modelled),
        components: millis(read.saturating_sub(modelled)),
        render: millis(done.saturating_sub(read)),
    };
    Ok((parts, files))
}

fn told(findings: &Findings) -> String {
    let lines = findings
        .iter()
        .take(5)
        .map(|finding| format!("{finding:?}"));
    lines.collect::<Vec<String>>().join("\n")
}

/// The starter repository with these nodes and this many sites.
fn repository(sites: usize) -> Result<Snapshot> {
    let template = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../repo-template"));
    let mut entries = BTreeMap::new();
    read(&template.join("components"), template, &mut entries)?;
    read(&template.join("zones"), template, &mut entries)?;
    let cluster = fs::read_to_string(template.join("cluster.yaml"))?;
    let cluster = cluster.replace(
        "order: [homelab, vps1, vps2, vps3]",
        "order: [vps1, vps2, vps3]",
    );
    entries.insert("cluster.yaml".to_owned(), entry(&cluster));
    for name in NODES {
        let file = format!("nodes/{name}.yaml");
        let role = if name == NODES[0] {
            "dns-primary"
        } else {
            "dns-secondary"
        };
        let text = fs::read_to_string(template.join(&file))?;
        entries.insert(file, entry(&text.replace("dns-secondary", role)));
    }
    let certificate = "names: [\"*.example.org\", example.org]\n";
    entries.insert("certificates/wildcard.yaml".to_owned(), entry(certificate));
    for index in 0..sites {
        entries.insert(site_file(index), entry(&site(index, 10_000 + index)));
    }
    Ok(Snapshot {
        commit: "bench".to_owned(),
        entries,
        ..Snapshot::default()
    })
}

fn read(folder: &Path, root: &Path, entries: &mut BTreeMap<String, Entry>) -> Result<()> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.is_dir() {
            read(&path, root, entries)?;
        } else {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            entries.insert(name, Entry::File(Arc::from(fs::read(&path)?)));
        }
    }
    Ok(())
}

fn entry(text: &str) -> Entry {
    Entry::File(Arc::from(text.as_bytes()))
}

fn site_file(index: usize) -> String {
    format!("sites/site-{index:04}.yaml")
}

/// Every second one with TLS.
fn site(index: usize, port: usize) -> String {
    let tls = if index.is_multiple_of(2) {
        "tls: { certificate: wildcard }\n"
    } else {
        ""
    };
    format!(
        "hosts: [site-{index:04}.example.org]\non: {{ role: web }}\nport: {port}\nhealth: {{ path: /health }}\n{tls}"
    )
}

/// A line of `/proc/PID/status`.
pub(super) fn status_mib(process: &str, key: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
