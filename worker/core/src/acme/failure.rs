//! What can go wrong with an order, how long to wait after it, and whether another authority would do better.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// An authority that fails for so long is left for the next one.
const PATIENCE: SignedDuration = SignedDuration::from_hours(6);

/// Why an order did not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Failure {
    /// The authority could not be asked, or answered that it is not well.
    Unreachable,
    /// The authority says that we ask too much. Its limit holds for everything ordered from it.
    RateLimited {
        /// When it says to come back.
        #[schemars(with = "Option<String>")]
        until: Option<Timestamp>,
    },
    /// The authority refuses: a name, the account, the profile.
    Refused,
    /// Our own probe says that a challenge would not be answered. The authority was not asked.
    PathBroken,
    /// The authority asked, and was not convinced.
    Unproven,
    /// The order came to nothing at the authority: expired, or declared invalid.
    OrderLost,
    /// Something on the worker's machine: no space, a missing secret, a missing program.
    Local,
}

/// One failure as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The authority's directory.
    pub directory: String,
    pub failure: Failure,
    /// In words, for people.
    pub why: String,
}

impl Failed {
    /// Whether it is a limit of the authority's that still holds.
    pub(super) fn limits_at(&self, now: Timestamp) -> bool {
        let (first, most) = self.failure.waits();
        let passed = now.duration_since(self.at);
        match self.failure {
            Failure::RateLimited { until: Some(until) } => now < until || passed < first,
            Failure::RateLimited { until: None } => passed < most,
            _ => false,
        }
    }
}

impl Failure {
    /// First wait and longest wait. What costs nobody anything is tried again soon; a validation that failed counts
    /// against the authority's limits (Let's Encrypt: five an hour for each name).
    fn waits(&self) -> (SignedDuration, SignedDuration) {
        match self {
            Self::PathBroken => (MINUTE, MINUTE * 15),
            Self::Unreachable | Self::Local => (MINUTE, HOUR),
            Self::OrderLost => (MINUTE * 5, HOUR * 6),
            Self::Unproven => (MINUTE * 20, HOUR * 12),
            Self::Refused => (HOUR, HOUR * 24),
            Self::RateLimited { .. } => (HOUR, HOUR * 24),
        }
    }

    /// Whether the order is over, and the next try begins a new one.
    pub fn ends_order(&self) -> bool {
        match self {
            Self::Refused | Self::Unproven | Self::OrderLost => true,
            Self::Unreachable | Self::RateLimited { .. } | Self::PathBroken | Self::Local => false,
        }
    }

    /// Whether it is the authority's doing, so that another may do better.
    fn is_authoritys(&self) -> bool {
        match self {
            Self::Unreachable | Self::RateLimited { .. } | Self::Refused | Self::OrderLost => true,
            Self::PathBroken | Self::Unproven | Self::Local => false,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// When an authority may be asked again after these failures since the last success, oldest first.
pub fn again(directory: &str, failures: &[Failed]) -> Option<Timestamp> {
    let mut own = failures
        .iter()
        .rev()
        .filter(|failed| failed.directory == directory);
    let last = own.next()?;
    let (first, most) = last.failure.waits();
    let before = own
        .take_while(|failed| failed.failure.is_like(&last.failure))
        .count();
    let doublings = u32::try_from(before.min(16)).unwrap_or(16);
    let wait = (first * 2_i32.pow(doublings)).min(most);
    let due = last.at.checked_add(wait).unwrap_or(Timestamp::MAX);
    Some(match last.failure {
        Failure::RateLimited { until: Some(until) } => due.max(until),
        _ => due,
    })
}

/// Since when an authority has failed us without a success between.
fn failing_since(directory: &str, failures: &[Failed]) -> Option<Timestamp> {
    let mut own = failures
        .iter()
        .filter(|failed| failed.directory == directory);
    own.find(|failed| failed.failure.is_authoritys())
        .map(|failed| failed.at)
}

/// The authority to ask at `now`: the first that has not failed for long; where all have, the one that may be asked
/// soonest. With it, from when on it may be asked.
pub fn choose<'a>(
    directories: impl Iterator<Item = &'a str>,
    failures: &[Failed],
    now: Timestamp,
) -> Option<(usize, Option<Timestamp>)> {
    let each: Vec<(usize, Option<Timestamp>, bool)> = directories
        .enumerate()
        .map(|(index, directory)| {
            let since = failing_since(directory, failures);
            let long = since.is_some_and(|since| now.duration_since(since) >= PATIENCE);
            (index, again(directory, failures), long)
        })
        .collect();
    let patient = each.iter().find(|(_, _, long)| !long);
    let soonest = || each.iter().min_by_key(|(index, again, _)| (*again, *index));
    patient
        .or_else(soonest)
        .map(|(index, again, _)| (*index, *again))
}
