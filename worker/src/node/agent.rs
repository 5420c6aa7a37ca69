//! The client of `agent.sh`: brings it to the node at first contact, calls its verbs, and turns what it says
//! into the ports' types. All verbs may be repeated, so a caller that does not know how one ended calls it again.

use std::collections::BTreeMap;
use std::io;
use std::process::Output;
use std::sync::LazyLock;
use std::time::Duration;

use windlass_core::ids::{Digest, NodeName, NodePath};
use windlass_core::observed::NodeState;
use windlass_core::plan::Turn;
use windlass_core::release::Release;

use super::answer::{Answer, End, bytes_of, exit_of, text_of};
use super::login::{Login, Target};
use super::pool::Pool;
use super::session::Lost;
use super::{archive, state};
use crate::ports::{CheckOutput, Claimed, Fence, NodeError, NodeReader, NodeWriter};

const TEXT: &str = include_str!("../../node/agent.sh");
static PATH: LazyLock<String> =
    LazyLock::new(|| format!("/var/lib/windlass/agent-{}", Digest::of(TEXT.as_bytes())));

/// `$1` is the agent's path, `$2` and what follows its arguments.
const CALL: &str = r#"[ -f "$1" ] || { printf 'end\tmissing\tno agent\n'; exit 1; }; exec sh "$@""#;
/// `$1` is the agent's path; its name holds the digest of what must arrive on stdin.
const INSTALL: &str = r#"umask 077; mkdir -p "${1%/*}" && cat >"$1.$$" &&
printf '%s  %s\n' "${1##*-}" "$1.$$" | sha256sum --quiet --strict -c - &&
mv -f "$1.$$" "$1" && printf 'end\tok\t\n' || { rm -f "$1.$$"; exit 1; }"#;
const SUDO: &str = r#"command -v sudo >/dev/null || { echo 'sudo: it is not installed' >&2; exit 1; }
exec sudo -n sh -c "$@""#;

/// Looking at a node.
const LOOK: Duration = Duration::from_secs(60);
/// The agent waits for its lock for a minute by itself; a turn's steps have their own timeouts.
const CHANGE: Duration = Duration::from_secs(15 * 60);
/// Packages may have to be downloaded.
const STAGE: Duration = Duration::from_secs(30 * 60);

/// All nodes of a cluster.
pub struct Nodes {
    pool: Pool,
}

/// One call of the agent.
struct Call<'a> {
    verb: &'a str,
    fence: Option<&'a Fence>,
    arguments: &'a [&'a str],
    stdin: &'a [u8],
    limit: Duration,
}

impl Nodes {
    pub fn new(login: Login, targets: BTreeMap<NodeName, Target>) -> io::Result<Self> {
        let pool = Pool::new(login, targets)?;
        Ok(Self { pool })
    }

    /// Removes what Windlass keeps on the node, but none of the files that it manages.
    pub async fn forget(&self, fence: &Fence, node: &NodeName) -> Result<(), NodeError> {
        self.change(node, fence, "forget", &[]).await.map(drop)
    }

    async fn change(
        &self,
        node: &NodeName,
        fence: &Fence,
        verb: &str,
        arguments: &[&str],
    ) -> Result<Answer, NodeError> {
        self.call(node, &Call::changing(verb, fence, arguments))
            .await
    }

    async fn look(
        &self,
        node: &NodeName,
        verb: &str,
        arguments: &[&str],
        stdin: &[u8],
    ) -> Result<Answer, NodeError> {
        let call = Call {
            verb,
            fence: None,
            arguments,
            stdin,
            limit: LOOK,
        };
        self.call(node, &call).await
    }

    async fn call(&self, node: &NodeName, call: &Call<'_>) -> Result<Answer, NodeError> {
        let mut answer = self.ask(node, call).await?;
        if answer.end == End::Missing {
            self.install(node).await?;
            answer = self.ask(node, call).await?;
        }
        answer.into_result(node, call.verb)
    }

    async fn ask(&self, node: &NodeName, call: &Call<'_>) -> Result<Answer, NodeError> {
        let number = call.fence.map(|fence| fence.number.to_string());
        let mut argv = vec![PATH.as_str(), call.verb];
        if let (Some(fence), Some(number)) = (call.fence, &number) {
            argv.extend(["--fence", number, "--holder", &fence.holder]);
            argv.extend(["--cluster", fence.cluster.as_str()]);
        }
        argv.extend(call.arguments);
        self.shell(node, CALL, &argv, call.stdin, call.limit).await
    }

