//! Rendering a commit: every node's release side by side, put together in a fixed order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;
use tera::Context;

use super::cache::{Cache, Compiled};
use super::commands::Commands;
use super::context::{Scope, Shared};
use super::engine::Engine;
use super::files::{self, Output};
use super::gates::Gates;
use super::materials::{missing, pending, pending_hosts};
use super::plain;
use super::questions::unanswered;
use super::values::{Named, object, text};
use super::vars::{overrides, vars};
use crate::codes::components as codes;
use crate::component::{Components, Folder};
use crate::finding::{Finding, Findings, Location};
use crate::ids::{Digest, NodeName, NodePath};
use crate::materials::Materials;
use crate::model::names::HostName;
use crate::model::{Defined, Model, Node, Site};
use crate::release::{Bundle, FileMeta, Release, ReleaseComponent, ReleaseMeta};
use crate::snapshot::Snapshot;

/// All that a bundle is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    pub snapshot: &'a Snapshot,
    pub model: &'a Model,
    pub components: &'a Components,
    pub materials: &'a Materials,
}

impl<'a> Inputs<'a> {
    /// The certificate that a host of the site is served with now: its own, or, while that is yet to be ordered for the
    /// host, another one that was ordered and covers it. None: plain HTTP.
    pub(super) fn certificate(&self, site: &'a Site, host: &HostName) -> Option<&'a str> {
        let own = site.certificate()?.as_str();
        let materials = self.materials;
        let covers = |name: &str| materials.said.get(name).map(|said| said.covers(host));
        let definition = self.model.certificates.get(own);
        let is_ordered = definition.is_some_and(|definition| definition.acme.is_some());
        if !materials.pending.contains(own) && (!is_ordered || covers(own).unwrap_or(true)) {
            return Some(own);
        }
        let others = materials.ordered.iter().map(String::as_str);
        others.into_iter().find(|other| covers(other) == Some(true))
    }

    /// The hosts of a site that are served over TLS now, with their certificates.
    pub(super) fn secure(
        &self,
        site: &'a Site,
    ) -> impl Iterator<Item = (&'a HostName, &'a str)> + use<'a, '_> {
        let hosts = site.hosts.iter().map(|host| &host.value);
        hosts.filter_map(|host| Some((host, self.certificate(site, host)?)))
    }
}

/// What became of it: a bundle only where there is no error.
#[derive(Debug)]
pub struct Rendered {
    pub bundle: Option<Bundle>,
    pub findings: Findings,
}

/// Renders every node. The cache is brought up to what this render used.
pub fn render(inputs: Inputs<'_>, cache: &mut Cache) -> Rendered {
    let engines = engines(inputs.components, cache);
    let mut findings: Findings = engines.values().flat_map(|c| c.findings.clone()).collect();
    findings.extend(overrides(&inputs));
    findings.extend(unanswered(&inputs));
    if findings.has_errors() {
        let findings = findings.sorted();
        return Rendered {
            bundle: None,
            findings,
        };
    }
    let shared = Shared::new(inputs);
    let nodes: Vec<(&NodeName, &Defined<Node>)> = inputs.model.in_order().collect();
    let results: Vec<(Option<Release>, Vec<Output>, Findings)> = nodes
        .into_par_iter()
        .map(|(name, node)| Turn::new(&shared, &engines, cache, name, node).release())
        .collect();
    let mut releases = BTreeMap::new();
    let mut used = BTreeMap::new();
    let mut rendered = 0;
    for (release, outputs, found) in results {
        findings.extend(found);
        for output in outputs {
            rendered += usize::from(output.fresh);
            used.entry(output.key).or_insert(output.made);
        }
        if let Some(release) = release {
            releases.insert(release.meta.node.clone(), release);
        }
    }
    *cache = Cache {
        engines: by_digest(inputs.components, engines),
        files: used,
        rendered,
    };
    let findings = once(findings.sorted());
    if findings.has_errors() {
        return Rendered {
            bundle: None,
            findings,
        };
    }
    let mut bundle = Bundle::new(inputs.snapshot.commit.clone(), releases);
    bundle.incomplete = missing(&inputs, &bundle);
    bundle.pending = pending_hosts(&inputs);
    let findings = findings.into_iter().chain(bundle.incomplete.clone());
    let findings = findings.chain(pending(&inputs));
    Rendered {
        findings: findings.collect(),
        bundle: Some(bundle),
    }
}

type Engines<'a> = BTreeMap<&'a str, Arc<Compiled>>;

fn engines<'a>(components: &'a Components, cache: &Cache) -> Engines<'a> {
    let folders: Vec<&Folder> = components.iter().collect();
    folders
        .into_par_iter()
        .map(|folder| {
            let compiled = cache.engines.get(&folder.digest).cloned();
            let compiled = compiled.unwrap_or_else(|| {
                let (engine, mut findings) = Engine::new(folder);
                findings.extend(files::exposed(folder, &engine));
                Arc::new(Compiled { engine, findings })
            });
            (folder.name().as_str(), compiled)
        })
        .collect()
}

fn by_digest(components: &Components, engines: Engines<'_>) -> BTreeMap<Digest, Arc<Compiled>> {
    let digests = components
        .iter()
        .map(|folder| (folder.name().as_str(), folder.digest));
    let digests: BTreeMap<&str, Digest> = digests.collect();
    let engines = engines.into_iter();
    engines
        .filter_map(|(name, compiled)| Some((*digests.get(name)?, compiled)))
        .collect()
}

/// The same mistake in a template is told for the first node that meets it.
fn once(findings: Findings) -> Findings {
    let mut seen = BTreeSet::new();
    findings
        .into_iter()
        .filter(|finding| seen.insert((finding.at.clone(), finding.code, finding.message.clone())))
        .collect()
}

