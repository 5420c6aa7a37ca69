//! `windlass worker`, whether it is ready, and what a person tells its database: try again, accept a rewound branch.

use std::path::Path;

use anyhow::Context as _;

use super::Exit;
use super::output::Output;
use crate::config::{self, Config};
use crate::{telemetry, worker};

/// The worker waits for the network most of its life: few threads keep it small.
const THREADS: usize = 2;

pub(super) fn read(path: &Path) -> anyhow::Result<Config> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    Ok(config::read(path, credentials.as_deref().map(Path::new))?)
}

/// Where only the worker's database is spoken to, no key is read: a person's shell has no credentials directory, and
/// needs none.
pub(super) fn read_without_keys(path: &Path) -> anyhow::Result<Config> {
    Ok(config::read(path, Some(Path::new(config::CREDENTIALS)))?)
}

pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

pub(super) fn worker(path: &Path) -> anyhow::Result<Exit> {
    let config = read(path)?;
    telemetry::init(&config.log)?;
    runtime()?.block_on(worker::run(config))?;
    Ok(Exit::Done)
}

pub(super) fn health(output: &Output, path: &Path) -> anyhow::Result<Exit> {
    let config = read_without_keys(path)?;
    Ok(match runtime()?.block_on(worker::health::ask(&config))? {
        Ok(said) => {
            output.text(&format!("{said}\n"));
            Exit::Done
        }
        Err(why) => {
            output.error(&why);
            Exit::Findings
        }
    })
}

pub(super) fn retry(output: &Output, path: &Path, cluster: &str) -> anyhow::Result<Exit> {
    let (config, cluster) = (read_without_keys(path)?, cluster.parse()?);
    let said = runtime()?.block_on(worker::ask::retry(&config, &cluster))?;
    output.text(&format!("{said}\n"));
    Ok(Exit::Done)
}

pub(super) fn accept_rewind(
    output: &Output,
    path: &Path,
    cluster: &str,
    commit: &str,
) -> anyhow::Result<Exit> {
    let (config, cluster) = (read_without_keys(path)?, cluster.parse()?);
    let said = runtime()?.block_on(worker::ask::accept_rewind(&config, &cluster, commit))?;
    output.text(&format!("{said}\n"));
    Ok(Exit::Done)
}
