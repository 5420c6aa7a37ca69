//! What cannot be worked on ends among the dead letters, and stands in nobody's way; what comes twice is one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use windlass::queue::amqp::AmqpQueue;
use windlass::queue::{Chosen, Content, Event, EventQueue, QueueError, QueueState, Queued};
use windlass_tests::broker::{BrokerNode, Version};
use windlass_tests::lab::wait_until;

use super::place::{Place, SOON, cluster, event, on_each_broker, take};

on_each_broker!(
    what_this_version_cannot_read_is_put_aside,
    what_nobody_ever_answers_is_given_up_by_the_broker,
);

const LONG: Duration = Duration::from_secs(60);

/// A sender that is not Windlass.
pub struct Stranger {
    connection: Connection,
    channel: Channel,
}

impl Stranger {
    pub async fn at(url: &str) -> Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        Ok(Self {
            connection,
            channel,
        })
    }

    pub async fn send(&self, key: &str, body: &str) -> Result<()> {
        self.send_to("windlass.v1", key, body).await
    }

    /// The ids of the events that a queue gives, up to this one.
    pub async fn taken(&self, queue: &str, last: &str) -> Result<Vec<String>> {
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let arguments = FieldTable::default();
        let consuming = self
            .channel
            .basic_consume(queue.into(), "".into(), options, arguments);
        let mut consumer = consuming.await?;
        let mut ids = Vec::new();
        while ids.last().is_none_or(|id| id != last) {
            let next = tokio::time::timeout(SOON, consumer.next()).await;
            let delivery = next.with_context(|| format!("no {last} came"))?;
            let event: Event = serde_json::from_slice(&delivery.context("the end")??.data)?;
            ids.push(event.id);
        }
        Ok(ids)
    }

    async fn send_to(&self, exchange: &str, key: &str, body: &str) -> Result<()> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let (body, properties) = (body.as_bytes(), BasicProperties::default());
        let sent =
            self.channel
                .basic_publish(exchange.into(), key.into(), options, body, properties);
        let confirmed = sent.await?.await?;
        ensure!(
            confirmed.is_ack() && confirmed.take_message().is_none(),
            "nobody takes {key}"
        );
        Ok(())
    }
}

/// Waits until the queue holds so many; the broker counts only every few seconds.
fn holds(node: &BrokerNode, queue: &str, wanted: u32) -> Result<()> {
    let line = format!("{queue}\t{wanted}");
    let list = [
        "list_queues",
        "--vhost",
        "v0",
        "--no-table-headers",
        "name",
        "messages",
    ];
    let mut listed = String::new();
    let waited = wait_until(SOON, || {
        listed = node.ctl(&list).unwrap_or_default();
        listed.lines().any(|found| found == line)
    });
    waited.with_context(|| format!("{line} is not so: {listed}"))
}

async fn what_this_version_cannot_read_is_put_aside(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let queue = place.queue(&place.broker.url("v0"), "w", LONG)?;
    queue.publish(&event("first")).await?;
    let lease = take(&queue).await?;
    queue.ack(lease, &[]).await?;

    let stranger = Stranger::at(&place.broker.url("v0")).await?;
    let good = serde_json::to_string(&event("good"))?;
    let newer = good
        .replace("moved.v1", "moved.v9")
        .replace("\"good\"", "\"newer\"");
    let another = good
        .replace("\"example\"", "\"another\"")
        .replace("\"good\"", "\"other\"");
    stranger.send("cluster.example.moved", &newer).await?;
    stranger.send("cluster.example.moved", &another).await?;
    stranger.send("cluster.example.preview", "\u{0}{[").await?;
    stranger.send("cluster.example.moved", &good).await?;
    let lease = take(&queue).await?;
    ensure!(lease.event.id == "good", "{lease:?}");
    queue.ack(lease, &[]).await?;
    let node = place.broker.node(0);
    holds(node, "windlass.v1.dead.moved", 2)?;
    holds(node, "windlass.v1.dead.unknown", 1)?;
    let other = queue.show("other").await?.context("it is not shown")?;
    ensure!(
        other.state == QueueState::Dead && other.why.contains("another"),
        "{other:?}"
    );
    ensure!(other.readable().is_some_and(|event| event.id == "other"));
    each_is_seen_replayed_and_forgotten(&queue, &stranger).await?;
    holds(node, "windlass.v1.dead.moved", 0)?;

    // What came twice by whichever way is worked on once.
    stranger.send("cluster.example.moved", &good).await?;
    queue.publish(&event("last")).await?;
    let lease = take(&queue).await?;
    ensure!(lease.event.id == "last", "{lease:?}");
    queue.ack(lease, &[]).await?;
    queue.close().await;
    stranger.connection.close(200, "done".into()).await?;
    Ok(())
}

