//! The releases of RabbitMQ that tests run: the one that this machine has installed, and a newer one in a root
//! directory of its own, with its own Erlang and its own libc.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Debian's package keeps the plain programs here; those in /usr/sbin change to the machine's own user.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";
const NEWER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/broker/rabbitmq4.sh");

/// Which RabbitMQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 3.10, as Debian 12 has it.
    V3,
    /// The 4.x of Debian's next release.
    V4,
}

/// One of them, found on this machine.
pub(super) struct Programs {
    /// Absent: those of the machine itself.
    root: Option<PathBuf>,
}

impl Programs {
    pub(super) fn of(version: Version) -> Result<Self> {
        if version == Version::V3 {
            return Ok(Self { root: None });
        }
        let said = Command::new(NEWER).arg("--path").output();
        let said = String::from_utf8(said.context("cannot run rabbitmq4.sh")?.stdout)?;
        let root = PathBuf::from(said.trim());
        ensure!(
            root.is_dir(),
            "there is no RabbitMQ 4 at {}: run `make setup`",
            root.display()
        );
        Ok(Self { root: Some(root) })
    }

    /// A command that runs this program; of the file system it sees `dir`, and what is `shown` at other places.
    pub(super) fn command(&self, program: &str, dir: &Path, shown: &[(PathBuf, &str)]) -> Command {
        let program = format!("{PROGRAMS}/{program}");
        let Some(root) = &self.root else {
            return Command::new(program);
        };
        let mut command = Command::new("bwrap");
        // Processes and network are the machine's: signals, ports and Erlang's name server are as without it.
        command.arg("--ro-bind").arg(root).arg("/");
        command.args(["--dev-bind", "/dev", "/dev", "--ro-bind", "/proc", "/proc"]);
        command.args(["--tmpfs", "/tmp", "--tmpfs", "/run"]);
        command.arg("--bind").arg(dir).arg(dir);
        for (from, at) in shown {
            command.arg("--ro-bind").arg(from).arg(at);
        }
        command.arg("--").arg(program);
        command
    }
}
