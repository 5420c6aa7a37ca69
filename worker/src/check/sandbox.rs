//! The sandbox for programs that a commit names: bubblewrap with a file system, network, process table and user
//! table of their own, none of the worker's environment, a filter of system calls, and limits on time, memory,
//! processes, files and output. It guards against a hostile commit, and as much against an honest check that hangs or floods.
//!
//! As root the sandbox is entered as `nobody`: root in it is then nobody outside, and a way out of the
//! mounts would still meet files that belong to someone else.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use windlass_core::check::Ended;

use super::capture::Capture;
use super::cgroup::{Cage, Total, cages};
use super::filter;
use super::tree::{AUTHORITIES, COMMAND, Candidate, SCRIPTS, SYSTEM_FILES};

const NOBODY: u32 = 65534;
const PATH: &str =
    "/run/windlass/scripts:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Enough to load a firewall or bind a port in the sandbox's own network; nothing that reaches out of it.
const CAPABILITIES: [&str; 3] = ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"];
/// Opens what the sandbox must not see the way to.
const OPEN_FILTER: &str = "exec 8<\"$1\"; shift; ";
const OPEN_PROGRAM: &str = "exec 9<\"$1\"; shift; ";
/// Waits for a line before anything of the sandbox begins: by then the process is in its cgroup.
const HOLD: &str = "read -r go && exec \"$@\"";
/// The program that was opened, as the sandbox sees it.
pub(super) const OPENED: &str = "/proc/self/fd/9";
/// What a shell and `setpriv` end with where the program is not there.
const NOT_THERE: i32 = 127;
/// How those begin who say why there is no sandbox; a check may say the same of something else.
const REFUSALS: [&str; 3] = ["bwrap: ", "setpriv: ", "sh: "];
/// How the inner shell says that the candidate did not fit in.
const NOT_PLACED: &str = "windlass: the candidate could not be placed in the sandbox";

#[derive(Debug, Clone)]
pub struct Limits {
    /// Address space of each process.
    pub memory_bytes: u64,
    /// Memory of all processes and files together, where the worker may make a cgroup.
    pub total_memory_bytes: u64,
    pub processes: u32,
    /// Largest file that may be written.
    pub file_bytes: u64,
    /// All files together.
    pub disk_bytes: u64,
    /// Output after which a program is killed; at most 64 KiB of it are kept.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            total_memory_bytes: 768 << 20,
            processes: 128,
            file_bytes: 128 << 20,
            disk_bytes: 256 << 20,
            output_bytes: 16 << 20,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Sandbox {
    limits: Limits,
    /// Bubblewrap, found in `PATH`.
    pub(super) entry: &'static str,
    /// It was seen to work, and has not failed since.
    works: Arc<AtomicBool>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Sandbox {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entry: "bwrap",
            works: Arc::default(),
        }
    }

    /// By another program than `bwrap`.
    #[must_use]
    pub fn entered_by(self, entry: &'static str) -> Self {
        Self {
            entry,
            works: Arc::default(),
            ..self
        }
    }

