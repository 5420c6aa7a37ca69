//! A newer commit while a roll is under way. A healthy roll is finished first: the nodes then move on from
//! one known state to the next. But a roll that waits for a gate which does not hold would keep the commit
//! that mends it waiting until the gate's deadline; such a roll is called off, goes back, and the newer
//! commit follows at once.

use std::sync::{Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
pub struct Newer {
    roll: Mutex<Option<Rolling>>,
}

#[derive(Debug)]
struct Rolling {
    commit: String,
    call_off: CancellationToken,
    waits: bool,
    overtaken: bool,
}

impl Rolling {
    fn judge(&self) {
        if self.waits && self.overtaken && !self.call_off.is_cancelled() {
            tracing::info!(
                commit = self.commit,
                "called off: a gate does not hold, and a newer commit is there"
            );
            self.call_off.cancel();
        }
    }
}

impl Newer {
    /// A roll of this commit begins; `call_off` makes it go back.
    pub fn begin(&self, commit: &str, call_off: CancellationToken) {
        *self.lock() = Some(Rolling {
            commit: commit.to_owned(),
            call_off,
            waits: false,
            overtaken: false,
        });
    }

    pub fn end(&self) {
        *self.lock() = None;
    }

    pub fn rolling(&self) -> bool {
        self.lock().is_some()
    }

    /// The watched branch points at this commit now.
    pub fn saw(&self, head: &str) {
        if let Some(roll) = self.lock().as_mut() {
            roll.overtaken = roll.commit != head;
            roll.judge();
        }
    }

    /// Whether the roll waits for a gate that was probed and does not hold.
    pub fn waits(&self, waits: bool) {
        if let Some(roll) = self.lock().as_mut() {
            roll.waits = waits;
            roll.judge();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Rolling>> {
        // Whoever panicked while holding it left plain flags behind.
        self.roll.lock().unwrap_or_else(|held| held.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolling() -> (Newer, CancellationToken) {
        let (newer, call_off) = (Newer::default(), CancellationToken::new());
        newer.begin("a", call_off.clone());
        (newer, call_off)
    }

    #[test]
    fn a_healthy_roll_is_finished() {
        let (newer, call_off) = rolling();
        newer.saw("a");
        newer.waits(true);
        newer.waits(false);
        newer.saw("b");
        assert!(!call_off.is_cancelled());
    }

    #[test]
    fn a_roll_that_waits_gives_way() {
        let (newer, call_off) = rolling();
        newer.waits(true);
        newer.saw("b");
        assert!(call_off.is_cancelled());

        let (newer, call_off) = rolling();
        newer.saw("b");
        newer.waits(true);
        assert!(call_off.is_cancelled());
    }

    #[test]
    fn nothing_is_called_off_after_the_end() {
        let (newer, call_off) = rolling();
        newer.waits(true);
        newer.end();
        newer.saw("b");
        assert!(!call_off.is_cancelled() && !newer.rolling());
    }
}
