//! The broker in figures, for metrics: asked for when they are read.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::inner::Inner;
use super::session::Session;
use super::topology;
use crate::queue::BrokerFigures;

/// Metrics come late rather than never, but not later than this.
const LONGEST: Duration = Duration::from_secs(3);

pub(super) async fn of(inner: &Inner) -> BrokerFigures {
    let mut figures = BrokerFigures::default();
    for queued in inner.here() {
        let event = queued.event;
        let name = topology::queue_of(&event.subject, event.kind);
        let oldest = figures.oldest.entry(name.clone()).or_insert(event.time);
        *oldest = (*oldest).min(event.time);
        *figures.messages.entry(name).or_default() += 1;
    }
    let Some(session) = inner.session_now() else {
        return figures;
    };
    figures.connected = true;
    // A broker that does not answer in time is told of by what is missing.
    let _ = tokio::time::timeout(LONGEST, count(inner, &session, &mut figures)).await;
    figures
}

/// Adds what no worker has been given.
async fn count(
    inner: &Inner,
    session: &Session,
    figures: &mut BrokerFigures,
) -> Result<(), String> {
    let channel = session.aside().await?;
    let wanted = inner.wanted().into_iter();
    let clusters =
        wanted.flat_map(|(cluster, lane)| topology::queues_of(&cluster, lane).into_keys());
    for name in clusters
        .chain(topology::delay_queues())
        .chain(topology::dead_queues())
    {
        let look = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let found = channel.queue_declare(name.as_str().into(), look, FieldTable::default());
        let found = found.await.map_err(|error| error.to_string())?;
        *figures.messages.entry(name).or_default() += u64::from(found.message_count());
    }
    // Closed or not, it ends with the connection.
    let _ = channel.close(200, "counted".into()).await;
    Ok(())
}
