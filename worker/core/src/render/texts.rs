//! Every text of component.yaml that may hold template expressions, by a name that says where it stands.

use std::collections::{BTreeMap, BTreeSet};

use crate::component::actions::Action;
use crate::component::format::{Component, FileEntry};
use crate::component::gates::GateEntry;
use crate::yaml::At;

/// Name, text, and whether it is a condition rather than a text.
type Entry<'a> = (String, &'a At<String>, bool);

pub(super) fn texts(component: &Component) -> Vec<Entry<'_>> {
    let mut all = Vec::new();
    for (index, file) in component.files.iter().enumerate() {
        let name = |key| format!("files[{index}].{key}");
        all.push((name("path"), &file.path, false));
        all.extend(file.content.iter().map(|at| (name("content"), at, false)));
        all.extend(file.when.iter().map(|at| (name("when"), at, true)));
    }
    for (index, check) in component.checks.iter().enumerate() {
        all.push((format!("checks[{index}].run"), &check.run, false));
        let when = check.when.iter();
        all.extend(when.map(|at| (format!("checks[{index}].when"), at, true)));
    }
    all.extend(actions("apply", &component.apply));
    all.extend(actions("drain", &component.drain));
    all.extend(actions("undrain", &component.undrain));
    all.extend(actions("remove", &component.remove));
    all.extend(gates("before", &component.before));
    all.extend(gates("gates", &component.gates));
    all
}

fn actions<'a>(list: &str, actions: &'a [Action]) -> Vec<Entry<'a>> {
    let mut all = Vec::new();
    for (index, action) in actions.iter().enumerate() {
        let name = |key| format!("{list}[{index}].{key}");
        all.extend(action.run.iter().map(|at| (name("run"), at, false)));
        all.extend(action.verify.iter().map(|at| (name("verify"), at, false)));
    }
    all
}

fn gates<'a>(list: &str, gates: &'a [GateEntry]) -> Vec<Entry<'a>> {
    let mut all = Vec::new();
    for (index, gate) in gates.iter().enumerate() {
        let name = |key| format!("{list}[{index}].{key}");
        all.extend(gate.command.iter().map(|at| (name("command"), at, false)));
        all.extend(gate.when.iter().map(|at| (name("when"), at, true)));
        let url = gate.http.as_ref().and_then(|http| http.url.as_ref());
        all.extend(url.map(|at| (name("url"), at, false)));
    }
    all
}

/// Template's name → the names of items under which files with `each` render it.
pub(super) fn items(component: &Component) -> BTreeMap<String, BTreeSet<String>> {
    let mut items: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (index, file) in component.files.iter().enumerate() {
        let Some((item, _)) = file.each.as_ref().and_then(|each| split_each(each)) else {
            continue;
        };
        let own = ["path", "content", "when"].map(|key| format!("files[{index}].{key}"));
        let template = file.template.iter().map(|at| at.value.clone());
        for name in own.into_iter().chain(template) {
            items.entry(name).or_default().insert(item.to_owned());
        }
    }
    items
}

/// The name of the template that gives a file its text; `None` where it is taken as it is.
pub(super) fn body(index: usize, file: &FileEntry) -> Option<String> {
    match &file.template {
        Some(template) => Some(template.value.clone()),
        None => file
            .content
            .as_ref()
            .map(|_| format!("files[{index}].content")),
    }
}

/// `zone in zones` as its item's name and the path of the list.
pub(super) fn split_each(each: &str) -> Option<(&str, &str)> {
    let (item, path) = each.split_once(" in ")?;
    Some((item.trim(), path.trim()))
}
