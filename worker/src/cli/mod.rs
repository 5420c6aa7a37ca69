//! The command line: one file per command, one module that prints.

pub mod args;
pub mod cert;
mod diff;
mod doctor;
mod event;
mod explain;
mod forge;
mod formats;
mod history;
mod init;
mod look;
mod nodes;
mod output;
mod progress;
mod roll;
mod rollback;
mod schema;
mod secret;
mod service;
mod session;

pub(crate) use look::Written;
pub(crate) use nodes::Status;

use clap::{CommandFactory as _, Parser as _};
use std::process::ExitCode;

use crate::flow::preview::inside;
use crate::flow::trial;
use args::{Cli, Command};
use output::Output;
use session::Session;

/// How a command ended, as its exit code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// Findings, drift, or rolled back.
    Findings,
    Usage,
    /// A person must act.
    Stuck,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Findings => 1,
            Exit::Usage => 2,
            Exit::Stuck => 3,
        })
    }
}

/// Runs the program as the command line says.
pub fn main() -> ExitCode {
    // One provider for the whole program; that somebody installed one before is no harm.
    drop(rustls::crypto::ring::default_provider().install_default());
    let cli = match Cli::try_parse().and_then(formats::accept) {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            drop(error.print());
            return if usage {
                Exit::Usage.into()
            } else {
                Exit::Done.into()
            };
        }
    };
    let output = Output::new(&cli.global);
    match run(&cli, &output) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output.error(&format!("error: {error:#}"));
            Exit::Usage.into()
        }
    }
}

fn run(cli: &Cli, output: &Output) -> anyhow::Result<Exit> {
    match &cli.command {
        Command::Init { dir } => init::run(output, dir),
        Command::Schema { out, name } => schema::run(output, out.as_deref(), name.as_deref()),
        Command::Explain { code } => explain::run(output, code.as_deref()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "windlass", &mut script);
            output.text(&String::from_utf8_lossy(&script));
            Ok(Exit::Done)
        }
        Command::Worker { config } => service::worker(&config.config),
        Command::Health { config } => service::health(output, &config.config),
        Command::RenderTrial => {
            let access = &cli.global.access;
            trial::render(std::io::stdin().lock(), &access.directories())?;
            Ok(Exit::Done)
        }
        Command::Forge(command) => forge::run(output, command),
        Command::Cert(command) => cert::run(output, command),
        Command::RenderRequest => {
            inside::run(std::io::stdin().lock(), std::io::stdout().lock())?;
            Ok(Exit::Done)
        }
        Command::Event(command) => event::run(output, command),
        Command::Retry { cluster, config } => service::retry(output, &config.config, cluster),
        Command::AcceptRewind {
            cluster,
            commit,
            config,
        } => service::accept_rewind(output, &config.config, cluster, commit),
        command => on_checkout(command, &Session::new(&cli.global, output)),
    }
}

/// The commands that read a cluster repository; they need the asynchronous runtime.
#[tokio::main]
async fn on_checkout(command: &Command, session: &Session<'_>) -> anyhow::Result<Exit> {
    match command {
        Command::Check { rev } => look::check(session, rev.as_deref()).await,
        Command::Render {
            out,
            node,
            with_secrets,
            rev,
        } => look::render(session, out, node.as_deref(), *with_secrets, rev.as_deref()),
        Command::Diff { base, head } => diff::run(session, base.as_deref(), head.as_deref()).await,
        Command::Plan { what, diff } => roll::plan(session, what, *diff).await,
        Command::Roll { what, yes } => roll::roll(session, what, *yes).await,
        Command::Rollback { nodes, yes } => rollback::run(session, nodes, *yes).await,
        Command::Status => nodes::status(session).await,
        Command::Drift => nodes::drift(session).await,
        Command::Adopt { node, paths, yes } => roll::adopt(session, node, paths, *yes).await,
        Command::Secret(command) => secret::run(session, command).await,
        Command::Doctor { nodes } => doctor::run(session, *nodes).await,
        other => anyhow::bail!("{other:?} does not work on a checkout"),
    }
}
