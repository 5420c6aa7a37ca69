//! `windlass forge`: sets up what the worker needs at a Git server.

use clap::Subcommand;

use super::Exit;
use super::args::ConfigArg;
use super::output::Output;
use super::service::{read, runtime};
use crate::worker::forge_setup::{self, Use};

#[derive(Debug, Subcommand)]
pub enum ForgeCommand {
    /// Whether the token can do what the worker does with it, and what is missing or too much; writes nothing.
    Check {
        /// A cluster of the worker's configuration.
        cluster: String,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Makes the webhook with the hook's first secret, or brings it up to date; then checks.
    Setup {
        /// A cluster of the worker's configuration.
        cluster: String,
        /// Where the forge reaches the worker: `https://windlass.example.org`.
        #[arg(long, value_name = "URL")]
        address: String,
        #[command(flatten)]
        config: ConfigArg,
    },
}

pub(super) fn run(output: &Output, command: &ForgeCommand) -> anyhow::Result<Exit> {
    let (cluster, config) = match command {
        ForgeCommand::Check { cluster, config }
        | ForgeCommand::Setup {
            cluster, config, ..
        } => (cluster.parse()?, read(&config.config)?),
    };
    runtime()?.block_on(async {
        if let ForgeCommand::Setup { address, .. } = command {
            let url = forge_setup::set_hook(&config, &cluster, address).await?;
            output.text(&format!("the webhook to {url} is set up\n"));
        }
        let wanted = match command {
            ForgeCommand::Check { .. } => Use::Work,
            ForgeCommand::Setup { .. } => Use::SetUp,
        };
        let looked = forge_setup::check(&config, &cluster, wanted).await?;
        for one in &looked {
            let mark = if one.good { "ok     " } else { "wrong  " };
            output.text(&format!("{mark}{}\n", one.words));
        }
        Ok(if looked.iter().all(|one| one.good) {
            Exit::Done
        } else {
            Exit::Findings
        })
    })
}
