//! What is run on a node in its turn: forward after the new files are in place, backward after the old ones
//! are back, and around it to take the node out of rotation. Going back uses the commands of the release that
//! is gone back to, because only that one knows how its own services are reloaded.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::FileChange;
use crate::ids::ComponentName;
use crate::release::{Apply, Command, ReleaseComponent, ReleaseMeta};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Actions {
    pub(super) forward: Vec<Command>,
    pub(super) backward: Vec<Command>,
    pub(super) drain: Vec<Command>,
    pub(super) undrain: Vec<Command>,
}

/// A component's `when` that is no glob; components are checked when they are loaded, so this is rare.
#[derive(Debug, thiserror::Error)]
#[error("{component}: {glob:?} is not a glob pattern: {why}")]
pub(super) struct BadGlob {
    pub(super) component: ComponentName,
    glob: String,
    why: String,
}

pub(super) fn actions(
    base: Option<&ReleaseMeta>,
    target: &ReleaseMeta,
    changes: &[FileChange],
) -> Result<Actions, BadGlob> {
    let old: &[ReleaseComponent] = base.map_or(&[], |base| &base.components);
    let new: &[ReleaseComponent] = &target.components;
    let mut actions = Actions {
        forward: one_way(old, new, changes)?,
        backward: one_way(new, old, changes)?,
        ..Actions::default()
    };
    let busy: BTreeSet<&ComponentName> = changes
        .iter()
        .map(|change| &change.component)
        .chain(actions.forward.iter().map(|command| &command.component))
        .collect();
    let busy: BTreeSet<ComponentName> = busy.into_iter().cloned().collect();
    for before in old.iter().rev().filter(|c| busy.contains(&c.name)) {
        if find(new, &before.name).is_some() {
            actions.drain.extend(before.drain.iter().cloned());
        }
    }
    for after in new.iter().filter(|c| busy.contains(&c.name)) {
        if find(old, &after.name).is_some() {
            actions.undrain.extend(after.undrain.iter().cloned());
        }
    }
    Ok(actions)
}

/// The commands that lead from the components `from` to the components `to`: first what leaves is stopped, last
/// one first, then what comes or changed is applied in order.
fn one_way(
    from: &[ReleaseComponent],
    to: &[ReleaseComponent],
    changes: &[FileChange],
) -> Result<Vec<Command>, BadGlob> {
    let leaving = from.iter().rev().filter(|c| find(to, &c.name).is_none());
    let mut commands: Vec<Command> = leaving.flat_map(|c| c.remove.iter().cloned()).collect();
    for component in to {
        let is_new = find(from, &component.name).is_none();
        for apply in &component.apply {
            let wanted = is_new || touches(component, apply, changes)?;
            if wanted && !commands.contains(&apply.command) {
                commands.push(apply.command.clone());
            }
        }
    }
    Ok(commands)
}

fn find<'a>(
    components: &'a [ReleaseComponent],
    name: &ComponentName,
) -> Option<&'a ReleaseComponent> {
    components.iter().find(|component| component.name == *name)
}

/// Patterns may match files of other components too (a certificate that haproxy serves).
fn touches(
    component: &ReleaseComponent,
    apply: &Apply,
    changes: &[FileChange],
) -> Result<bool, BadGlob> {
    if apply.when.is_empty() {
        return Ok(changes
            .iter()
            .any(|change| change.component == component.name));
    }
    let globs = globs(&component.name, &apply.when)?;
    Ok(changes
        .iter()
        .any(|change| globs.is_match(change.path.as_str())))
}

fn globs(component: &ComponentName, patterns: &[String]) -> Result<GlobSet, BadGlob> {
    let bad = |glob: &str, error: &globset::Error| BadGlob {
        component: component.clone(),
        glob: glob.to_owned(),
        why: error.kind().to_string(),
    };
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(|error| bad(pattern, &error))?;
        builder.add(glob);
    }
    builder
        .build()
        .map_err(|error| bad(&patterns.join(", "), &error))
}