/// Those that can be read, that cannot, that have no id, and that no queue would take.
async fn each_is_seen_replayed_and_forgotten(queue: &AmqpQueue, stranger: &Stranger) -> Result<()> {
    let mut gone = event("gone");
    gone.subject = "gone".parse()?;
    let gone = serde_json::to_string(&gone)?;
    stranger
        .send_to("windlass.v1.dead", "cluster.gone.moved", &gone)
        .await?;
    let dead = dead(queue, 4).await?;
    let unreadable = |id: &str| {
        let of = |queued: &&Queued| queued.id().starts_with(id);
        match dead.iter().find(of).map(|queued| &queued.event) {
            Some(Content::Unreadable(told)) => Ok(told),
            other => Err(anyhow::anyhow!("{id}: {other:?}")),
        }
    };
    let newer = unreadable("newer")?;
    ensure!(
        newer.kind.as_deref() == Some("windlass.git.moved.v9"),
        "{newer:?}"
    );
    ensure!(newer.queue == "windlass.v1.dead.moved", "{newer:?}");
    let unnamed = unreadable("unnamed-")?;
    ensure!(unnamed.queue == "windlass.v1.dead.unknown", "{unnamed:?}");
    for queued in &dead {
        let shown = queue.show(queued.id()).await?;
        ensure!(shown.as_ref() == Some(queued), "{shown:?}");
    }

    let with_another = Chosen::These(vec![newer.id.clone(), "none".to_owned()]);
    let refused = queue.discard(&with_another).await;
    ensure!(matches!(refused, Err(QueueError::Unknown(id)) if id == "none"));
    let answered = queue.replay(&Chosen::All).await?;
    ensure!(answered.done.len() == 3, "{answered:?}");
    ensure!(
        answered.left.len() == 1 && answered.left[0].id == "gone",
        "{answered:?}"
    );
    ensure!(
        answered.left[0].why.contains("no worker watches"),
        "{answered:?}"
    );
    // Nothing was mended, so they come back; what no queue takes breaks nothing.
    self::dead(queue, 4).await?;
    let answered = queue.discard(&Chosen::one(&unnamed.id)).await?;
    ensure!(answered.done == [unnamed.id.as_str()], "{answered:?}");
    let answered = queue.discard(&Chosen::All).await?;
    ensure!(answered.done.len() == 3, "{answered:?}");
    self::dead(queue, 0).await.map(drop)
}

/// The dead letters, once there are so many.
pub async fn dead(queue: &AmqpQueue, wanted: usize) -> Result<Vec<Queued>> {
    let mut dead = Vec::new();
    let waiting = async {
        loop {
            dead = queue.dead_letters(100).await?;
            if dead.len() == wanted {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited: Result<Result<()>, _> = tokio::time::timeout(SOON, waiting).await;
    waited.with_context(|| format!("not {wanted}, but {dead:?}"))??;
    Ok(dead)
}

async fn what_nobody_ever_answers_is_given_up_by_the_broker(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    // A worker that forgets at once what it took.
    let queue = place.queue(&place.broker.url("v0"), "w", Duration::from_millis(5))?;
    queue.publish(&event("poison")).await?;
    let cluster = cluster();
    let mut taken = 0;
    while let Ok(lease) = tokio::time::timeout(Duration::from_secs(5), queue.next(&cluster)).await {
        ensure!(lease?.event.id == "poison");
        taken += 1;
        ensure!(taken < 200, "it is given out for ever");
    }
    ensure!(taken > 100, "given up after {taken}");
    let dead = queue.show("poison").await?.context("it is lost")?;
    ensure!(dead.state == QueueState::Dead, "{dead:?}");
    ensure!(dead.why.contains("too often"), "{dead:?}");
    queue.replay(&Chosen::one("poison")).await?;
    ensure!(take(&queue).await?.attempt == 1);
    queue.close().await;
    Ok(())
}
