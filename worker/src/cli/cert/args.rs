//! The arguments of `windlass cert`, with the words that `--help` shows.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::acme::Reason;
use crate::cli::args::ConfigArg;

const STORY: &str = "Examples:
  windlass cert list                          what is in force for how long, and what each node serves
  windlass cert show blog                     why it was not renewed, and when it is tried next
  windlass cert renew blog                    another one now, rolled like every change
  windlass cert revoke blog --reason key-compromise
  windlass cert import blog.pem               a certificate from elsewhere, as `blog`
  windlass cert export blog --out /root/pem";

const LOOKED: &str = "Exit codes:
  0  nothing is wrong
  1  findings: a certificate comes to its end (WL328), a node serves another one than it should
     (WL329), one cannot be ordered (WL330)
  2  used wrongly";

/// What is done.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = STORY)]
pub enum CertCommand {
    /// Lists the certificates: where from, until when, when the next one is ordered, what the nodes serve.
    #[command(after_help = LOOKED)]
    List {
        #[command(flatten)]
        look: Look,
        #[command(flatten)]
        of: Of,
    },
    /// Shows everything about one certificate: names, serial, when and why it is due, what failed last, each node.
    #[command(after_help = LOOKED)]
    Show {
        /// As `windlass cert list` prints it.
        name: String,
        #[command(flatten)]
        look: Look,
        #[command(flatten)]
        of: Of,
    },
    /// Shows which orders would be made now, and why; asks no authority and no node.
    Plan {
        #[command(flatten)]
        of: Of,
    },
    /// Has the worker order another certificate, although the one in use is still good.
    ///
    /// What failed before puts it off as usual; `windlass cert show` says until when.
    Renew {
        /// As `windlass cert list` prints it.
        name: String,
        /// Try at once, whatever failed before. Limits that an authority told us hold all the same.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Has the authority declare the certificate in use void, and the worker order another one at once.
    ///
    /// Until the new one is rolled, the nodes go on serving the void one: clients that ask the authority refuse it, those that
    /// do not ask still trust it.
    Revoke {
        /// As `windlass cert list` prints it.
        name: String,
        /// What the authority is told.
        #[arg(long, value_enum)]
        reason: Why,
        /// The authority that issued it, where the worker does not know.
        #[arg(long, value_name = "NAME")]
        authority: Option<String>,
        /// Do not ask before.
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Puts a PEM file (certificate, chain, key) in use and has it rolled, if everything about it is right.
    ///
    /// One that is ordered otherwise is renewed by the worker as if it had been ordered.
    Import {
        /// The PEM file.
        file: PathBuf,
        /// Which certificate it is (default: the file's name without `.pem`).
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        of: Of,
    },
    /// Writes the certificate in use with its chain and private key to `NAME.pem`, mode 0600.
    Export {
        /// As `windlass cert list` prints it.
        name: String,
        /// The folder; made where it does not exist.
        #[arg(long, value_name = "DIR", required_unless_present = "stdout")]
        out: Option<PathBuf>,
        /// Print it, private key and all.
        #[arg(long, conflicts_with = "out")]
        stdout: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Replaces the private keys of the accounts with the authorities.
    RollKey {
        /// Only with this one.
        #[arg(long, value_name = "NAME")]
        authority: Option<String>,
        #[command(flatten)]
        of: Of,
    },
}

impl CertCommand {
    pub(super) fn of(&self) -> &Of {
        match self {
            Self::List { of, .. }
            | Self::Show { of, .. }
            | Self::Plan { of }
            | Self::Renew { of, .. }
            | Self::Revoke { of, .. }
            | Self::Import { of, .. }
            | Self::Export { of, .. }
            | Self::RollKey { of, .. } => of,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct Look {
    /// Do not ask the nodes what they serve.
    #[arg(long)]
    pub no_probe: bool,
}

/// Whose certificates.
#[derive(Debug, Clone, Args)]
pub struct Of {
    /// Its name in the worker's configuration; needed where the worker watches several.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub config: ConfigArg,
}

/// Why a certificate is declared void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Why {
    Unspecified,
    /// Somebody else has, or may have, the private key.
    KeyCompromise,
    /// The names are no longer ours.
    AffiliationChanged,
    /// Another one is in use.
    Superseded,
    /// The names are not served any more.
    CessationOfOperation,
}

impl Why {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Unspecified => Reason::Unspecified,
            Self::KeyCompromise => Reason::KeyCompromise,
            Self::AffiliationChanged => Reason::AffiliationChanged,
            Self::Superseded => Reason::Superseded,
            Self::CessationOfOperation => Reason::CessationOfOperation,
        }
    }
}