    async fn install(&self, node: &NodeName) -> Result<(), NodeError> {
        let answer = self
            .shell(node, INSTALL, &[&PATH], TEXT.as_bytes(), LOOK)
            .await?;
        answer.into_result(node, "install the agent").map(drop)
    }

    /// Runs a shell text as root and reads its answer.
    async fn shell(
        &self,
        node: &NodeName,
        script: &str,
        arguments: &[&str],
        stdin: &[u8],
        limit: Duration,
    ) -> Result<Answer, NodeError> {
        let mut argv = vec!["sh", "-c"];
        if self.pool.target(node)?.sudo {
            argv.extend([SUDO, "windlass"]);
        }
        argv.extend([script, "windlass"]);
        argv.extend(arguments);
        let output = self.run_through(node, &argv, stdin, limit).await?;
        Answer::parse(&output.stdout)
            .ok_or_else(|| no_answer(node, &String::from_utf8_lossy(&output.stderr)))
    }

    /// A connection that broke since it was last used is replaced once, unseen: every command may be repeated.
    async fn run_through(
        &self,
        node: &NodeName,
        argv: &[&str],
        stdin: &[u8],
        limit: Duration,
    ) -> Result<Output, NodeError> {
        loop {
            let (connection, new) = self.pool.connection(node).await?;
            match connection.run(argv, stdin, limit).await {
                Ok(output) => return Ok(output),
                Err(Lost::Broken(_)) if !new => self.pool.retire(node).await,
                Err(lost) => {
                    self.pool.retire(node).await;
                    return Err(NodeError::Unreachable {
                        node: node.clone(),
                        why: lost.to_string(),
                    });
                }
            }
        }
    }
}

impl<'a> Call<'a> {
    fn changing(verb: &'a str, fence: &'a Fence, arguments: &'a [&'a str]) -> Self {
        Self {
            verb,
            fence: Some(fence),
            arguments,
            stdin: &[],
            limit: CHANGE,
        }
    }
}

/// The command ended, but not as the agent ends.
fn no_answer(node: &NodeName, stderr: &str) -> NodeError {
    let node = node.clone();
    let last: Vec<&str> = stderr.lines().rev().take(3).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("; ");
    if last.starts_with("sudo:") {
        let why = format!(
            "{last} (its file says `sudo: true`; allow it with NOPASSWD in /etc/sudoers.d)"
        );
        let drift = Vec::new();
        return NodeError::Refused { node, why, drift };
    }
    if last.contains("Permission denied") {
        let why = format!("{last} (the agent needs root: log in as root, or set `sudo: true`)");
        let drift = Vec::new();
        return NodeError::Refused { node, why, drift };
    }
    let why = format!("the answer broke off: {last}");
    NodeError::Unreachable { node, why }
}

fn misread(node: &NodeName, why: impl Into<String>) -> NodeError {
    NodeError::Failed {
        node: node.clone(),
        step: "read the agent's answer".to_owned(),
        why: why.into(),
        log: Vec::new(),
    }
}

impl Nodes {
    async fn stored(
        &self,
        node: &NodeName,
        verb: &str,
        paths: &[NodePath],
    ) -> Result<BTreeMap<NodePath, Vec<u8>>, NodeError> {
        let wanted: String = paths.iter().map(|path| format!("{path}\n")).collect();
        let answer = self.look(node, verb, &[], wanted.as_bytes()).await?;
        let Some(packed) = answer.one("tar") else {
            return Ok(BTreeMap::new());
        };
        let packed = bytes_of(packed).ok_or_else(|| misread(node, "files are not base64"))?;
        archive::unpack(&packed).map_err(|error| misread(node, error.to_string()))
    }
}

impl NodeReader for Nodes {
    async fn status(&self, node: &NodeName) -> Result<NodeState, NodeError> {
        let answer = self.look(node, "status", &[], &[]).await?;
        state::parse(&answer).map_err(|why| misread(node, why))
    }

    async fn read_files(
        &self,
        node: &NodeName,
        paths: &[NodePath],
    ) -> Result<BTreeMap<NodePath, Vec<u8>>, NodeError> {
        self.stored(node, "read", paths).await
    }

