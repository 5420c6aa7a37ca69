//! Runs a program of ours on a stranger's input, in the same sandbox as checks and with less: no capability, no file
//! that can be written, nothing of this machine but its libraries. What comes back is data of a limited size.
//!
//! The program is handed in as an open file: the sandbox sees neither the folder where it lies nor another version
//! that an upgrade has put there.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;

use super::cgroup::Cage;
use super::sandbox::{OPENED, Sandbox};

const SAID: u64 = 4096;
/// What a shell adds to the number of the signal that ended its program.
const SIGNALLED: i32 = 128;
const SIGXCPU: i32 = 24;
const SIGXCPU_HARD: i32 = 9;
const SIGABRT: i32 = 6;

#[derive(Debug, Clone)]
pub struct Program {
    pub file: PathBuf,
    pub argument: &'static str,
    pub cpu_seconds: u32,
    pub wall: Duration,
    /// Heap of the program.
    pub data_bytes: u64,
    pub processes: u32,
    /// Output after which it is killed.
    pub output_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    #[error("programs cannot be run safely on this machine: {0}")]
    NoSandbox(String),
    /// "10 s of processor time".
    #[error("it takes more than {0}")]
    Limit(String),
    #[error("it ended without a result: {0}")]
    Broken(String),
}

/// A program that waits in its sandbox for its input. Dropping it kills it.
#[derive(Debug)]
pub struct Begun {
    program: Program,
    child: Child,
    cage: Option<Cage>,
}

impl Sandbox {
    /// Making a sandbox takes longer than many an answer: it can be had before the input is.
    pub async fn begin(&self, program: Program) -> Result<Begun, ProgramError> {
        let broken = |error: std::io::Error| ProgramError::Broken(error.to_string());
        let cage = self.cage();
        let mut child = self.spawn(&program, cage.as_ref()).map_err(broken)?;
        if let Some(stdin) = &mut child.stdin {
            // One that has ended already says why when it is asked.
            let _ = stdin.write_all(b"\n").await;
        }
        Ok(Begun {
            program,
            child,
            cage,
        })
    }

    /// Lets the program run to its end with this; what it wrote. Dropping the future kills it.
    pub async fn answer(&self, begun: Begun, input: &[u8]) -> Result<Vec<u8>, ProgramError> {
        let Begun {
            program,
            mut child,
            cage,
        } = begun;
        let talk = talk(&mut child, &program, input);
        let talked = tokio::time::timeout(program.wall, talk).await;
        let _ = child.kill().await;
        let ran_out = cage.as_ref().is_some_and(Cage::ran_out);
        if let Some(cage) = cage {
            cage.close().await;
        }
        if ran_out {
            return Err(ProgramError::Limit("its share of memory".to_owned()));
        }
        let seconds = program.wall.as_secs();
        let talked = talked.unwrap_or_else(|_| Err(ProgramError::Limit(format!("{seconds} s"))));
        if matches!(talked, Err(ProgramError::Broken(_))) {
            self.doubt();
        }
        talked
    }

    fn spawn(&self, program: &Program, cage: Option<&Cage>) -> std::io::Result<Child> {
        let mut command = self.entering(Some(&program.file))?;
        self.describe(&mut command, |_| true, &[]);
        let limits = format!(
            "exec prlimit --cpu={}:{} --data={} --nproc={} --fsize=0 --core=0 -- {OPENED} {}",
            program.cpu_seconds,
            program.cpu_seconds + 1,
            program.data_bytes,
            program.processes,
            program.argument
        );
        command.args([
            "--disable-userns",
            "--remount-ro",
            "/",
            "/bin/sh",
            "-c",
            &limits,
        ]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = command.spawn()?;
        if let (Some(cage), Some(pid)) = (cage, child.id()) {
            cage.admit(pid)?;
        }
        Ok(child)
    }
}

async fn talk(child: &mut Child, program: &Program, input: &[u8]) -> Result<Vec<u8>, ProgramError> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program that ends early breaks the pipe; its status says why.
            let _ = stdin.write_all(input).await;
        }
        std::future::pending::<()>().await;
    };
    // Closed after the limit, so that a program that would write for ever ends.
    let read = async {
        let mut bytes = Vec::new();
        if let Some(stdout) = stdout {
            let mut limited = stdout.take(program.output_bytes + 1);
            limited.read_to_end(&mut bytes).await?;
        }
        std::io::Result::Ok(bytes)
    };
    let listen = async {
        let mut bytes = Vec::new();
        if let Some(stderr) = stderr {
            let _ = stderr.take(SAID).read_to_end(&mut bytes).await;
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let broken = |error: std::io::Error| ProgramError::Broken(error.to_string());
    let (output, said) = tokio::select! {
        both = async { tokio::join!(read, listen) } => both,
        () = feed => (Ok(Vec::new()), String::new()),
    };
    let output = output.map_err(broken)?;
    if output.len() as u64 > program.output_bytes {
        let mib = program.output_bytes >> 20;
        return Err(ProgramError::Limit(format!("{mib} MiB of output")));
    }
    let status = child.wait().await.map_err(broken)?;
    match status.code() {
        Some(0) => Ok(output),
        code => Err(ended(program, code, &said)),
    }
}

fn ended(program: &Program, code: Option<i32>, said: &str) -> ProgramError {
    let signal = code.map(|code| code - SIGNALLED);
    match signal {
        Some(SIGXCPU | SIGXCPU_HARD) => {
            ProgramError::Limit(format!("{} s of processor time", program.cpu_seconds))
        }
        Some(SIGABRT) => ProgramError::Limit(format!("{} MiB of memory", program.data_bytes >> 20)),
        _ => {
            let last = said.lines().last().unwrap_or("it said nothing");
            let code = code.map_or_else(|| "killed".to_owned(), |code| format!("status {code}"));
            ProgramError::Broken(format!("{code}, {last}"))
        }
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
