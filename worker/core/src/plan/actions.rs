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
        let due = due(component, is_new, changes)?;
        for apply in due {
            if !commands.contains(&apply.command) {
                commands.push(apply.command.clone());
            }
        }
    }
    Ok(commands)
}

/// What a component does about changes: all that they touch, or the one thing that is enough for them.
fn due<'a>(
    component: &'a ReleaseComponent,
    is_new: bool,
    changes: &[FileChange],
) -> Result<Vec<&'a Apply>, BadGlob> {
    let (enough, usual): (Vec<&Apply>, Vec<&Apply>) =
        component.apply.iter().partition(|apply| apply.alone);
    if is_new {
        return Ok(usual);
    }
    let mut due = Vec::new();
    let mut touching = BTreeSet::new();
    for apply in usual {
        let touched = touched(component, apply, changes)?;
        if !touched.is_empty() {
            due.push(apply);
            touching.extend(touched);
        }
    }
    let own = changes
        .iter()
        .filter(|change| change.component == component.name);
    touching.extend(own.map(|change| change.path.as_str()));
    for apply in enough {
        let touched = touched(component, apply, changes)?;
        if !touched.is_empty() && touching.is_subset(&touched) {
            return Ok(vec![apply]);
        }
    }
    Ok(due)
}

fn find<'a>(
    components: &'a [ReleaseComponent],
    name: &ComponentName,
) -> Option<&'a ReleaseComponent> {
    components.iter().find(|component| component.name == *name)
}

/// Patterns may match files of other components too (a certificate that haproxy serves).
fn touched<'a>(
    component: &ReleaseComponent,
    apply: &Apply,
    changes: &'a [FileChange],
) -> Result<BTreeSet<&'a str>, BadGlob> {
    let globs = globs(&component.name, &apply.when)?;
    let any = apply.when.is_empty();
    let touches = |change: &&FileChange| {
        let own = change.component == component.name;
        (any && own) || globs.is_match(change.path.as_str())
    };
    let touched = changes.iter().filter(touches);
    Ok(touched.map(|change| change.path.as_str()).collect())
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
