//! What the worker writes to standard error. One line for each outcome, readable alone; details only when
//! asked for.

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogConfig, LogFormat};

const DEFAULT: &str = "info";

/// Begins logging; once a process.
pub fn init(config: &LogConfig) -> anyhow::Result<()> {
    let filter = config.filter.as_deref().unwrap_or(DEFAULT);
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("`log.filter` {filter:?} is no filter of the tracing crate"))?;
    let writer = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = match config.format {
        LogFormat::Json => writer.json().flatten_event(true).try_init(),
        LogFormat::Text => writer.with_ansi(false).with_target(false).try_init(),
    };
    begun.map_err(|error| anyhow::anyhow!("logging cannot begin: {error}"))
}
