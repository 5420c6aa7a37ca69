//! What is declared at the broker. Names carry a version: a release of Windlass that needs other arguments
//! declares new ones beside these, and never meets its own older queues.
//!
//! ```text
//! windlass.v1 (topic) ── cluster.demo.* ──► windlass.v1.cluster.demo ──► the one worker that is active
//!     │                ── shared.demo.probe ──► windlass.v1.shared.demo.probe … ──► all workers
//!     ▲                                        │ given up, delivered too often
//!     │ time is over                           ▼
//! windlass.v1.delay.5 … .300           windlass.v1.dead (topic) ──► windlass.v1.dead.moved …
//!
//! windlass.v1.told (fanout) ──► windlass.v1.told.WORKER …, one for each worker
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};
use windlass_core::ids::ClusterName;

use crate::queue::{Event, EventKind, Lane};

pub(super) const EVENTS: &str = "windlass.v1";
pub(super) const DEAD: &str = "windlass.v1.dead";
/// For dead letters of a kind that this version does not know.
const DEAD_UNKNOWN: &str = "windlass.v1.dead.unknown";
/// Stands for the kind in the routing key of what cannot be read.
pub(super) const UNKNOWN: &str = ".unknown";

/// The waits between attempts, in seconds: one queue each, because a queue lets go of its oldest message only.
const DELAYS: [u64; 7] = [5, 10, 20, 40, 80, 160, 300];

/// A broker counts a delivery for every message that a dying connection had, not only for the one at fault; so
/// this is far above the worker's own limit, and only ends what kills every worker that takes it.
const DELIVERY_LIMIT: i32 = 100;
/// Newer releases of RabbitMQ have a limit where none is said; looking at dead letters counts as deliveries.
const NO_DELIVERY_LIMIT: i32 = 1_000_000;
/// Beyond this the broker refuses events, and they wait in the worker's database.
const MAX_LENGTH: i32 = 50_000;

/// What workers tell each other.
pub(super) const TOLD: &str = "windlass.v1.told";
/// A worker that was away for longer is forgotten, and asks when it is back.
const TOLD_EXPIRES_MS: i32 = 7 * 24 * 3600 * 1000;
/// Beyond this the oldest word for a worker that is away is dropped.
const TOLD_LENGTH: i32 = 10_000;
const TOLD_BYTES: i32 = 256 * 1024 * 1024;

/// The queue in which a worker finds what the others tell.
pub(super) fn told_queue(worker: &str) -> String {
    format!("{TOLD}.{worker}")
}

/// Where an event goes.
pub(super) fn key(event: &Event) -> String {
    key_of(event.subject.as_str(), event.kind)
}

fn key_of(cluster: &str, kind: EventKind) -> String {
    let lane = match kind.lane() {
        Lane::Cluster => "cluster",
        Lane::Shared => "shared",
    };
    format!("{lane}.{cluster}.{}", kind.key())
}

/// Where something of this cluster goes that cannot be read.
pub(super) fn unknown_key(cluster: &str) -> String {
    format!("cluster.{cluster}{UNKNOWN}")
}

/// The queue that an event of this kind waits in.
pub(super) fn queue_of(cluster: &ClusterName, kind: EventKind) -> String {
    match kind.lane() {
        Lane::Cluster => format!("windlass.v1.cluster.{cluster}"),
        Lane::Shared => format!("windlass.v1.shared.{cluster}.{}", kind.key()),
    }
}

/// The queues of a cluster's lane, with the kinds that wait in each.
pub(super) fn queues_of(cluster: &ClusterName, lane: Lane) -> BTreeMap<String, Vec<EventKind>> {
    let mut queues = BTreeMap::<_, Vec<_>>::new();
    for kind in EventKind::ALL
        .into_iter()
        .filter(|kind| kind.lane() == lane)
    {
        let queue = queues.entry(queue_of(cluster, kind)).or_default();
        queue.push(kind);
    }
    queues
}

/// The exchange before the queue that holds a message for at least `delay`.
pub(super) fn delay_for(delay: Duration) -> (String, Duration) {
    let [.., longest] = DELAYS;
    let step = DELAYS.into_iter().find(|step| *step >= delay.as_secs());
    let seconds = step.unwrap_or(longest);
    (delay_name(seconds), Duration::from_secs(seconds))
}

fn delay_name(seconds: u64) -> String {
    format!("windlass.v1.delay.{seconds}")
}

pub(super) fn delay_queues() -> impl Iterator<Item = String> {
    DELAYS.into_iter().map(delay_name)
}

/// The queues of dead letters, one for each kind of event and one for all others.
pub(super) fn dead_queues() -> impl Iterator<Item = String> {
    let kinds = EventKind::ALL.iter().map(|kind| dead_name(*kind));
    kinds.chain([DEAD_UNKNOWN.to_owned()])
}

pub(super) fn dead_name(kind: EventKind) -> String {
    format!("windlass.v1.dead.{}", kind.key())
}

