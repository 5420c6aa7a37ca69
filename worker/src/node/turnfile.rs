//! The texts that tell the agent what to do: `manifest` (what the release consists of) and `turn` (what changes).
//! Lines of fields between tabs, so that a shell reads them without evaluating anything; a value that would
//! not survive that is refused here.

use std::fmt::Write as _;

use windlass_core::plan::{ChangeKind, Turn};
use windlass_core::release::{Check, CheckOn, Command, Release};

/// A value that must not reach the agent.
#[derive(Debug, thiserror::Error)]
#[error("{what} {value:?} has characters that a node would misread")]
pub(super) struct UnsafeValue {
    what: &'static str,
    value: String,
}

fn word<'a>(what: &'static str, value: &'a str) -> Result<&'a str, UnsafeValue> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-._:@~".contains(c);
    if value.is_empty() || value.starts_with('-') || !value.chars().all(allowed) {
        let value = value.to_owned();
        return Err(UnsafeValue { what, value });
    }
    Ok(value)
}

fn label(command: &Command) -> String {
    let label = command.label.replace(char::is_control, " ");
    if label.trim().is_empty() {
        command.component.to_string()
    } else {
        label
    }
}

pub(super) fn manifest(release: &Release) -> Result<String, UnsafeValue> {
    let mut text = String::new();
    for (path, file) in &release.meta.files {
        let flags = match (file.secret, file.serial) {
            (true, true) => "secret,serial",
            (true, false) => "secret",
            (false, true) => "serial",
            (false, false) => "-",
        };
        let mode = word("mode", &file.mode)?;
        let owner = word("owner", &file.owner)?;
        let _ = writeln!(
            text,
            "{}\t{mode}\t{owner}\t{flags}\t{}\t{path}",
            file.digest, file.component
        );
    }
    Ok(text)
}

pub(super) fn turn(release: &Release, turn: &Turn) -> Result<String, UnsafeValue> {
    let base = turn
        .base
        .map_or_else(|| "-".to_owned(), |base| base.to_string());
    let cluster = &release.meta.cluster;
    let mut text = format!(
        "cluster\t{cluster}\nbase\t{base}\ntarget\t{}\n",
        turn.target
    );
    for change in &turn.changes {
        let what = match change.kind {
            ChangeKind::Create | ChangeKind::Replace | ChangeKind::Attributes => "install",
            ChangeKind::Remove => "remove",
        };
        let _ = writeln!(text, "{what}\t{}", change.path);
    }
    for path in &turn.adopt {
        let _ = writeln!(text, "adopt\t{path}");
    }
    for package in &turn.packages {
        let _ = writeln!(text, "package\t{}", word("package", package)?);
    }
    for (kind, commands) in steps(turn) {
        for (number, command) in commands.iter().enumerate() {
            let limit = command.timeout.max(1);
            let _ = writeln!(text, "step\t{kind}\t{number}\t{limit}\t{}", label(command));
        }
    }
    for (number, check) in checks(release) {
        let limit = check.command.timeout.max(1);
        let _ = writeln!(text, "check\t{number}\t{limit}\t{}", label(&check.command));
    }
    Ok(text)
}

/// The turn's commands by the name that the agent calls them.
pub(super) fn steps(turn: &Turn) -> [(&'static str, &[Command]); 4] {
    [
        ("forward", &turn.forward),
        ("backward", &turn.backward),
        ("drain", &turn.drain),
        ("undrain", &turn.undrain),
    ]
}

/// The checks that run on nodes, with their index among all checks of the release.
pub(super) fn checks(release: &Release) -> impl Iterator<Item = (usize, &Check)> {
    let components = release.meta.components.iter();
    components
        .flat_map(|component| &component.checks)
        .enumerate()
        .filter(|(_, check)| check.on != CheckOn::Worker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_a_shell_could_take_for_more_is_refused() {
        for bad in ["", "-y", "a b", "a\tb", "a\nb", "$(x)", "a/b", "a;b"] {
            assert!(word("package", bad).is_err(), "{bad:?} was accepted");
        }
        assert_eq!(word("owner", "root:haproxy").unwrap(), "root:haproxy");
        assert_eq!(word("package", "libstdc++6").unwrap(), "libstdc++6");
    }
}
