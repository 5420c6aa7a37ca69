//! Probes gates until they have held or one failed. Each gate has a loop of its own, so that a slow one delays no
//! other; `Vigil` in the core judges.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};
use windlass_core::gate::{Gate, Probe, ProbeResult};
use windlass_core::ids::{ComponentName, NodeName};
use windlass_core::roll::vigil::{Verdict, Vigil};
use windlass_core::roll::{Hold, RollEvent};

use super::perform::Performer;
use crate::ports::{NodeWriter, Prober};

/// Between two probes of a gate: quick at first, because most hold at once.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// More probes at a time would be a burden on small nodes.
const PROBES_AT_ONCE: usize = 32;
/// Deadlines are looked at this often, also while every probe hangs.
const TICK: Duration = Duration::from_millis(250);

const LOG_LINES: u32 = 20;
const MAX_LOG_LINES: usize = 60;
const LOG_PATIENCE: Duration = Duration::from_secs(10);

impl<N: NodeWriter + 'static, P: Prober + 'static> Performer<N, P> {
    pub(super) async fn hold(self: &Arc<Self>, hold: Hold) -> RollEvent {
        let (sender, mut results) = mpsc::channel(PROBES_AT_ONCE);
        let probes = Arc::new(Semaphore::new(PROBES_AT_ONCE));
        let mut loops = JoinSet::new();
        for (index, watched) in hold.gates.iter().enumerate() {
            let (me, probes, sender) = (Arc::clone(self), Arc::clone(&probes), sender.clone());
            let (node, gate) = (watched.node.clone(), watched.gate.clone());
            loops.spawn(async move {
                let mut pause = FIRST_PAUSE;
                loop {
                    let Ok(turn) = probes.acquire().await else {
                        return;
                    };
                    let began = me.clock.now();
                    let result = me.probe(&node, &gate).await;
                    drop(turn);
                    if sender.send((index, result, began)).await.is_err() {
                        return;
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            });
        }
        let mut vigil = Vigil::new(hold, self.clock.now());
        loop {
            match vigil.verdict(self.clock.now()) {
                Verdict::Pending => {}
                Verdict::Held => {
                    let Hold { node, act, .. } = vigil.hold().clone();
                    return RollEvent::Done { node, act };
                }
                Verdict::Failed { index, seen } => return self.broken(&vigil, index, seen).await,
            }
            if let Ok(Some((index, result, began))) = timeout(TICK, results.recv()).await {
                vigil.note(index, &result, began, self.clock.now());
                self.tell(&vigil);
            }
        }
    }

    fn tell(&self, vigil: &Vigil) {
        self.observer.stalls(vigil.is_stalled(self.clock.now()));
        let hold = vigil.hold();
        if let Some((index, seen)) = vigil.waiting_for()
            && let Some(watched) = hold.gates.get(index)
        {
            let label = &watched.gate.label;
            self.observer
                .waiting(&hold.node, &watched.node, label, seen);
        }
    }

    async fn probe(&self, node: &NodeName, gate: &Gate) -> ProbeResult {
        let Probe::Command { run, timeout } = &gate.probe else {
            return self.prober.probe(gate).await;
        };
        match self.nodes.run(node, run, *timeout).await {
            Ok((Some(0), output)) => ProbeResult {
                ok: true,
                seen: last_line(&output).to_owned(),
            },
            Ok((exit, output)) => {
                let exit = exit.map_or_else(
                    || format!("no end within {timeout} s"),
                    |exit| format!("exit status {exit}"),
                );
                let seen = format!("{exit}: {}", last_line(&output));
                ProbeResult { ok: false, seen }
            }
            Err(error) => ProbeResult {
                ok: false,
                seen: error.to_string(),
            },
        }
    }

    async fn broken(&self, vigil: &Vigil, index: usize, seen: String) -> RollEvent {
        let Hold {
            node, act, gates, ..
        } = vigil.hold().clone();
        let Some(watched) = gates.get(index) else {
            return RollEvent::Done { node, act };
        };
        let component = &watched.gate.component;
        let log = self.logs(&watched.node, |name| name == component).await;
        RollEvent::Failed {
            culprit: (watched.node != node).then(|| watched.node.clone()),
            what: watched.gate.label.clone(),
            message: if seen.is_empty() {
                "it was never probed".to_owned()
            } else {
                seen
            },
            node,
            act,
            log,
        }
    }

    /// The last lines of the services whose actions belong to the turn.
    pub(super) async fn logs_of_turn(&self, node: &NodeName) -> Vec<String> {
        let Some(turn) = self.plan.turns.get(node) else {
            return Vec::new();
        };
        let acted = |name: &ComponentName| turn.forward.iter().any(|c| c.component == *name);
        self.logs(node, acted).await
    }

    async fn logs(&self, node: &NodeName, which: impl Fn(&ComponentName) -> bool) -> Vec<String> {
        let Some(turn) = self.plan.turns.get(node) else {
            return Vec::new();
        };
        let units = turn.units.iter().filter(|(name, _)| which(name));
        let mut lines = Vec::new();
        for unit in units.flat_map(|(_, units)| units) {
            let asked = timeout(LOG_PATIENCE, self.nodes.logs(node, unit, LOG_LINES)).await;
            if let Ok(Ok(log)) = asked {
                lines.extend(log);
            }
        }
        lines.truncate(MAX_LOG_LINES);
        lines
    }
}

fn last_line(output: &str) -> &str {
    let mut lines = output.lines().rev();
    lines
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
}
