//! The command line: every command and option, with the words that `--help` shows.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::cert::CertCommand;
use super::forge::ForgeCommand;
use super::secret::SecretCommand;
use crate::materials::Directories;

const EXIT_CODES: &str = "Exit codes:
  0  done, or nothing to do
  1  findings, drift, or rolled back
  2  used wrongly
  3  stuck: a person must act";

/// Rolls a Git repository of cluster definitions out to plain Linux machines, node by node over SSH:
/// checked before, proven after, or nothing has changed.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The checkout of the cluster repository.
    #[arg(
        short = 'C',
        long,
        value_name = "DIR",
        default_value = ".",
        global = true
    )]
    pub repo: PathBuf,
    /// How results are printed; JSON has schemas (`windlass schema`), the last three are of findings.
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub format: Format,
    /// Colour: by default only on a terminal.
    #[arg(long, value_enum, default_value_t = Colour::Auto, global = true)]
    pub color: Colour,
    /// Says less: no progress, only results.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    #[command(flatten)]
    pub access: Access,
}

/// What the worker is given besides the repository; never in Git.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Keys and secrets")]
pub struct Access {
    /// SSH private key for the nodes (default: the SSH agent and ~/.ssh as usual).
    #[arg(long, value_name = "FILE", env = "WINDLASS_IDENTITY", global = true)]
    pub identity: Option<PathBuf>,
    /// Directory with `<name>.pem` (chain and key) for every certificate of the repository.
    #[arg(long, value_name = "DIR", env = "WINDLASS_CERTIFICATES", global = true)]
    pub certificates: Option<PathBuf>,
    /// Directory with one file for every secret that templates name.
    #[arg(long, value_name = "DIR", env = "WINDLASS_SECRETS", global = true)]
    pub secrets: Option<PathBuf>,
    /// File with identities of age, for the encrypted secrets of the repository; may be given again.
    #[arg(
        long = "age-identity",
        value_name = "FILE",
        env = "WINDLASS_AGE_IDENTITY",
        global = true
    )]
    pub age_identities: Vec<PathBuf>,
    /// PEM file of further trust roots for HTTPS and TLS gates.
    #[arg(long, value_name = "FILE", env = "WINDLASS_CA_FILE", global = true)]
    pub ca_file: Option<PathBuf>,
    /// Where rolls are journalled (default: $XDG_STATE_HOME/windlass).
    #[arg(long, value_name = "DIR", env = "WINDLASS_STATE", global = true)]
    pub state: Option<PathBuf>,
}

