//! One SSH connection to a node: an OpenSSH master that several commands share. A node that hangs, a link that
//! dies without a word and a command that never ends all become errors in bounded time.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use windlass_core::ids::NodeName;

use super::login::{Login, Target};
use crate::ports::NodeError;

/// sshd's `MaxSessions` is 10; what is above it fails without a reason.
const COMMANDS_AT_ONCE: usize = 6;
/// Together with `ServerAliveCountMax 3`: a dead link is noticed after 15 seconds.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// A connection that was not used for so long is asked whether it still stands.
const FRESH_FOR: Duration = Duration::from_secs(5);
const CHECK_WITHIN: Duration = Duration::from_secs(2);
/// A master left behind by a killed worker goes away by itself.
const IDLE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(89);

pub(super) struct Connection {
    session: Session,
    permits: Semaphore,
    used: std::sync::Mutex<Instant>,
}

/// Why nothing is known of a command's end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("no answer within {} seconds", .0.as_secs())]
    Late(Duration),
    #[error("{0}")]
    Broken(String),
}

impl Connection {
    pub(super) async fn dial(
        dir: &Path,
        config: &Path,
        node: &NodeName,
        target: &Target,
        login: &Login,
    ) -> Result<Self, NodeError> {
        let mut builder = SessionBuilder::default();
        builder
            .user(target.user.clone())
            .port(target.port)
            .known_hosts_check(KnownHosts::Strict)
            .config_file(config)
            .control_directory(dir)
            .clean_history_control_directory(false)
            .control_persist(ControlPersist::IdleFor(IDLE))
            .connect_timeout(login.connect_timeout)
            .server_alive_interval(ALIVE_EVERY);
        if let Some(key) = &login.key {
            builder.keyfile(key);
        }
        // `ssh` keeps its own timeout for connecting only; logging in may hang as well.
        let limit = login.connect_timeout * 2 + CHECK_WITHIN;
        let session = tokio::time::timeout(limit, builder.connect(&target.host))
            .await
            .unwrap_or_else(|_| Err(openssh::Error::Connect(io::ErrorKind::TimedOut.into())))
            .map_err(|error| refused(node, target, &error))?;
        Ok(Self {
            session,
            permits: Semaphore::new(COMMANDS_AT_ONCE),
            used: std::sync::Mutex::new(Instant::now()),
        })
    }

    /// Whether the other end still answers; asked only after a while without use.
    pub(super) async fn stands(&self) -> bool {
        let idle = self.used.lock().map_or(FRESH_FOR, |used| used.elapsed());
        if idle < FRESH_FOR {
            return true;
        }
        matches!(
            tokio::time::timeout(CHECK_WITHIN, self.session.check()).await,
            Ok(Ok(()))
        )
    }

    /// Runs a command with this on its standard input.
    pub(super) async fn run(
        &self,
        argv: &[&str],
        stdin: &[u8],
        limit: Duration,
    ) -> Result<Output, Lost> {
        let run = self.run_unbounded(argv, stdin);
        let output = tokio::time::timeout(limit, run)
            .await
            .map_err(|_| Lost::Late(limit))?
            .map_err(|error| Lost::Broken(with_sources(&error)))?;
        if let Ok(mut used) = self.used.lock() {
            *used = Instant::now();
        }
        Ok(output)
    }

    async fn run_unbounded(&self, argv: &[&str], stdin: &[u8]) -> Result<Output, openssh::Error> {
        let _permit = self.permits.acquire().await;
        let Some((program, arguments)) = argv.split_first() else {
            return Err(openssh::Error::Remote(io::ErrorKind::InvalidInput.into()));
        };
        let mut child = self
            .session
            .command(*program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .await?;
        let pipe = child.stdin().take();
        let feed = async {
            if let Some(mut pipe) = pipe {
                // A command that ends without reading everything says why by itself.
                let _ = pipe.write_all(stdin).await;
                let _ = pipe.shutdown().await;
            }
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        output
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Says in a person's words why no connection came about, and what to look at.
fn refused(node: &NodeName, target: &Target, error: &openssh::Error) -> NodeError {
    let text = with_sources(error);
    let node = node.clone();
    let host = &target.host;
    if text.contains("HOST IDENTIFICATION HAS CHANGED")
        || text.contains("Host key verification failed")
    {
        let why = format!(
            "no key of {host} is among `ssh.host_keys` in its file; if the machine was set up anew, pin the key \
             that `cat /etc/ssh/ssh_host_ed25519_key.pub` prints on its console"
        );
        return NodeError::HostKey { node, why };
    }
    let why = if text.contains("Permission denied (") {
        format!(
            "{host} refuses the worker's SSH key for user {}; add its public half to that user's authorized_keys",
            target.user
        )
    } else {
        let last = text.lines().last().unwrap_or("no reason given");
        format!(
            "{last} (ssh to {host} port {}: is the machine up, the address right, the port open?)",
            target.port
        )
    };
    NodeError::Unreachable { node, why }
}
