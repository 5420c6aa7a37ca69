//! What is to be done next, complete: the driver needs to decide nothing.

use jiff::Timestamp;

use super::event::{Act, RollEvent};
use crate::gate::Gate;
use crate::ids::NodeName;
use crate::outcome::Outcome;
use crate::plan::{Timing, Turn};

/// A node that boots needs about this long until it can tell what became of it.
const BOOT_SECONDS: u32 = 120;
/// Beyond what the steps may take, for the connections between them.
const SLACK_SECONDS: u32 = 60;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Stage {
        node: NodeName,
    },
    Check {
        node: NodeName,
    },
    Drain {
        node: NodeName,
    },
    /// Arms the dead-man with `seconds`.
    Activate {
        node: NodeName,
        seconds: u32,
    },
    Extend {
        node: NodeName,
        seconds: u32,
    },
    Undrain {
        node: NodeName,
    },
    Confirm {
        node: NodeName,
    },
    Rollback {
        node: NodeName,
        reason: String,
    },
    Hold(Hold),
    /// Asks the node what became of it, not before this time.
    Ask {
        node: NodeName,
        not_before: Timestamp,
    },
    /// Nothing to do but to write this down.
    Record(RollEvent),
    Finish(Outcome),
}

/// Probes gates until they have all held, or one failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Whose turn it is.
    pub node: NodeName,
    /// `Before`, `Gates` or `Soak`.
    pub act: Act,
    pub gates: Vec<Watched>,
    /// Seconds that must pass even where no gate asks for them.
    pub at_least: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Whose gate it is.
    pub node: NodeName,
    pub gate: Gate,
    pub purpose: HoldPurpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldPurpose {
    /// Must begin to hold within `deadline` seconds and then hold for `hold` seconds without a break.
    Must { hold: u32, deadline: u32 },
    /// Held before; may be broken for `tolerance` seconds.
    Keep { tolerance: u32 },
}

impl Step {
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Stage { node }
            | Self::Check { node }
            | Self::Drain { node }
            | Self::Activate { node, .. }
            | Self::Extend { node, .. }
            | Self::Undrain { node }
            | Self::Confirm { node }
            | Self::Rollback { node, .. }
            | Self::Ask { node, .. } => Some(node),
            Self::Hold(hold) => Some(&hold.node),
            Self::Record(_) | Self::Finish(_) => None,
        }
    }

    /// What is written down before the step is done; asking needs no trace.
    pub fn act(&self) -> Option<Act> {
        Some(match self {
            Self::Stage { .. } => Act::Stage,
            Self::Check { .. } => Act::Check,
            Self::Drain { .. } => Act::Drain,
            Self::Activate { .. } => Act::Activate,
            Self::Extend { .. } => Act::Extend,
            Self::Undrain { .. } => Act::Undrain,
            Self::Confirm { .. } => Act::Confirm,
            Self::Rollback { .. } => Act::Rollback,
            Self::Hold(hold) => hold.act,
            Self::Ask { .. } | Self::Record(_) | Self::Finish(_) => return None,
        })
    }
}

/// How long the node waits, once it was reached over a new connection, before it goes back by itself: as long as
/// all that is left of its turn may take.
pub fn extend_seconds(turn: &Turn, timing: &Timing) -> u32 {
    let gates = turn.gates.iter();
    let hold = gates.clone().map(|gate| gate.hold).max().unwrap_or(0);
    let deadline = gates.filter_map(|gate| gate.deadline).max().unwrap_or(0);
    let undrain: u32 = turn.undrain.iter().map(|command| command.timeout).sum();
    deadline.max(timing.healthy_deadline)
        + hold
        + undrain
        + timing.healthy_deadline
        + timing.min_healthy_time
        + SLACK_SECONDS
}

/// How long a node's fate may stay unknown before a person is called: until its dead-man must have acted, and the
/// node may have booted.
pub(super) fn patience(turn: &Turn, timing: &Timing, reached: bool) -> u32 {
    let commands = turn.forward.iter().chain(&turn.backward);
    let work: u32 = commands.map(|command| command.timeout).sum();
    let alone = if reached {
        extend_seconds(turn, timing)
    } else {
        timing.reconnect_deadline
    };
    alone + work + BOOT_SECONDS
}
