//! From a snapshot's files to the model: every file is read, all mistakes are told at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cache::{Cache, Store};
use super::{Cluster, Defined, Model, crosscheck, files, own};
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};
use crate::ids::ClusterName;
use crate::snapshot::{Entry, Snapshot};
use crate::yaml;

const CLUSTER: &str = "cluster.yaml";

/// What became of a snapshot: a model only where there is no error.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub model: Option<Arc<Model>>,
    pub findings: Findings,
}

/// Reads a snapshot without remembering anything.
pub fn load(snapshot: &Snapshot) -> Loaded {
    load_cached(snapshot, &Cache::default())
}

/// Reads a snapshot; files that the cache has seen before are not parsed again.
pub fn load_cached(snapshot: &Snapshot, cache: &Cache) -> Loaded {
    cache.begin();
    let mut findings = Findings::default();
    files::survey(snapshot, &mut findings);
    let mut model = model(snapshot, cache, &mut findings);
    if let Some(model) = &mut model {
        findings.extend(crosscheck::taken(model));
        let complete = !findings.has_errors();
        findings.extend(crosscheck::run(model, snapshot, complete));
    }
    let findings = findings.sorted();
    let model = model.filter(|_| !findings.has_errors()).map(Arc::new);
    Loaded { model, findings }
}

/// Which cluster a snapshot is of, also where the rest of it has errors.
pub fn cluster_name(snapshot: &Snapshot) -> Option<ClusterName> {
    #[derive(Deserialize, JsonSchema)]
    struct Named {
        name: ClusterName,
    }
    let named = yaml::parse::<Named>(CLUSTER, snapshot.file(CLUSTER)?);
    named.ok().map(|named| named.name)
}

fn model(snapshot: &Snapshot, cache: &Cache, findings: &mut Findings) -> Option<Model> {
    let cluster = cluster(snapshot, cache, findings);
    let nodes = kind(snapshot, "nodes", &cache.nodes, findings);
    let sites = kind(snapshot, "sites", &cache.sites, findings);
    let zones = kind(snapshot, "zones", &cache.zones, findings);
    let forwards = kind(snapshot, "forwards", &cache.forwards, findings);
    let certificates = kind(snapshot, "certificates", &cache.certificates, findings);
    let definitions = own::load(snapshot, cache, findings);
    Some(Model {
        cluster: cluster?,
        nodes,
        sites,
        zones,
        forwards,
        certificates,
        definitions,
    })
}

fn cluster(
    snapshot: &Snapshot,
    cache: &Cache,
    findings: &mut Findings,
) -> Option<Defined<Cluster>> {
    let Some(bytes) = snapshot.file(CLUSTER) else {
        // A link or a giant in its place was told of already.
        if !snapshot.entries.contains_key(CLUSTER) {
            findings.push(missing_cluster(snapshot));
        }
        return None;
    };
    match cache.clusters.parse(CLUSTER, bytes) {
        Ok(value) => Some(Defined {
            file: Arc::from(CLUSTER),
            value,
        }),
        Err(errors) => {
            findings.extend(errors);
            None
        }
    }
}

fn missing_cluster(snapshot: &Snapshot) -> Finding {
    let message = if snapshot.entries.is_empty() {
        "the commit holds no definitions at all"
    } else {
        "the repository has no cluster.yaml"
    };
    Finding::error(codes::NO_CLUSTER, message)
        .hint("`windlass init DIR` writes a repository to begin with; no node is touched")
}

/// Every `<folder>/<name>.yaml`, named by its file.
fn kind<K, T>(
    snapshot: &Snapshot,
    folder: &str,
    store: &Store<T>,
    findings: &mut Findings,
) -> BTreeMap<K, Defined<T>>
where
    K: FromStr + Ord + Send,
    K::Err: Display,
    T: DeserializeOwned + JsonSchema + Send + Sync,
{
    let prefix = format!("{folder}/");
    let files: Vec<(&str, &str, &[u8])> = snapshot
        .entries
        .range(prefix.clone()..)
        .take_while(|(path, _)| path.starts_with(&prefix))
        .filter_map(|(path, entry)| {
            let stem = path[prefix.len()..].strip_suffix(".yaml")?;
            match entry {
                Entry::File(bytes) if !stem.contains('/') => Some((path.as_str(), stem, &**bytes)),
                _ => None,
            }
        })
        .collect();
    let results: Vec<Result<(K, Defined<T>), Findings>> = files
        .into_par_iter()
        .map(|(path, stem, bytes)| {
            let value = store.parse(path, bytes);
            let name = stem.parse().map_err(|error: K::Err| {
                Finding::error(codes::BAD_FILE_NAME, error.to_string()).at(Location::file(path))
            });
            match (name, value) {
                (Ok(name), Ok(value)) => Ok((
                    name,
                    Defined {
                        file: Arc::from(path),
                        value,
                    },
                )),
                (name, value) => Err(name
                    .err()
                    .into_iter()
                    .chain(value.err().into_iter().flatten())
                    .collect()),
            }
        })
        .collect();
    let mut definitions = BTreeMap::new();
    for result in results {
        match result {
            Ok((name, value)) => {
                definitions.insert(name, value);
            }
            Err(errors) => findings.extend(errors),
        }
    }
    definitions
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_small_repository_becomes_a_model() {
        let loaded = load(&example::snapshot());
        assert_eq!(loaded.findings, Findings::default());
        assert!(loaded.model.is_some());
    }

    #[test]
    fn the_cluster_s_name_is_known_also_where_the_rest_has_errors() {
        let of = |text| cluster_name(&Snapshot::of_texts("c", [("cluster.yaml", text)]));
        let known = of("name: demo\nno_such_key: [1]\n");
        assert_eq!(known.map(|name| name.to_string()).as_deref(), Some("demo"));
        assert_eq!(of("name: [\n"), None);
        assert_eq!(of("domain: example.org\n"), None);
    }
}
