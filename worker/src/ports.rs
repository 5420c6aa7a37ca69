//! What the flow and the roll need of the world, as small traits. Reading and writing are separate, so that a
//! preview or a plan is never handed something that can change a node.

pub mod forge;
mod strongbox;

use std::collections::BTreeMap;
use std::future::Future;

use windlass_core::gate::{Gate, ProbeResult};
use windlass_core::ids::{ClusterName, NodeName, NodePath};
use windlass_core::observed::NodeState;
use windlass_core::plan::Turn;
use windlass_core::release::Release;

pub use strongbox::{Doing, OpenBox, Strongbox};

/// Who acts: the agent refuses everyone who holds a smaller fence, or the same fence under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    pub cluster: ClusterName,
    pub number: u64,
    pub holder: String,
}

/// What a node said when it was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The fence that it held until then, and whose it was.
    pub before: (u64, String),
    pub state: NodeState,
}

/// Why a node did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NodeError {
    /// No connection, a lost one, or an answer that broke off: nobody knows what happened on the node.
    #[error("{node} cannot be reached: {why}")]
    Unreachable { node: NodeName, why: String },
    /// The host key is not the one pinned in the repository.
    #[error("{node} answers with another SSH host key than its file pins: {why}")]
    HostKey { node: NodeName, why: String },
    /// The node refused before changing anything.
    #[error("{node} refused: {why}")]
    Refused {
        node: NodeName,
        why: String,
        drift: Vec<NodePath>,
    },
    /// A step failed on the node; for `activate` the node has put the old release back already.
    #[error("{node}: {step} failed: {why}")]
    Failed {
        node: NodeName,
        step: String,
        why: String,
        log: Vec<String>,
    },
    /// Someone else holds a higher fence.
    #[error("{node} follows a newer roll: {why}")]
    Fenced { node: NodeName, why: String },
    /// The node itself could not go back.
    #[error("{node} is stuck half way: {why}")]
    Stuck { node: NodeName, why: String },
}

/// What a check on the node printed; judged by `windlass_core::check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOutput {
    /// Index into the turn's checks, in the order of the release's components.
    pub index: usize,
    /// `None` when it ran into its timeout.
    pub exit: Option<i32>,
    pub output: String,
}

pub trait NodeReader: Send + Sync {
    fn status(&self, node: &NodeName) -> impl Future<Output = Result<NodeState, NodeError>> + Send;
    /// The stored contents (serials not bound) of these files of the current release; secret ones are left out.
    fn read_files(
        &self,
        node: &NodeName,
        paths: &[NodePath],
    ) -> impl Future<Output = Result<BTreeMap<NodePath, Vec<u8>>, NodeError>> + Send;
    /// The last lines of a unit's log.
    fn logs(
        &self,
        node: &NodeName,
        unit: &str,
        lines: u32,
    ) -> impl Future<Output = Result<Vec<String>, NodeError>> + Send;
}

pub trait NodeWriter: NodeReader {
    /// The stored contents of these files of the current release, secret ones alone. Not for readers: a preview is
    /// never handed something that can see a secret.
    fn read_secrets(
        &self,
        node: &NodeName,
        paths: &[NodePath],
    ) -> impl Future<Output = Result<BTreeMap<NodePath, Vec<u8>>, NodeError>> + Send;
    /// Makes the node refuse everyone with a smaller fence, and says what it held before.
    fn claim(
        &self,
        fence: &Fence,
        node: &NodeName,
    ) -> impl Future<Output = Result<Claimed, NodeError>> + Send;
    /// Brings the release and the turn to the node and installs missing packages; nothing live is touched.
    fn stage(
        &self,
        fence: &Fence,
        token: &str,
        release: &Release,
        turn: &Turn,
    ) -> impl Future<Output = Result<(), NodeError>> + Send;
    fn check(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
    ) -> impl Future<Output = Result<Vec<CheckOutput>, NodeError>> + Send;
    fn drain(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
    ) -> impl Future<Output = Result<(), NodeError>> + Send;
    fn undrain(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
    ) -> impl Future<Output = Result<(), NodeError>> + Send;
    /// Arms the dead-man for `seconds`, changes the files, runs the actions. A failure has gone back already.
    fn activate(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
        seconds: u32,
    ) -> impl Future<Output = Result<(), NodeError>> + Send;
    /// Over a new connection: proves that the node can be reached, and gives it `seconds` more.
    fn extend(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
        seconds: u32,
    ) -> impl Future<Output = Result<(), NodeError>> + Send;
    fn confirm(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
    ) -> impl Future<Output = Result<(), NodeError>> + Send;
    /// Puts the release before this attempt back. Fine when it went back already.
    fn rollback(
        &self,
        fence: &Fence,
        token: &str,
        node: &NodeName,
        reason: &str,
    ) -> impl Future<Output = Result<(), NodeError>> + Send;
    /// Runs a shell text on the node (command gates); its exit status and output.
    fn run(
        &self,
        node: &NodeName,
        script: &str,
        timeout: u32,
    ) -> impl Future<Output = Result<(Option<i32>, String), NodeError>> + Send;
}

pub trait Prober: Send + Sync {
    /// Probes once. A gate with `Probe::Command` is run on `node` by the caller instead.
    fn probe(&self, gate: &Gate) -> impl Future<Output = ProbeResult> + Send;
}
