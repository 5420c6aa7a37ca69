//! The order in which a node's components are applied: each after those that it names, and by name where
//! nothing else decides, so that the order never changes by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::load::Folder;
use crate::codes::components as codes;
use crate::finding::{Finding, Findings};
use crate::yaml::nearest;

/// `incomplete`: some components could not be read, so an unknown name may be one of them.
pub(super) fn ordered(
    folders: Vec<Arc<Folder>>,
    incomplete: bool,
    findings: &mut Findings,
) -> Vec<Arc<Folder>> {
    let known: BTreeSet<String> = folders.iter().map(|f| f.name().to_string()).collect();
    if !incomplete {
        findings.extend(unknown(&folders, &known));
    }
    let mut waiting = folders;
    let mut done: Vec<Arc<Folder>> = Vec::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    loop {
        let ready = waiting.iter().position(|folder| {
            let mut after = folder.definition.after.iter();
            after.all(|at| names.contains(at.as_str()) || !known.contains(at.as_str()))
        });
        let Some(index) = ready else { break };
        let folder = waiting.remove(index);
        names.insert(folder.name().to_string());
        done.push(folder);
    }
    findings.extend(circle(&waiting));
    done
}

fn unknown(folders: &[Arc<Folder>], known: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in folders {
        for name in &folder.definition.after {
            if !known.contains(name.as_str()) {
                let message = format!("there is no component `{name}`");
                let finding = Finding::error(codes::ORDER, message)
                    .at(folder.place(name))
                    .of(folder.name());
                let near = nearest(name.as_str(), known.iter().map(String::as_str));
                findings.push(finding.hint(near.map_or_else(
                    || "remove it from `after`, or add the component".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                )));
            }
        }
    }
    findings
}

/// Whoever is left waits for another that is left.
fn circle(waiting: &[Arc<Folder>]) -> Option<Finding> {
    let first = waiting.first()?;
    let names: Vec<String> = waiting.iter().map(|f| f.name().to_string()).collect();
    let place = first.definition.after.first().map_or_else(
        || first.place(&first.definition.name),
        |after| first.place(after),
    );
    let message = format!("{} wait for each other", names.join(", "));
    Some(
        Finding::error(codes::ORDER, message)
            .at(place)
            .hint("remove one `after` of the circle"),
    )
}
