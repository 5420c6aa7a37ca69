//! What cannot be worked on ends among the dead letters, and stands in nobody's way; what comes twice is one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use windlass::queue::{EventQueue, QueueState};
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
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let (body, properties) = (body.as_bytes(), BasicProperties::default());
        let sent =
            self.channel
                .basic_publish("windlass.v1".into(), key.into(), options, body, properties);
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
    queue.discard("newer").await?;
    holds(node, "windlass.v1.dead.moved", 1)?;

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
    queue.replay("poison").await?;
    ensure!(take(&queue).await?.attempt == 1);
    queue.close().await;
    Ok(())
}
