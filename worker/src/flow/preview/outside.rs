//! The side outside of the sandbox: hands a snapshot in, and takes what comes back for what it is.

use std::path::PathBuf;
use std::time::Duration;

use windlass_core::codes::components::ENDLESS;
use windlass_core::finding::Finding;
use windlass_core::snapshot::Snapshot;

use super::inside::COMMAND;
use super::stubs::Stubs;
use super::wire::{self, Answer};
use crate::check::{Begun, Program, ProgramError, Sandbox};

/// A thousand sites on three nodes take a fifth of a second.
const CPU_SECONDS: u32 = 10;
const WALL: Duration = Duration::from_secs(60);
/// Five thousand sites on three nodes take a fourth of it.
const DATA_BYTES: u64 = 512 << 20;
const PROCESSES: u32 = 64;
/// Files that nodes share are sent once.
const OUTPUT_BYTES: u64 = 64 << 20;

/// Renders what is not ours.
#[derive(Debug, Clone)]
pub struct Stranger {
    program: PathBuf,
    sandbox: Sandbox,
}

impl Stranger {
    /// With this very program, also where an upgrade has put another in its place.
    pub fn of_this_program(sandbox: Sandbox) -> Self {
        let program = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        Self::with(program, sandbox)
    }

    pub fn with(program: PathBuf, sandbox: Sandbox) -> Self {
        Self { program, sandbox }
    }

    /// Whether a stranger's request can be looked at here; else why not.
    pub(super) async fn available(&self) -> Result<(), String> {
        self.sandbox.available().await
    }

    /// Ours alone up to here: what is a stranger's comes in with `render`.
    pub(super) async fn begin(&self) -> Result<Begun, ProgramError> {
        let program = Program {
            file: self.program.clone(),
            argument: COMMAND,
            cpu_seconds: CPU_SECONDS,
            wall: WALL,
            data_bytes: DATA_BYTES,
            processes: PROCESSES,
            output_bytes: OUTPUT_BYTES,
        };
        self.sandbox.begin(program).await
    }

    pub(super) async fn render(
        &self,
        begun: Begun,
        snapshot: &Snapshot,
        stubs: &Stubs,
    ) -> Result<Answer, ProgramError> {
        let broken = |error: std::io::Error| ProgramError::Broken(error.to_string());
        let question = wire::ask(snapshot, stubs).map_err(broken)?;
        match self.sandbox.answer(begun, &question).await {
            Ok(bytes) => wire::answered(&bytes).map_err(broken),
            Err(ProgramError::Limit(limit)) => Ok(endless(&limit)),
            Err(error) => Err(error),
        }
    }
}

fn endless(limit: &str) -> Answer {
    let message = format!("rendering its templates takes more than {limit}, and was ended");
    let finding = Finding::error(ENDLESS, message).hint(
        "look at what the request changes for loops within loops, and for a `set` that doubles its own text",
    );
    Answer {
        findings: [finding].into_iter().collect(),
        bundle: None,
    }
}
