//! One pair of connections to the broker. Publishing has a connection of its own, because a broker that is short
//! of disk or memory stops reading from connections that publish, and answers must go through all the same.
//! Whatever breaks here ends the whole session; `keeper` opens another, and declares everything anew.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, Connection, Consumer, PublisherConfirm};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use windlass_core::ids::ClusterName;

use super::message::Outgoing;
use super::settings::Settings;
use super::topology;
use crate::queue::Lane;

/// How many events of a cluster's own lane are taken from the broker at once.
const PREFETCH: u16 = 1000;
/// Of each queue of the shared lane. What waits here is kept from other workers; but a newer look at a request, which ends
/// the older one, must not wait for it.
const PREFETCH_SHARED: u16 = 8;
/// The longest wait for a confirm; a broker that is blocked gives none.
const CONFIRM: Duration = Duration::from_secs(20);
/// The longest wait for anything else.
const ANSWER: Duration = Duration::from_secs(30);
const GOODBYE: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The session is of no use any more.
    #[error("{0}")]
    Broken(String),
    /// The broker does not take it now; the session goes on.
    #[error("{0}")]
    Refused(String),
}

pub(super) struct Session {
    publishing: Connection,
    consuming: Connection,
    publisher: Channel,
    consumer: Channel,
    sharer: Channel,
    declared: Mutex<BTreeSet<ClusterName>>,
    broken: CancellationToken,
    why_broken: OnceLock<String>,
}

impl Session {
    pub(super) async fn open(settings: &Settings) -> Result<Self, String> {
        let publishing = settings.connect("publishing").await?;
        let consuming = settings.connect("consuming").await?;
        let publisher = channel(&publishing).await?;
        let confirms = publisher.confirm_select(ConfirmSelectOptions::default());
        within(confirms).await?;
        let consumer = channel(&consuming).await?;
        within(consumer.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
        let sharer = channel(&consuming).await?;
        within(sharer.basic_qos(PREFETCH_SHARED, BasicQosOptions::default())).await?;
        let declaring = topology::declare(&publisher);
        match tokio::time::timeout(ANSWER, declaring).await {
            Ok(declared) => declared?,
            Err(_) => return Err("it does not answer to declarations".to_owned()),
        }
        Ok(Self {
            publishing,
            consuming,
            publisher,
            consumer,
            sharer,
            declared: Mutex::default(),
            broken: CancellationToken::new(),
            why_broken: OnceLock::new(),
        })
    }

    /// Sends a message; the confirm is still to come. A message that no queue takes is returned.
    pub(super) async fn send(
        &self,
        exchange: &str,
        key: &str,
        message: Outgoing,
    ) -> Result<PublisherConfirm, SendError> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let Outgoing { body, properties } = message;
        let (exchange, key) = (exchange.into(), key.into());
        let sending = self
            .publisher
            .basic_publish(exchange, key, options, &body, properties);
        match tokio::time::timeout(CONFIRM, sending).await {
            Ok(Ok(confirm)) => Ok(confirm),
            Ok(Err(error)) => Err(self.breaks(error.to_string())),
            Err(_) => Err(self.silent()),
        }
    }

    /// Waits until the broker has taken the message for good.
    pub(super) async fn confirmed(&self, confirm: PublisherConfirm) -> Result<(), SendError> {
        match self.settled(confirm).await? {
            None => Ok(()),
            // A queue that we declared is gone: it must be declared anew.
            Some(why) => Err(self.breaks(format!("no queue takes it: {why}"))),
        }
    }

