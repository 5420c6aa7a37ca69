//! From a snapshot's files to the model: every file is read, all mistakes are told at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use serde::de::DeserializeOwned;

use super::{Cluster, Defined, Model};
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};
use crate::snapshot::{Entry, Snapshot};
use crate::yaml;

/// What became of a snapshot: a model only where there is no error.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub model: Option<Arc<Model>>,
    pub findings: Findings,
}

/// Parsed files by the digest of their content.
#[derive(Debug, Default)]
pub struct Cache {}

/// Reads a snapshot without remembering anything.
pub fn load(snapshot: &Snapshot) -> Loaded {
    load_cached(snapshot, &Cache::default())
}

/// Reads a snapshot; files that the cache has seen before are not parsed again.
pub fn load_cached(snapshot: &Snapshot, _cache: &Cache) -> Loaded {
    let mut findings = Findings::default();
    let nodes = kind(snapshot, "nodes", &mut findings);
    let sites = kind(snapshot, "sites", &mut findings);
    let zones = kind(snapshot, "zones", &mut findings);
    let forwards = kind(snapshot, "forwards", &mut findings);
    let certificates = kind(snapshot, "certificates", &mut findings);
    let model = cluster(snapshot, &mut findings).map(|cluster| Model {
        cluster,
        nodes,
        sites,
        zones,
        forwards,
        certificates,
        definitions: BTreeMap::new(),
    });
    let findings = findings.sorted();
    let model = model.filter(|_| !findings.has_errors()).map(Arc::new);
    Loaded { model, findings }
}

fn cluster(snapshot: &Snapshot, findings: &mut Findings) -> Option<Defined<Cluster>> {
    let Some(bytes) = snapshot.file("cluster.yaml") else {
        findings.push(
            Finding::error(codes::NO_CLUSTER, "the repository has no cluster.yaml")
                .hint("`windlass init DIR` writes a repository to begin with"),
        );
        return None;
    };
    parsed("cluster.yaml", bytes)
        .map_err(|errors| findings.extend(errors))
        .ok()
}

fn parsed<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<Defined<T>, Findings> {
    let value = yaml::parse(file, bytes)?;
    Ok(Defined {
        file: Arc::from(file),
        value: Arc::new(value),
    })
}

/// Every `<folder>/<name>.yaml`, named by its file.
fn kind<K, T>(snapshot: &Snapshot, folder: &str, findings: &mut Findings) -> BTreeMap<K, Defined<T>>
where
    K: std::str::FromStr + Ord + Send,
    K::Err: std::fmt::Display,
    T: DeserializeOwned + Send + Sync,
{
    let prefix = format!("{folder}/");
    let files: Vec<(&String, &Entry)> = snapshot
        .entries
        .range(prefix.clone()..)
        .take_while(|(path, _)| path.starts_with(&prefix))
        .collect();
    let results: Vec<Result<(K, Defined<T>), Findings>> = files
        .into_par_iter()
        .filter_map(|(path, entry)| match entry {
            Entry::File(bytes) => path[prefix.len()..].strip_suffix(".yaml").map(|stem| {
                let name = stem.parse().map_err(|error: K::Err| {
                    Findings::from_iter([Finding::error(codes::BAD_FILE_NAME, error.to_string())
                        .at(Location::file(path))])
                })?;
                Ok((name, parsed(path, bytes)?))
            }),
            _ => None,
        })
        .collect();
    let mut map = BTreeMap::new();
    for result in results {
        match result {
            Ok((name, value)) => {
                map.insert(name, value);
            }
            Err(errors) => findings.extend(errors),
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_repository_becomes_a_model() {
        let loaded = load(&super::super::example::snapshot());
        let told: Vec<_> = loaded.findings.iter().collect();
        assert!(loaded.model.is_some(), "{told:#?}");
    }
}
