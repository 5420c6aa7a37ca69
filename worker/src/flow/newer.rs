//! A newer commit while a roll is under way. A healthy roll is finished first, or, where the policy says `stop`, ends
//! with the nodes whose turn it is: the next roll then begins from a known state. But a roll that waits for a gate
//! which does not hold would keep the commit that mends it waiting until the gate's deadline; such a roll is called
//! off, goes back, and the newer commit follows at once.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, SetOnce};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
pub struct Newer {
    roll: Mutex<Option<State>>,
    woken: Notify,
    seen: Notify,
}

/// How a roll is told of it.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// It goes back.
    pub call_off: CancellationToken,
    /// The newer commit; what follows from it is the policy's.
    pub newer: Arc<SetOnce<String>>,
}

#[derive(Debug)]
struct State {
    commit: String,
    signals: Signals,
    stalls: bool,
    overtaken: bool,
}

/// The roll is under way for as long as it is held.
#[derive(Debug)]
pub struct Rolling<'a> {
    newer: &'a Newer,
}

impl State {
    fn judge(&self) {
        let call_off = &self.signals.call_off;
        if self.stalls && self.overtaken && !call_off.is_cancelled() {
            tracing::info!(
                commit = self.commit,
                "called off: a gate does not hold, and a newer commit is there"
            );
            call_off.cancel();
        }
    }
}

impl Newer {
    /// A roll of this commit begins.
    pub fn begin(&self, commit: &str, signals: &Signals) -> Rolling<'_> {
        *self.lock() = Some(State {
            commit: commit.to_owned(),
            signals: signals.clone(),
            stalls: false,
            overtaken: false,
        });
        Rolling { newer: self }
    }

    pub fn rolling(&self) -> bool {
        self.lock().is_some()
    }

    /// The watched branch points at this commit now; `contains`: it contains the roll's.
    pub fn saw(&self, head: &str, contains: bool) {
        if let Some(roll) = self.lock().as_mut() {
            roll.overtaken = roll.commit != head;
            if roll.overtaken && contains {
                // The first one is as good as those that come after it: the next roll looks for itself.
                if roll.signals.newer.set(head.to_owned()).is_ok() {
                    self.seen.notify_one();
                }
            }
            roll.judge();
        }
    }

    /// Whether a gate of the roll has not held for so long that nobody should wait for it.
    pub fn stalls(&self, stalls: bool) {
        if let Some(roll) = self.lock().as_mut() {
            roll.stalls = stalls;
            roll.judge();
        }
    }

    /// Something was published that may be about the watched branch.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until a newer commit was seen during a roll. Where no hook told of it, nothing in the queue does.
    pub async fn seen(&self) {
        self.seen.notified().await;
    }

    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        // Whoever panicked while holding it left plain flags behind.
        self.roll.lock().unwrap_or_else(|held| held.into_inner())
    }
}

impl Drop for Rolling<'_> {
    fn drop(&mut self) {
        *self.newer.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_healthy_roll_is_not_called_off() {
        let (newer, signals) = (Newer::default(), Signals::default());
        let _rolling = newer.begin("a", &signals);
        newer.saw("a", false);
        newer.stalls(true);
        newer.stalls(false);
        newer.saw("b", true);
        assert!(!signals.call_off.is_cancelled());
        assert_eq!(signals.newer.get().map(String::as_str), Some("b"));
    }

    #[test]
    fn a_roll_that_stalls_gives_way() {
        let (newer, signals) = (Newer::default(), Signals::default());
        let rolling = newer.begin("a", &signals);
        newer.stalls(true);
        newer.saw("b", true);
        assert!(signals.call_off.is_cancelled());
        drop(rolling);

        let signals = Signals::default();
        let _rolling = newer.begin("a", &signals);
        newer.saw("b", true);
        newer.stalls(true);
        assert!(signals.call_off.is_cancelled());
    }

    /// It is no newer one, but what the roll waits for is not wanted any more.
    #[test]
    fn a_branch_that_was_rewound_stops_no_healthy_roll() {
        let (newer, signals) = (Newer::default(), Signals::default());
        let _rolling = newer.begin("b", &signals);
        newer.saw("a", false);
        assert!(signals.newer.get().is_none());
        newer.stalls(true);
        assert!(signals.call_off.is_cancelled());
    }

    #[test]
    fn whoever_announces_commits_is_told_of_the_first_that_a_roll_saw() {
        let (newer, signals) = (Newer::default(), Signals::default());
        let told = || newer.seen().now_or_never().is_some();
        let _rolling = newer.begin("a", &signals);
        newer.saw("a", false);
        assert!(!told());
        newer.saw("b", true);
        newer.saw("c", true);
        assert!(told() && !told());
    }

    #[test]
    fn nothing_is_called_off_after_the_end() {
        let (newer, signals) = (Newer::default(), Signals::default());
        let rolling = newer.begin("a", &signals);
        newer.stalls(true);
        drop(rolling);
        newer.saw("b", true);
        assert!(!signals.call_off.is_cancelled() && !newer.rolling());
    }
}
