//! The base image: built by `tests/lab/base/build.sh`, found by the digest of that recipe.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::command::run;
use super::spec::Base;

const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lab/base/build.sh");

/// Where the image is; an error that says what to do when it is not built yet.
pub fn base_image(base: Base) -> Result<PathBuf> {
    let path = run(&[BUILD, "--path", base.name()])?;
    if !Path::new(&path).is_dir() {
        bail!(
            "the lab's base image is not built: run `make lab-base BASE={}` as root",
            base.name()
        );
    }
    Ok(path.into())
}

/// Builds the image unless it is there, with progress on standard error.
pub fn build_base(base: Base) -> Result<()> {
    let mut build = Command::new(BUILD);
    build
        .arg(base.name())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let status = build
        .status()
        .with_context(|| format!("cannot run {BUILD}"))?;
    if !status.success() {
        bail!("building the lab's base image failed ({status})");
    }
    Ok(())
}
