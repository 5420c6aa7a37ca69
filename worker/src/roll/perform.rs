//! Performs one step and says what came of it, as an event. Which answer means what is fixed here once: no
//! connection is never taken for a no, and a no never for a failure that has changed something.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::check::{self, Ended};
use windlass_core::codes::nodes::{HOST_KEY, NODE_REFUSED, STEP_FAILED, STUCK, UNREACHABLE};
use windlass_core::finding::{Finding, Findings};
use windlass_core::ids::NodeName;
use windlass_core::plan::Plan;
use windlass_core::release::{Bundle, Check, Release};
use windlass_core::roll::{Act, Fate, RollEvent, Step, fate};

use super::clock::Clock;
use super::driver::Observer;
use crate::ports::{CheckOutput, Fence, NodeError, NodeWriter, Prober};

pub(super) struct Performer<N, P> {
    pub(super) nodes: Arc<N>,
    pub(super) prober: Arc<P>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) plan: Plan,
    pub(super) bundle: Arc<Bundle>,
    pub(super) fence: Fence,
    pub(super) tokens: BTreeMap<NodeName, String>,
    pub(super) clock: Clock,
}

impl<N: NodeWriter + 'static, P: Prober + 'static> Performer<N, P> {
    pub(super) async fn perform(self: Arc<Self>, step: Step) -> RollEvent {
        let (nodes, fence) = (&self.nodes, &self.fence);
        match step {
            Step::Stage { node } => self.stage(node).await,
            Step::Check { node } => self.check(node).await,
            Step::Drain { node } => {
                let result = nodes.drain(fence, self.token(&node), &node).await;
                self.told(node, Act::Drain, result).await
            }
            Step::Activate { node, seconds } => {
                let token = self.token(&node);
                let result = nodes.activate(fence, token, &node, seconds).await;
                self.told(node, Act::Activate, result).await
            }
            Step::Extend { node, seconds } => {
                let token = self.token(&node);
                let result = nodes.extend(fence, token, &node, seconds).await;
                self.told(node, Act::Extend, result).await
            }
            Step::Undrain { node } => {
                let result = nodes.undrain(fence, self.token(&node), &node).await;
                self.told(node, Act::Undrain, result).await
            }
            Step::Confirm { node } => {
                let result = nodes.confirm(fence, self.token(&node), &node).await;
                self.told(node, Act::Confirm, result).await
            }
            Step::Rollback { node, reason } => {
                let token = self.token(&node);
                let result = nodes.rollback(fence, token, &node, &reason).await;
                self.told(node, Act::Rollback, result).await
            }
            Step::Hold(hold) => self.hold(hold).await,
            Step::Ask { node, not_before } => {
                self.clock.sleep_until(not_before).await;
                self.ask(node).await
            }
            Step::Record(event) => event,
            // Never handed to a performer.
            Step::Finish(_) => RollEvent::Cancelled,
        }
    }

    fn token(&self, node: &NodeName) -> &str {
        self.tokens.get(node).map_or("", String::as_str)
    }

    async fn told(&self, node: NodeName, act: Act, result: Result<(), NodeError>) -> RollEvent {
        let Err(error) = result else {
            return RollEvent::Done { node, act };
        };
        let message = error.to_string();
        match error {
            NodeError::Unreachable { .. } | NodeError::HostKey { .. } => {
                RollEvent::Lost { node, act, message }
            }
            NodeError::Refused { .. } => RollEvent::Declined { node, act, message },
            NodeError::Failed { why, mut log, .. } => {
                log.extend(self.logs_of_turn(&node).await);
                RollEvent::Failed {
                    node,
                    act,
                    what: act.word().to_owned(),
                    message: why,
                    log,
                    culprit: None,
                }
            }
            NodeError::Fenced { why, .. } => RollEvent::Fenced { node, message: why },
            NodeError::Stuck { why, .. } => RollEvent::Stuck { node, message: why },
        }
    }

    async fn stage(&self, node: NodeName) -> RollEvent {
        let act = Act::Stage;
        let token = self.token(&node);
        let release = self.bundle.releases.get(&node);
        let (Some(release), Some(turn)) = (release, self.plan.turns.get(&node)) else {
            return no_release(node);
        };
        match self.nodes.stage(&self.fence, token, release, turn).await {
            Ok(()) => RollEvent::Done { node, act },
            Err(error) => untouched(node, &error),
        }
    }

    async fn check(&self, node: NodeName) -> RollEvent {
        let act = Act::Check;
        let Some(release) = self.bundle.releases.get(&node) else {
            return no_release(node);
        };
        let token = self.token(&node);
        let outputs = match self.nodes.check(&self.fence, token, &node).await {
            Ok(outputs) => outputs,
            Err(error) => return untouched(node, &error),
        };
        let findings = judge(release, &outputs);
        if findings.has_errors() {
            let on = |mut finding: Finding| {
                finding.node.get_or_insert_with(|| node.clone());
                finding
            };
            let findings = findings.into_iter().map(on).collect();
            return RollEvent::Refused { node, findings };
        }
        RollEvent::Done { node, act }
    }

    /// Whoever asks also claims the node: what it tells stays true of everyone who is behind.
    async fn ask(&self, node: NodeName) -> RollEvent {
        let fence = &self.fence;
        match self.nodes.claim(fence, &node).await {
            Ok(claimed) => {
                let token = self.token(&node);
                let fate = fate(&claimed.state, fence.number, &fence.holder, token);
                RollEvent::Learned { node, fate }
            }
            Err(NodeError::Fenced { why, .. }) => RollEvent::Learned {
                node,
                fate: Fate::Fenced { message: why },
            },
            Err(error) => RollEvent::NoAnswer {
                node,
                message: error.to_string(),
            },
        }
    }
}

/// A resumed roll never stages, so this does not happen; if it did, nothing would be touched.
fn no_release(node: NodeName) -> RollEvent {
    let message = format!("the release of {node} is not at hand");
    RollEvent::Refused {
        findings: [Finding::error(NODE_REFUSED, message).on(&node)]
            .into_iter()
            .collect(),
        node,
    }
}

/// An error of a step that changes nothing live.
fn untouched(node: NodeName, error: &NodeError) -> RollEvent {
    let code = match error {
        NodeError::Fenced { why, .. } => {
            let message = why.clone();
            return RollEvent::Fenced { node, message };
        }
        NodeError::Unreachable { .. } => UNREACHABLE,
        NodeError::HostKey { .. } => HOST_KEY,
        NodeError::Refused { .. } => NODE_REFUSED,
        NodeError::Failed { .. } => STEP_FAILED,
        NodeError::Stuck { .. } => STUCK,
    };
    let finding = Finding::error(code, error.to_string()).on(&node);
    RollEvent::Refused {
        node,
        findings: [finding].into_iter().collect(),
    }
}

fn judge(release: &Release, outputs: &[CheckOutput]) -> Findings {
    let components = release.meta.components.iter();
    let checks: Vec<&Check> = components.flat_map(|component| &component.checks).collect();
    let mut findings = Findings::default();
    for output in outputs {
        if let Some(check) = checks.get(output.index) {
            let ended = output.exit.map_or(Ended::TimedOut, Ended::Exit);
            findings.extend(check::judge(check, &ended, &output.output, release));
        }
    }
    findings
}