    /// What the broker said of a message that no queue takes.
    async fn settled(&self, confirm: PublisherConfirm) -> Result<Option<String>, SendError> {
        match tokio::time::timeout(CONFIRM, confirm).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(None),
            Ok(Ok(Confirmation::Ack(Some(returned)))) => Ok(Some(returned.reply_text.to_string())),
            Ok(Ok(Confirmation::Nack(_))) => {
                Err(SendError::Refused("the queue is full or fails".to_owned()))
            }
            Ok(Ok(Confirmation::NotRequested)) => {
                Err(self.breaks("the channel gives no confirms".to_owned()))
            }
            Ok(Err(error)) => Err(self.breaks(error.to_string())),
            Err(_) => Err(self.silent()),
        }
    }

    pub(super) async fn publish(
        &self,
        exchange: &str,
        key: &str,
        message: Outgoing,
    ) -> Result<(), SendError> {
        let confirm = self.send(exchange, key, message).await?;
        self.confirmed(confirm).await
    }

    /// The same for a queue that may not be there.
    pub(super) async fn offer(
        &self,
        exchange: &str,
        key: &str,
        message: Outgoing,
    ) -> Result<(), SendError> {
        let confirm = self.send(exchange, key, message).await?;
        match self.settled(confirm).await? {
            None => Ok(()),
            Some(_) => Err(SendError::Refused(format!(
                "there is no queue for {key}: no worker watches that cluster"
            ))),
        }
    }

    /// The cluster's queues exist from now on.
    pub(super) async fn ensure(&self, cluster: &ClusterName) -> Result<(), SendError> {
        let mut declared = self.declared.lock().await;
        if declared.contains(cluster) {
            return Ok(());
        }
        let declaring = topology::declare_cluster(&self.publisher, cluster);
        let Ok(done) = tokio::time::timeout(ANSWER, declaring).await else {
            return Err(self.silent());
        };
        done.map_err(|error| self.breaks(error))?;
        declared.insert(cluster.clone());
        Ok(())
    }

    /// Begins to take a queue's events; where it has a single active consumer as soon as no other worker does.
    pub(super) async fn consume(
        &self,
        cluster: &ClusterName,
        lane: Lane,
        queue: &str,
    ) -> Result<Consumer, String> {
        self.ensure(cluster)
            .await
            .map_err(|error| error.to_string())?;
        let channel = match lane {
            Lane::Cluster => &self.consumer,
            Lane::Shared => &self.sharer,
        };
        within(channel.basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        ))
        .await
    }

    /// A channel beside those of the work, for looking at queues: it may fail without ending anything.
    pub(super) async fn aside(&self) -> Result<Channel, String> {
        channel(&self.consuming).await
    }

    /// What is wrong with the connections, where something is.
    pub(super) fn trouble(&self) -> Option<&'static str> {
        if !self.consuming.status().connected() || !self.publishing.status().connected() {
            return Some("the connection is lost");
        }
        let channels = [&self.consumer, &self.sharer, &self.publisher];
        if channels.iter().any(|channel| !channel.status().connected()) {
            return Some("the broker closed the channel");
        }
        None
    }

    /// The broker takes no messages at present: it is short of disk or memory.
    pub(super) fn is_blocked(&self) -> bool {
        self.publishing.status().blocked()
    }

    pub(super) async fn close(&self) {
        for connection in [&self.consuming, &self.publishing] {
            // It may be gone already, and a broker that is away does not answer.
            let closing = connection.close(200, "done".into());
            let _ = tokio::time::timeout(GOODBYE, closing).await;
        }
    }

    /// Ends the session, whoever it was that found it of no use.
    fn breaks(&self, why: String) -> SendError {
        // The first reason is the cause of the others.
        let why = self.why_broken.get_or_init(|| why).clone();
        self.broken.cancel();
        SendError::Broken(why)
    }

    /// Waits until someone finds it broken, and says why.
    pub(super) async fn broken(&self) -> String {
        self.broken.cancelled().await;
        self.why_broken.get().cloned().unwrap_or_default()
    }

    fn silent(&self) -> SendError {
        if self.is_blocked() {
            let words = "the broker takes no messages: it is short of disk or memory";
            return SendError::Refused(words.to_owned());
        }
        self.breaks("the broker does not confirm".to_owned())
    }
}

async fn channel(connection: &Connection) -> Result<Channel, String> {
    within(connection.create_channel()).await
}

async fn within<T>(answer: impl Future<Output = lapin::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answered) => answered.map_err(|error| error.to_string()),
        Err(_) => Err("the broker does not answer".to_owned()),
    }
}

/// `false`: the broker took the delivery back before.
pub(super) async fn acknowledge(delivery: &Delivery) -> bool {
    matches!(
        delivery.acker.ack(BasicAckOptions::default()).await,
        Ok(true)
    )
}

/// Back to the queue; it counts as a delivery that failed.
pub(super) async fn put_back(delivery: &Delivery) -> bool {
    let options = BasicRejectOptions { requeue: true };
    matches!(delivery.acker.reject(options).await, Ok(true))
}