    async fn logs(
        &self,
        node: &NodeName,
        unit: &str,
        lines: u32,
    ) -> Result<Vec<String>, NodeError> {
        let count = lines.to_string();
        let answer = self.look(node, "logs", &[unit, &count], &[]).await?;
        let text = answer.one("log").and_then(text_of).unwrap_or_default();
        Ok(text.lines().map(str::to_owned).collect())
    }
}

impl NodeWriter for Nodes {
    async fn read_secrets(
        &self,
        node: &NodeName,
        paths: &[NodePath],
    ) -> Result<BTreeMap<NodePath, Vec<u8>>, NodeError> {
        self.stored(node, "read-secret", paths).await
    }

    async fn claim(&self, fence: &Fence, node: &NodeName) -> Result<Claimed, NodeError> {
        let answer = self.change(node, fence, "claim", &[]).await?;
        let before = state::before(&answer).ok_or_else(|| misread(node, "who held it before"))?;
        let state = state::parse(&answer).map_err(|what| misread(node, what))?;
        Ok(Claimed { before, state })
    }

    async fn stage(
        &self,
        fence: &Fence,
        token: &str,
        release: &Release,
        turn: &Turn,
    ) -> Result<(), NodeError> {
        let packed = archive::pack(release, turn).map_err(|error| NodeError::Refused {
            node: turn.node.clone(),
            why: error.to_string(),
            drift: Vec::new(),
        })?;
        let arguments = [token];
        let call = Call {
            stdin: &packed,
            limit: STAGE,
            ..Call::changing("stage", fence, &arguments)
        };
        self.call(&turn.node, &call).await.map(drop)
    }

    async fn check(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
    ) -> Result<Vec<CheckOutput>, NodeError> {
        let answer = self.change(node, fence, "check", &[token]).await?;
        let outputs = answer.all("check").map(|values| {
            let [index, exit, output] = values else {
                return None;
            };
            Some(CheckOutput {
                index: index.parse().ok()?,
                exit: exit_of(exit),
                output: text_of(output)?,
            })
        });
        outputs
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| misread(node, "a line of check"))
    }

    async fn drain(&self, fence: &Fence, token: &str, node: &NodeName) -> Result<(), NodeError> {
        self.change(node, fence, "drain", &[token]).await.map(drop)
    }

    async fn undrain(&self, fence: &Fence, token: &str, node: &NodeName) -> Result<(), NodeError> {
        self.change(node, fence, "undrain", &[token])
            .await
            .map(drop)
    }

    async fn activate(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
        seconds: u32,
    ) -> Result<(), NodeError> {
        let seconds = seconds.to_string();
        let answer = self
            .change(node, fence, "activate", &[token, &seconds])
            .await;
        // Whatever follows must prove that a new connection comes through.
        self.pool.retire(node).await;
        answer.map(drop)
    }

    async fn extend(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
        seconds: u32,
    ) -> Result<(), NodeError> {
        // Another worker may have activated, while our connection stood already.
        self.pool.retire(node).await;
        let seconds = seconds.to_string();
        self.change(node, fence, "extend", &[token, &seconds])
            .await
            .map(drop)
    }

    async fn confirm(&self, fence: &Fence, token: &str, node: &NodeName) -> Result<(), NodeError> {
        self.change(node, fence, "confirm", &[token])
            .await
            .map(drop)
    }

    async fn rollback(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
        reason: &str,
    ) -> Result<(), NodeError> {
        let reason: String = reason
            .chars()
            .filter(|c| !c.is_control())
            .take(500)
            .collect();
        self.change(node, fence, "rollback", &[token, &reason])
            .await
            .map(drop)
    }

    async fn run(
        &self,
        node: &NodeName,
        script: &str,
        timeout: u32,
    ) -> Result<(Option<i32>, String), NodeError> {
        let seconds = timeout.max(1).to_string();
        let call = Call {
            verb: "run",
            fence: None,
            arguments: &[&seconds],
            stdin: script.as_bytes(),
            limit: Duration::from_secs(u64::from(timeout)) + LOOK,
        };
        let answer = self.call(node, &call).await?;
        match answer.all("exit").next() {
            Some([exit, output]) => Ok((exit_of(exit), text_of(output).unwrap_or_default())),
            _ => Err(misread(node, "no line exit")),
        }
    }
}
