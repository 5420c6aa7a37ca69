//! What systemd is told: ready, still alive, stopping. Outside of systemd nobody listens.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::store::Store;

pub(super) fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// Says "alive" as often as the watchdog wants it, each time after the database has answered: a worker whose
/// database hangs is as good as dead. Goes on to the process's end: systemd listens while the worker stops, too, and
/// the last turn may take its time.
pub(super) async fn watchdog(store: Store) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut ticks = tokio::time::interval((limit / 3).max(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        let alive = store.call(|connection| connection.query_row("SELECT 1", [], |_| Ok(())));
        if alive.await.is_ok() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}
