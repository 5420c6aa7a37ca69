//! `windlass init`: the starter repository, carried inside the program.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use include_dir::{Dir, include_dir};

use super::Exit;
use super::output::Output;

static TEMPLATE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../repo-template");
/// Git passes over a hook that cannot be run, and what the program carries has no modes.
const HOOK: &str = "hooks/post-receive";

pub(super) fn run(output: &Output, dir: &Path) -> anyhow::Result<Exit> {
    if dir.exists()
        && dir
            .read_dir()
            .with_context(|| format!("cannot read {}", dir.display()))?
            .next()
            .is_some()
    {
        bail!("{} is not empty; give a new or empty folder", dir.display());
    }
    write(dir)?;
    output.text(&format!(
        "A starter repository is in {dir}. Next:

  cd {dir} && git init -b main && git add -A && git commit -m 'Start the cluster'
  windlass check          it passes already
  $EDITOR nodes/*.yaml    your machines: addresses, SSH host keys, roles
  git commit -am 'Our machines'   plan and roll take the newest commit
  windlass plan           what a roll would do to them
  windlass roll
",
        dir = dir.display()
    ));
    Ok(Exit::Done)
}

/// Writes the template's files; `dir` is made where it is missing.
pub(super) fn write(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    TEMPLATE
        .extract(dir)
        .with_context(|| format!("cannot write into {}", dir.display()))?;
    let hook = dir.join(HOOK);
    fs::set_permissions(&hook, Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", hook.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_can_run_the_hook() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(HOOK)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o755);
    }
}
