//! From a snapshot's `components/` to components in the order in which they are applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::format::{Component, Selector};
use super::{order, validate};
use crate::codes::components as codes;
use crate::finding::{Finding, Findings, Location};
use crate::ids::{ComponentName, Digest};
use crate::model::Node;
use crate::snapshot::{Entry, Snapshot};
use crate::yaml::{self, At};

/// All components, each after those that it names in `after`.
#[derive(Debug, Clone, Default)]
pub struct Components {
    pub(crate) ordered: Vec<Arc<Folder>>,
    /// Every name, also of those that a test left out.
    pub(crate) names: BTreeSet<ComponentName>,
}

/// One component's folder.
#[derive(Debug)]
pub struct Folder {
    pub definition: Component,
    /// `components/<name>/component.yaml`.
    pub file: String,
    /// Path below the folder → content; without the tests.
    pub(crate) files: BTreeMap<String, Arc<[u8]>>,
    /// Of everything that rendering takes from the folder.
    pub(crate) digest: Digest,
}

impl Components {
    pub fn iter(&self) -> impl Iterator<Item = &Folder> {
        self.ordered.iter().map(AsRef::as_ref)
    }

    pub fn get(&self, name: &str) -> Option<&Folder> {
        self.iter()
            .find(|folder| folder.definition.name.as_str() == name)
    }
}

impl Folder {
    pub fn name(&self) -> &ComponentName {
        &self.definition.name
    }

    pub fn place<T>(&self, value: &At<T>) -> Location {
        value.location(&self.file)
    }

    /// The path in the repository of a file of this folder.
    pub(crate) fn path_of(&self, name: &str) -> String {
        format!("components/{}/{name}", self.name())
    }

    pub(crate) fn is_on(&self, name: &crate::ids::NodeName, node: &Node) -> bool {
        match &self.definition.on {
            Selector::All => true,
            Selector::Role(role) => node.has_role(role.as_str()),
            Selector::Roles(roles) => roles.iter().any(|role| node.has_role(role.as_str())),
            Selector::Nodes(names) => names.iter().any(|own| own.value == *name),
        }
    }
}

/// Reads every component. Those with errors are left out, so that the rest can still be looked at.
pub fn load(snapshot: &Snapshot) -> (Components, Findings) {
    let mut findings = Findings::default();
    let mut folders = Vec::new();
    for (name, files) in by_folder(snapshot) {
        match read(name, files) {
            Ok(folder) => {
                let found = validate::folder(&folder);
                if !found.has_errors() {
                    folders.push(Arc::new(folder));
                }
                findings.extend(found);
            }
            Err(errors) => findings.extend(errors),
        }
    }
    let ordered = order::ordered(folders, findings.has_errors(), &mut findings);
    let names = ordered.iter().map(|folder| folder.name().clone()).collect();
    (Components { ordered, names }, findings.sorted())
}

type Files = BTreeMap<String, Arc<[u8]>>;

fn by_folder(snapshot: &Snapshot) -> BTreeMap<&str, Files> {
    let mut folders: BTreeMap<&str, Files> = BTreeMap::new();
    for (path, entry) in &snapshot.entries {
        let below = path.strip_prefix("components/");
        let Some((folder, name)) = below.and_then(|below| below.split_once('/')) else {
            continue;
        };
        let files = folders.entry(folder).or_default();
        if let Entry::File(bytes) = entry
            && !name.starts_with("tests/")
        {
            files.insert(name.to_owned(), Arc::clone(bytes));
        }
    }
    folders
}

fn read(name: &str, files: Files) -> Result<Folder, Findings> {
    let file = format!("components/{name}/component.yaml");
    let Some(bytes) = files.get("component.yaml") else {
        let finding = Finding::error(
            codes::FILE_MISSING,
            format!("components/{name} has no component.yaml"),
        );
        return Err(Findings::from_iter([finding
            .at(Location::file(file))
            .hint("write one, or delete the folder")]));
    };
    let definition: Component = yaml::parse(&file, bytes)?;
    if definition.name.as_str() != name {
        let finding = Finding::error(
            codes::BAD_COMPONENT_VALUE,
            format!(
                "the component in components/{name} calls itself `{}`",
                definition.name
            ),
        );
        return Err(Findings::from_iter([finding
            .at(definition.name.location(&file))
            .hint(format!("write `name: {name}`, or rename the folder"))]));
    }
    let parts = files
        .iter()
        .flat_map(|(name, bytes)| [name.as_bytes(), bytes.as_ref()]);
    let digest = Digest::of_parts(parts);
    Ok(Folder {
        definition,
        file,
        files,
        digest,
    })
}
