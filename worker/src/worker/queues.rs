//! The queue that the configuration names, opened.

use std::time::Duration;

use anyhow::Context as _;

use crate::config::Config;
use crate::queue::amqp::{AmqpQueue, Settings};
use crate::queue::embedded::EmbeddedQueue;
use crate::queue::{AnyQueue, Event, EventQueue as _};
use crate::store::Store;

/// An event whose worker says nothing for this long is given out again.
const PATIENCE: Duration = Duration::from_secs(60);

/// For the one worker that owns the state directory, or to look at the queue from beside it. A broker that is away
/// is no error: the queue goes on trying.
pub(super) fn open(config: &Config, store: &Store) -> anyhow::Result<AnyQueue> {
    Ok(match broker(config)? {
        Some(settings) => AnyQueue::Amqp(AmqpQueue::start(settings, store.clone(), PATIENCE)),
        None => AnyQueue::Embedded(EmbeddedQueue::new(store.clone(), PATIENCE)),
    })
}

/// Puts an event where the worker finds it, running or not.
pub(super) async fn leave(config: &Config, store: Store, event: &Event) -> anyhow::Result<()> {
    match broker(config)? {
        Some(_) => AmqpQueue::leave(store, event).await?,
        None => EmbeddedQueue::new(store, PATIENCE).publish(event).await?,
    };
    Ok(())
}

fn broker(config: &Config) -> anyhow::Result<Option<Settings>> {
    if config.queue.value == "embedded" {
        return Ok(None);
    }
    let mut settings =
        Settings::new(&config.queue.value).context("`queue` in the configuration")?;
    let broker = &config.broker;
    for host in &broker.hosts {
        settings.also_at(host).context("`broker.hosts`")?;
    }
    settings.password_file.clone_from(&broker.password_file);
    settings.ca_file.clone_from(&broker.ca_file);
    settings
        .certificate_file
        .clone_from(&broker.certificate_file);
    Ok(Some(settings))
}