    /// Whether all processes of a check meet a limit together; else why not.
    pub fn caged() -> Result<(), &'static str> {
        cages().map(drop)
    }

    /// Whether programs can be run here; else why not. Tried out only until it has worked once.
    pub async fn available(&self) -> Result<(), String> {
        if self.works.load(Ordering::Relaxed) {
            return Ok(());
        }
        let tried = self.try_out().await;
        self.works.store(tried.is_ok(), Ordering::Relaxed);
        tried
    }

    /// Something may have ended before it began: whoever asks next is told.
    pub(super) fn doubt(&self) {
        self.works.store(false, Ordering::Relaxed);
    }

    async fn try_out(&self) -> Result<(), String> {
        let output = self.tried().await;
        let output = output.map_err(|error| format!("bubblewrap cannot be started: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().last().unwrap_or("bubblewrap failed");
        // A program that is missing in the sandbox, or that may not be run here, ends the same way.
        let missing = output.status.code() == Some(NOT_THERE)
            && why.contains(self.entry)
            && (why.ends_with("not found") || why.contains("No such file"));
        Err(if missing {
            "bubblewrap is not installed".to_owned()
        } else {
            why.to_owned()
        })
    }

    async fn tried(&self) -> std::io::Result<Output> {
        let mut command = self.entering(None)?;
        self.describe(&mut command, |_| true, &CAPABILITIES);
        command.args(["/bin/sh", "-c", "exec prlimit --nproc=1 true"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        if let Some(stdin) = &mut child.stdin {
            // One that has ended already says why below.
            let _ = stdin.write_all(b"\n").await;
        }
        child.wait_with_output().await
    }

    /// The command that becomes bubblewrap. It opens files by itself and gives up being root by itself: handing down files and
    /// users from here would copy this whole process first, which in a large worker takes longer than the sandbox.
    pub(super) fn entering(&self, program: Option<&Path>) -> std::io::Result<Command> {
        let filter = filter::path()?;
        let opens = [
            filter.as_ref().map(|_| OPEN_FILTER),
            program.map(|_| OPEN_PROGRAM),
        ];
        let script: String = opens.into_iter().flatten().chain([HOLD]).collect();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script, "sh"]);
        command.args(filter).args(program);
        if is_root() {
            let nobody = NOBODY.to_string();
            command.args(["setpriv", "--reuid", &nobody, "--regid", &nobody]);
            command.arg("--clear-groups");
        }
        command.arg(self.entry);
        Ok(command)
    }

    /// Runs one check to its end; `Err` says why there is no sandbox any more. Dropping the future kills everything it
    /// started.
    pub(super) async fn run(
        &self,
        candidate: &Candidate,
        timeout: Duration,
    ) -> Result<(Ended, String), String> {
        let (ended, output) = self.run_to_its_end(candidate, timeout).await;
        let failed = matches!(ended, Ended::Exit(status) if status != 0);
        let refused = REFUSALS.iter().any(|words| output.starts_with(words));
        if failed && (refused || ended == Ended::Exit(NOT_THERE)) {
            self.doubt();
            self.available().await?;
            // What kept it from beginning may have passed; what a check says by itself it says again.
            return Ok(self.run_to_its_end(candidate, timeout).await);
        }
        Ok((ended, output))
    }

    async fn run_to_its_end(&self, candidate: &Candidate, timeout: Duration) -> (Ended, String) {
        let mut capture = Capture::default();
        let cage = self.cage();
        let ended = match self.start(candidate, timeout, cage.as_ref()) {
            Ok((mut child, mut reader)) => {
                let talk = talk(
                    &mut child,
                    &mut reader,
                    candidate,
                    &mut capture,
                    &self.limits,
                );
                let ended = tokio::time::timeout(timeout, talk).await;
                // Also kills what is left after an error; the process table of the sandbox dies with it.
                let _ = child.kill().await;
                match ended {
                    _ if cage.as_ref().is_some_and(Cage::ran_out) => self.too_much_memory(),
                    Ok(Ok(ended)) => ended,
                    Ok(Err(error)) => Ended::Killed(error.to_string()),
                    Err(_) => Ended::TimedOut,
                }
            }
            Err(error) => Ended::Killed(error.to_string()),
        };
        if let Some(cage) = cage {
            cage.close().await;
        }
        let output = capture.text();
        if ended == Ended::Exit(125) && output.contains(NOT_PLACED) {
            return (
                Ended::Killed("its files could not be placed".to_owned()),
                output,
            );
        }
        (ended, output)
    }

    pub(super) fn cage(&self) -> Option<Cage> {
        let total = Total {
            memory_bytes: self.limits.total_memory_bytes,
            // Bubblewrap itself takes two.
            processes: self.limits.processes + 2,
        };
        let opened = cages().ok()?.open(total);
        opened
            .inspect_err(|error| tracing::warn!(%error, "a check runs without a limit for all its processes together"))
            .ok()
    }

    fn too_much_memory(&self) -> Ended {
        let limit = self.limits.total_memory_bytes >> 20;
        Ended::Killed(format!(
            "its processes and files together took more than {limit} MiB of memory"
        ))
    }

    fn start(
        &self,
        candidate: &Candidate,
        timeout: Duration,
        cage: Option<&Cage>,
    ) -> std::io::Result<(Child, pipe::Receiver)> {
        // One pipe for both streams: the order of a program's lines means something.
        let (reader, writer) = std::io::pipe()?;
        let mut command = self.entering(None)?;
        let is_shown = |path: &str| !candidate.has_below(path);
        self.describe(&mut command, is_shown, &CAPABILITIES);
        if candidate.names_authorities() && is_shown(AUTHORITIES) {
            command.args(["--ro-bind-try", AUTHORITIES, AUTHORITIES]);
        }
        command.args(["/bin/sh", "-c", &self.launcher(timeout)]);
        command
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .kill_on_drop(true);
        let child = command.spawn()?;
        if let (Some(cage), Some(pid)) = (cage, child.id()) {
            cage.admit(pid)?;
        }
        Ok((child, pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?))
    }

    /// Adds bubblewrap's arguments: the sandbox without what runs in it.
    pub(super) fn describe(
        &self,
        command: &mut Command,
        is_shown: impl Fn(&str) -> bool,
        capabilities: &[&str],
    ) {
        let disk = self.limits.disk_bytes.to_string();
        command.env_clear().env("PATH", PATH).current_dir("/");
        command.args([
            "--unshare-all",
            "--unshare-user",
            "--uid",
            "0",
            "--gid",
            "0",
        ]);
        command.args(["--die-with-parent", "--new-session", "--hostname", "check"]);
        command.args(["--clearenv", "--setenv", "PATH", PATH]);
        command.args(["--setenv", "LC_ALL", "C.UTF-8", "--setenv", "HOME", "/root"]);
        command.args(["--size", &disk, "--tmpfs", "/", "--ro-bind", "/usr", "/usr"]);
        for top in ["bin", "sbin", "lib", "lib32", "lib64"] {
            let path = format!("/{top}");
            match std::fs::read_link(&path) {
                Ok(target) => command.arg("--symlink").arg(target).arg(&path),
                Err(_) => command.args(["--ro-bind-try", &path, &path]),
            };
        }
        command.args(["--size", &disk, "--tmpfs", "/usr/local"]);
        for path in SYSTEM_FILES.into_iter().filter(|path| is_shown(path)) {
            command.args(["--ro-bind-try", path, path]);
        }
        for path in ["/root", "/run", "/tmp", "/var/tmp", "/var/log"] {
            command.args(["--dir", path]);
        }
        command.args(["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]);
        if filter::exists() {
            command.args(["--seccomp", filter::NUMBER]);
        }
        command.args(["--cap-drop", "ALL"]);
        for capability in capabilities {
            command.args(["--cap-add", capability]);
        }
    }

    /// The first thing that runs inside: places the candidate, takes the limits, becomes the check. The limits are
    /// taken here because only here are processes counted apart from those of the machine.
    fn launcher(&self, timeout: Duration) -> String {
        let Limits {
            memory_bytes,
            processes,
            file_bytes,
            ..
        } = &self.limits;
        let seconds = timeout.as_secs() + 1;
        format!(
            "umask 022\n\
             echo 1000 > /proc/self/oom_score_adj\n\
             tar --extract --file=- --directory=/ --preserve-permissions --no-same-owner --touch || {{ echo '{NOT_PLACED}'; exit 125; }}\n\
             cd /{SCRIPTS}\n\
             exec prlimit --as={memory_bytes} --nproc={processes} --fsize={file_bytes} --cpu={seconds} --core=0 \
             -- sh -eu /{COMMAND} < /dev/null\n"
        )
    }
}

async fn talk(
    child: &mut Child,
    reader: &mut pipe::Receiver,
    candidate: &Candidate,
    capture: &mut Capture,
    limits: &Limits,
) -> std::io::Result<Ended> {
    let stdin = child.stdin.take();
    let feed = async {
        let Some(mut stdin) = stdin else { return };
        let Ok(archive) = candidate.archive() else {
            return;
        };
        // A sandbox that ends early breaks the pipe; its output and status say why.
        let _ = stdin.write_all(b"\n").await;
        let _ = stdin.write_all(&archive).await;
    };
    let ((), complete) = tokio::join!(feed, capture.read(reader, limits.output_bytes));
    if !complete? {
        let limit = limits.output_bytes >> 20;
        return Ok(Ended::Killed(format!("it printed more than {limit} MiB")));
    }
    let status = child.wait().await?;
    Ok(match status.code() {
        Some(code) => Ended::Exit(code),
        None => Ended::Killed(status.to_string()),
    })
}

pub(super) fn is_root() -> bool {
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|meta| meta.uid() == 0)
}
