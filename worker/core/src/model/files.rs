//! Which part of the program reads a file of the repository. What nobody reads is said so: a definition in a
//! misspelt folder would otherwise silently have no effect.

use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};
use crate::sealed;
use crate::snapshot::{Entry, Snapshot};
use crate::yaml::{did_you_mean, nearest};

/// Folders with one definition a file.
pub(super) const DEFINITION_FOLDERS: [&str; 5] =
    ["nodes", "sites", "zones", "forwards", "certificates"];
/// Folders that other parts read.
const OTHER_FOLDERS: [&str; 4] = ["components", "definitions", "errors", "secrets"];
/// Folders for people and their tools; nothing in them counts.
const IGNORED_FOLDERS: [&str; 5] = ["docs", "scripts", "hooks", "schemas", "tests"];

/// Finds what cannot be read, and what nobody reads.
pub(super) fn survey(snapshot: &Snapshot, findings: &mut Findings) {
    if let Some(limit) = &snapshot.over_limit {
        findings.push(
            Finding::error(
                codes::TOO_MUCH,
                format!("the repository breaks a limit: {limit}"),
            )
            .hint("keep only what describes the cluster in this repository"),
        );
    }
    findings.extend(sealed::survey(snapshot));
    let mut told_folder = None;
    for (path, entry) in &snapshot.entries {
        match entry {
            Entry::File(_) => findings.extend(misplaced(path, &mut told_folder)),
            Entry::Symlink => findings.push(unfollowed(path, "a symbolic link")),
            Entry::Submodule => findings.push(unfollowed(path, "a submodule")),
            Entry::TooLarge(bytes) => findings.push(
                Finding::error(
                    codes::TOO_MUCH,
                    format!("the file has {bytes} bytes, more than is read"),
                )
                .at(Location::file(path))
                .hint("split the file, or keep it elsewhere"),
            ),
        }
    }
}

fn unfollowed(path: &str, what: &str) -> Finding {
    Finding::error(codes::NOT_A_FILE, format!("{what} is not followed"))
        .at(Location::file(path))
        .hint("put the file itself into the repository")
}

/// `told` is the unknown folder last warned of: one warning a folder is enough.
fn misplaced<'a>(path: &'a str, told: &mut Option<&'a str>) -> Option<Finding> {
    let Some((folder, rest)) = path.split_once('/') else {
        return misplaced_at_top(path);
    };
    if DEFINITION_FOLDERS.contains(&folder) {
        return misplaced_definition(path, rest);
    }
    let known = OTHER_FOLDERS
        .iter()
        .chain(&IGNORED_FOLDERS)
        .any(|known| *known == folder);
    if known || folder.starts_with('.') || *told == Some(folder) {
        return None;
    }
    *told = Some(folder);
    let words: Vec<&str> = DEFINITION_FOLDERS
        .into_iter()
        .chain(OTHER_FOLDERS)
        .collect();
    Some(
        Finding::warning(
            codes::UNKNOWN_FILE,
            format!("nothing reads the folder `{folder}`"),
        )
        .at(Location::file(path))
        .hint(did_you_mean(folder, &words)),
    )
}

fn misplaced_at_top(path: &str) -> Option<Finding> {
    let is_yaml = path.ends_with(".yaml") || path.ends_with(".yml");
    if path == "cluster.yaml" || path.starts_with('.') || !is_yaml {
        return None;
    }
    let finding =
        Finding::warning(codes::UNKNOWN_FILE, "nothing reads this file").at(Location::file(path));
    Some(match nearest(path, ["cluster.yaml"]) {
        Some(name) => finding.hint(format!("did you mean `{name}`?")),
        None => finding.hint(format!(
            "definitions stand in the folders {}",
            DEFINITION_FOLDERS.join(", ")
        )),
    })
}

/// In a folder of definitions, YAML that is not read is a definition lost: an error.
fn misplaced_definition(path: &str, rest: &str) -> Option<Finding> {
    let is_yaml = rest.ends_with(".yaml");
    if (is_yaml && !rest.contains('/')) || rest.starts_with('.') || rest.ends_with(".md") {
        return None;
    }
    let hint = if rest.ends_with(".yml") {
        "definitions end in `.yaml`".to_owned()
    } else {
        "definitions are `<name>.yaml` files directly in their folder".to_owned()
    };
    let lost = is_yaml || rest.ends_with(".yml") || rest.ends_with(".json");
    let finding = if lost {
        Finding::error(codes::UNKNOWN_FILE, "nothing reads this file")
    } else {
        Finding::warning(codes::UNKNOWN_FILE, "nothing reads this file")
    };
    Some(finding.at(Location::file(path)).hint(hint))
}