/// Declares everything but the clusters' own queues. Fine where it is there already with the same arguments.
pub(super) async fn declare(channel: &Channel) -> Result<(), String> {
    exchange(channel, EVENTS, ExchangeKind::Topic, FieldTable::default()).await?;
    exchange(
        channel,
        DEAD_UNKNOWN,
        ExchangeKind::Fanout,
        FieldTable::default(),
    )
    .await?;
    let otherwise = table([("alternate-exchange", text(DEAD_UNKNOWN))]);
    exchange(channel, DEAD, ExchangeKind::Topic, otherwise).await?;
    for kind in EventKind::ALL {
        let name = dead_name(kind);
        queue(channel, &name, []).await?;
        bind(channel, &name, DEAD, &key_of("*", kind)).await?;
    }
    queue(channel, DEAD_UNKNOWN, []).await?;
    bind(channel, DEAD_UNKNOWN, DEAD_UNKNOWN, "").await?;
    for seconds in DELAYS {
        let name = delay_name(seconds);
        exchange(channel, &name, ExchangeKind::Fanout, FieldTable::default()).await?;
        let millis = i32::try_from(seconds * 1000).unwrap_or(i32::MAX);
        let more = [
            ("x-message-ttl", AMQPValue::LongInt(millis)),
            ("x-dead-letter-exchange", text(EVENTS)),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ];
        queue(channel, &name, more).await?;
        bind(channel, &name, &name, "").await?;
    }
    Ok(())
}

/// Declares one cluster's queues of both lanes.
pub(super) async fn declare_cluster(
    channel: &Channel,
    cluster: &ClusterName,
) -> Result<(), String> {
    for kind in [EventKind::Moved].into_iter().chain(EventKind::shared()) {
        let name = queue_of(cluster, kind);
        let alone = kind.lane() == Lane::Cluster || kind.is_serial();
        let more = [
            ("x-single-active-consumer", AMQPValue::Boolean(alone)),
            ("x-delivery-limit", AMQPValue::LongInt(DELIVERY_LIMIT)),
            ("x-max-length", AMQPValue::LongInt(MAX_LENGTH)),
            ("x-dead-letter-exchange", text(DEAD)),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ];
        queue(channel, &name, more).await?;
        let key = match kind.lane() {
            Lane::Cluster => format!("cluster.{cluster}.*"),
            Lane::Shared => key_of(cluster.as_str(), kind),
        };
        bind(channel, &name, EVENTS, &key).await?;
    }
    Ok(())
}

/// Declares a worker's own queue of what the others tell.
pub(super) async fn declare_told(channel: &Channel, name: &str) -> Result<(), String> {
    exchange(channel, TOLD, ExchangeKind::Fanout, FieldTable::default()).await?;
    let more = [
        ("x-expires", AMQPValue::LongInt(TOLD_EXPIRES_MS)),
        ("x-max-length", AMQPValue::LongInt(TOLD_LENGTH)),
        ("x-max-length-bytes", AMQPValue::LongInt(TOLD_BYTES)),
        ("x-overflow", text("drop-head")),
    ];
    queue(channel, name, more).await?;
    bind(channel, name, TOLD, "").await
}

async fn exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> Result<(), String> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let declared = channel.exchange_declare(name.into(), kind, options, arguments);
    declared
        .await
        .map_err(|error| explained("exchange", name, &error))
}

async fn queue<const N: usize>(
    channel: &Channel,
    name: &str,
    more: [(&'static str, AMQPValue); N],
) -> Result<(), String> {
    let mut arguments = table(more);
    arguments.insert("x-queue-type".into(), text("quorum"));
    if !arguments.contains_key("x-delivery-limit") {
        let limit = AMQPValue::LongInt(NO_DELIVERY_LIMIT);
        arguments.insert("x-delivery-limit".into(), limit);
    }
    let declared = channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments);
    let declared = declared.await.map(drop);
    declared.map_err(|error| explained("queue", name, &error))
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<(), String> {
    let options = QueueBindOptions::default();
    let arguments = FieldTable::default();
    let bound = channel.queue_bind(
        queue.into(),
        exchange.into(),
        key.into(),
        options,
        arguments,
    );
    bound
        .await
        .map_err(|error| explained("queue", queue, &error))
}

fn explained(what: &str, name: &str, error: &lapin::Error) -> String {
    let code = match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_id(),
        _ => 0,
    };
    let hint = match code {
        406 => format!(
            "; the {what} {name} was made by something else than this version of Windlass. Give Windlass a vhost of its own, or, when nothing in it is needed any more, delete it: `rabbitmqctl delete_queue {name}` for a queue, the management page for an exchange"
        ),
        403 => {
            "; give the user the rights to configure, write and read `windlass\\..*` on this vhost"
                .to_owned()
        }
        _ => String::new(),
    };
    format!("the {what} {name} cannot be declared: {error}{hint}")
}

fn table<const N: usize>(entries: [(&'static str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(key.into(), value);
    }
    table
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_at_least_as_long_as_asked_for() {
        for (asked, given) in [(0, 5), (2, 5), (5, 5), (6, 10), (299, 300), (10_000, 300)] {
            let (name, delay) = delay_for(Duration::from_secs(asked));
            assert_eq!(delay.as_secs(), given);
            assert_eq!(name, format!("windlass.v1.delay.{given}"));
        }
    }
}