/// One node's release in the making.
struct Turn<'a> {
    shared: &'a Shared<'a>,
    engines: &'a Engines<'a>,
    cache: &'a Cache,
    name: &'a NodeName,
    node: &'a Defined<Node>,
    scope: Scope,
    findings: Findings,
    outputs: Vec<Output>,
    files: BTreeMap<NodePath, (FileMeta, Arc<[u8]>, Location)>,
}

impl<'a> Turn<'a> {
    fn new(
        shared: &'a Shared<'a>,
        engines: &'a Engines<'a>,
        cache: &'a Cache,
        name: &'a NodeName,
        node: &'a Defined<Node>,
    ) -> Self {
        Self {
            shared,
            engines,
            cache,
            name,
            node,
            scope: shared.of_node(name, node),
            findings: Findings::default(),
            outputs: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    fn release(mut self) -> (Option<Release>, Vec<Output>, Findings) {
        let mut components = Vec::new();
        let mut gates = Vec::new();
        for folder in self.shared.inputs.components.iter() {
            let Some(compiled) = self.engines.get(folder.name().as_str()) else {
                continue;
            };
            if !folder.is_on(self.name, self.node) {
                continue;
            }
            let engine = &compiled.engine;
            let scope = self.scope_of(folder);
            self.add_files(folder, engine, &scope);
            let public = context_of(&self.shared.public(&scope));
            let commands = Commands::new(folder, engine, &public, &self.shared.inputs);
            components.push(self.keep(commands.component()));
            let resolver = Gates::new(folder, engine, &public, self.shared.inputs);
            gates.extend(self.keep(resolver.of_node(self.name, self.node)));
        }
        self.no_file_is_a_folder();
        let findings = self
            .findings
            .into_iter()
            .map(|found| found.on(self.name))
            .collect();
        let components: Vec<ReleaseComponent> = components.into_iter().flatten().collect();
        let inputs = self.shared.inputs;
        let mut files = BTreeMap::new();
        let mut contents = BTreeMap::new();
        for (path, (meta, content, _)) in self.files {
            files.insert(path.clone(), meta);
            contents.insert(path, content);
        }
        let inputs_of = files.values().flat_map(|meta: &FileMeta| &meta.inputs);
        let sources = self
            .shared
            .digests_of(inputs_of.map(String::as_str).collect());
        let meta = ReleaseMeta {
            cluster: inputs.model.cluster.name.clone(),
            node: self.name.clone(),
            digest: Release::digest_of(&files, &components),
            commit: inputs.snapshot.commit.clone(),
            files,
            components,
            gates: gates.into_iter().flatten().collect(),
            sources,
        };
        (Some(Release { meta, contents }), self.outputs, findings)
    }

    fn keep<T>(&mut self, result: Result<T, Findings>) -> Option<T> {
        result.map_err(|found| self.findings.extend(found)).ok()
    }

    /// The node's values and those that are the component's own.
    fn scope_of(&self, folder: &Folder) -> Scope {
        let inputs = &self.shared.inputs;
        let mut scope = self.scope.clone();
        let (vars, files) = vars(inputs.model, folder, self.node);
        scope.insert("vars", Named::new(vars, files));
        let component = object([("name", text(folder.name()))]);
        scope.insert("component", Named::new(component.into(), Vec::new()));
        let declared = folder.definition.secrets.iter().map(|at| at.as_str());
        scope.insert("secrets", plain::secrets(inputs, declared));
        scope
    }

    fn add_files(&mut self, folder: &Folder, engine: &Engine, scope: &Scope) {
        let maker = files::Maker::new(folder, engine, scope, self.cache, self.shared.inputs);
        for (index, entry) in folder.definition.files.iter().enumerate() {
            for result in maker.entry(index, entry) {
                let mut output = match result {
                    Ok(output) => output,
                    Err(finding) => {
                        self.findings.push(finding);
                        continue;
                    }
                };
                if let Some(made) = output.made.as_ref() {
                    let meta = files::meta(folder, entry, made, std::mem::take(&mut output.inputs));
                    let place = folder.place(&entry.path);
                    self.add(made.path.clone(), meta, Arc::clone(&made.content), place);
                }
                self.outputs.push(output);
            }
        }
    }

    fn add(&mut self, path: NodePath, meta: FileMeta, content: Arc<[u8]>, place: Location) {
        if let Some((_, _, first)) = self.files.get(&path) {
            let finding = Finding::error(codes::SAME_PATH, format!("{path} is written twice"))
                .at(place)
                .related(first.clone(), "first written here")
                .of(&meta.component);
            self.findings
                .push(finding.hint("keep one of the two, or give one of them a `when`"));
            return;
        }
        self.files.insert(path, (meta, content, place));
    }

    fn no_file_is_a_folder(&mut self) {
        for (path, (meta, _, place)) in &self.files {
            let parents = path.as_str().match_indices('/').skip(1);
            let above = parents
                .filter_map(|(end, _)| path.as_str()[..end].parse::<NodePath>().ok())
                .find_map(|parent| Some((self.files.get(&parent)?.2.clone(), parent)));
            if let Some((first, parent)) = above {
                let message = format!("{path} needs a folder where {parent} is a file");
                self.findings.push(
                    Finding::error(codes::SAME_PATH, message)
                        .at(place.clone())
                        .related(first, "the file")
                        .of(&meta.component),
                );
            }
        }
    }
}

pub(super) fn context_of(scope: &Scope) -> Context {
    let mut context = Context::new();
    for (name, value) in scope {
        context.insert_value(*name, value.value.clone());
    }
    context
}