impl Access {
    pub(super) fn directories(&self) -> Directories {
        Directories {
            certificates: self.certificates.clone(),
            secrets: self.secrets.clone(),
            age_identities: self.age_identities.clone(),
            ordered: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    /// Findings for code scanning (SARIF 2.1.0); `check` and `diff` only.
    Sarif,
    /// Findings as a test report; `check` and `diff` only.
    Junit,
    /// Findings as annotations of a GitHub Actions run; `check` and `diff` only.
    Github,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes a starter cluster repository that passes `windlass check` at once.
    Init {
        /// An empty or new folder.
        dir: PathBuf,
    },
    /// Loads, cross-checks and renders everything and asks the real programs; touches no node.
    Check {
        /// A revision (default: the working tree as it is, committed or not).
        rev: Option<String>,
    },
    /// Writes what every node would hold to a folder, one subfolder a node.
    Render {
        /// Written anew; must be empty or from an earlier render.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Only this node.
        #[arg(long)]
        node: Option<String>,
        /// Write real secrets instead of leaving secret files out.
        #[arg(long)]
        with_secrets: bool,
        /// A revision (default: the working tree).
        rev: Option<String>,
    },
    /// Shows what merging HEAD into BASE would change, with the verdict that a request would get; asks no node.
    ///
    /// Without BASE: what the working tree changes against HEAD. With BASE: the working tree merged into BASE.
    Diff {
        /// The revision that it would be merged into (default: HEAD).
        base: Option<String>,
        /// The revision that would be merged (default: the working tree).
        head: Option<String>,
    },
    /// Shows what a roll would do to every node, against what the nodes hold now.
    Plan {
        #[command(flatten)]
        what: RollArgs,
        /// Show the differences of the files as well.
        #[arg(long)]
        diff: bool,
    },
    /// Rolls a commit out, node by node; goes back when a gate fails.
    ///
    /// Ctrl-C finishes or takes back the current node's turn, so that every node is left at its old or its
    /// new release.
    Roll {
        #[command(flatten)]
        what: RollArgs,
        /// Do not ask before the first node is touched.
        #[arg(short, long)]
        yes: bool,
    },
    /// Puts the previous release back on nodes.
    Rollback {
        /// Nodes (default: all that the latest roll changed, in reverse order).
        nodes: Vec<String>,
        /// Do not ask before the first node is touched.
        #[arg(short, long)]
        yes: bool,
    },
    /// Shows what every node holds (release, commit, drift, unfinished turns) and how the last roll ended.
    Status,
    /// Lists the files on the nodes that are not as their release says.
    Drift,
    /// Rolls HEAD out and lets it replace files on NODE that were changed by hand or are not ours yet.
    ///
    /// A copy of each is kept on the node below /var/lib/windlass/adopted.
    Adopt {
        /// The node whose files may be replaced.
        node: String,
        /// Paths on the node (default: every file that stands in the way).
        paths: Vec<String>,
        /// Do not ask before the first node is touched.
        #[arg(short, long)]
        yes: bool,
    },
    /// Writes and looks after the encrypted secrets of the repository (`secrets/*.age`).
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Prints or writes the JSON Schemas of definitions, components and results.
    Schema {
        /// Write all schemas to this folder.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Print this one.
        name: Option<String>,
    },
    /// Looks whether everything is there: programs, sandbox, keys, nodes.
    Doctor {
        /// Ask the nodes as well.
        #[arg(long)]
        nodes: bool,
    },
    /// Explains a finding's code, e.g. WL101; without one, lists all.
    Explain {
        /// As it stands in brackets behind `error` or `warning`.
        code: Option<String>,
    },
    /// Prints completions for a shell.
    Completions {
        /// For bash: `windlass completions bash > /etc/bash_completion.d/windlass`.
        shell: clap_complete::Shell,
    },
    /// Watches Git repositories and rolls what is pushed; the long-running service.
    Worker {
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Asks the worker of this machine whether it is ready; exit code 0 if it is.
    ///
    /// Meant for the health check of a container or a monitoring agent. It asks the address that the configuration
    /// names as `listen`, and gives up after five seconds.
    Health {
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Renders the snapshot that comes in as an archive, within the limits of this process, and keeps nothing.
    #[command(name = crate::flow::trial::COMMAND, hide = true)]
    RenderTrial,
    /// Sets up what the worker needs at a Git server, and checks its token; see docs/forges.
    #[command(subcommand)]
    Forge(ForgeCommand),
    /// Looks after the certificates that the worker of this machine keeps; see docs/certificates.md.
    #[command(subcommand)]
    Cert(CertCommand),
    /// Renders a stranger's snapshot inside of the sandbox, and writes what it came to.
    #[command(name = crate::flow::preview::inside::COMMAND, hide = true)]
    RenderRequest,
    /// Looks into the worker's queue: what waits, what is worked on, what was given up; see docs/queue.md.
    #[command(subcommand)]
    Event(EventCommand),
    /// Lets the worker try a bundle of this cluster again that was rolled back.
    Retry {
        /// Its name in the worker's configuration.
        cluster: String,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Lets the worker roll a commit that does not contain the one rolled out last (a rewound branch).
    AcceptRewind {
        /// Its name in the worker's configuration.
        cluster: String,
        /// The full id of the commit that the branch points at.
        commit: String,
        #[command(flatten)]
        config: ConfigArg,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub enum EventCommand {
    /// Lists the events: those given up first, then what waits, what the broker has and what is done; newest first.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Shows one event as a whole.
    Show {
        /// As `windlass event list` prints it.
        id: String,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Wakes a cluster's worker, now or when it runs again; prints the event's id.
    Send {
        /// Its name in the worker's configuration.
        cluster: String,
        /// `moved` looks for a newer commit; `sweep` compares the nodes with the newest commit, moved or not.
        #[arg(long, value_enum, default_value_t = Wake::Moved)]
        why: Wake,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Events that were given up and wait for a person.
    #[command(subcommand)]
    Dead(DeadCommand),
}

#[derive(Debug, Clone, Subcommand)]
pub enum DeadCommand {
    /// Lists them, with the reason.
    List {
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Gives events out once more, with their attempts counted from the beginning.
    Replay {
        /// As `windlass event dead list` prints them.
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// All that are there.
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Forgets events.
    Drop {
        /// As `windlass event dead list` prints them.
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// All that are there.
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        #[command(flatten)]
        config: ConfigArg,
    },
}

impl EventCommand {
    pub(super) fn config(&self) -> &ConfigArg {
        match self {
            Self::List { config, .. }
            | Self::Show { config, .. }
            | Self::Send { config, .. }
            | Self::Dead(
                DeadCommand::List { config }
                | DeadCommand::Replay { config, .. }
                | DeadCommand::Drop { config, .. },
            ) => config,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wake {
    Moved,
    Sweep,
}

#[derive(Debug, Clone, Args)]
pub struct ConfigArg {
    /// The worker's configuration.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/windlass/worker.yaml",
        env = "WINDLASS_CONFIG"
    )]
    pub config: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct RollArgs {
    /// A revision.
    #[arg(default_value = "HEAD")]
    pub rev: String,
    /// Try a bundle again that was rolled back before.
    #[arg(long)]
    pub retry: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// `--help` teaches: no command, argument or option is there without a word about it.
    #[test]
    fn everything_on_the_command_line_is_explained() {
        let mut commands: Vec<_> = Cli::command().get_subcommands().cloned().collect();
        while let Some(command) = commands.pop() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            for argument in command.get_arguments() {
                let help = argument.get_help();
                assert!(help.is_some(), "{name} {}", argument.get_id());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
