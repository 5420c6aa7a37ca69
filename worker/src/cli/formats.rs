//! Which command has which formats. Looked at with the arguments, before any work: who asks for one that is not there
//! must not hear of it after nodes have changed.

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::args::{Cli, Command, DeadCommand, EventCommand, Format};
use super::cert::CertCommand;
use super::secret::SecretCommand;

/// What a command prints.
enum Prints {
    /// Words, or a text with a form of its own.
    Words,
    /// A value.
    Value,
    /// A value, or the findings alone.
    Findings,
}

/// The command line, unless it asks for a format that its command does not have.
pub(super) fn accept(cli: Cli) -> Result<Cli, clap::Error> {
    let format = cli.global.format;
    let why = match (prints(&cli.command), format) {
        (_, Format::Text)
        | (Prints::Value | Prints::Findings, Format::Json)
        | (Prints::Findings, _) => return Ok(cli),
        (Prints::Words, Format::Json) => {
            "this command prints words only: leave `--format json` out"
        }
        (_, Format::Sarif | Format::Junit | Format::Github) => {
            "sarif, junit and github are formats of `check` and `diff`"
        }
    };
    Err(Cli::command().error(ErrorKind::ArgumentConflict, why))
}

fn prints(command: &Command) -> Prints {
    match command {
        Command::Check { .. } | Command::Diff { .. } => Prints::Findings,
        Command::Render { .. }
        | Command::Plan { .. }
        | Command::Roll { .. }
        | Command::Rollback { .. }
        | Command::Status
        | Command::Drift
        | Command::Adopt { .. }
        | Command::Schema { .. }
        | Command::Doctor { .. }
        | Command::Explain { .. }
        | Command::Secret(SecretCommand::Check)
        | Command::Cert(
            CertCommand::List { .. } | CertCommand::Show { .. } | CertCommand::Plan { .. },
        )
        | Command::Event(
            EventCommand::List { .. }
            | EventCommand::Show { .. }
            | EventCommand::Dead(DeadCommand::List { .. }),
        ) => Prints::Value,
        Command::Init { .. }
        | Command::Secret(_)
        | Command::Completions { .. }
        | Command::Worker { .. }
        | Command::Health { .. }
        | Command::RenderTrial
        | Command::RenderRequest
        | Command::Forge(_)
        | Command::Cert(_)
        | Command::Event(_)
        | Command::Retry { .. }
        | Command::AcceptRewind { .. } => Prints::Words,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn accepted(line: &str) -> bool {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        accept(cli).is_ok()
    }

    #[test]
    fn a_format_that_a_command_does_not_have_is_refused_with_the_arguments() {
        for format in ["sarif", "junit", "github"] {
            for command in ["roll --yes", "adopt vps1", "rollback", "status", "explain"] {
                assert!(!accepted(&format!("windlass {command} --format {format}")));
            }
            assert!(accepted(&format!("windlass check --format {format}")));
            assert!(accepted(&format!("windlass diff --format {format}")));
        }
        assert!(!accepted("windlass --format json init x"));
        for command in [
            "check",
            "rollback",
            "render --out x",
            "secret check",
            "event dead list",
        ] {
            assert!(accepted(&format!("windlass {command} --format json")));
            assert!(accepted(&format!("windlass {command}")));
        }
        assert!(accepted("windlass init x"));
    }
}
