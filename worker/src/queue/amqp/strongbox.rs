//! What the workers of a cluster keep together at the broker: one message for each record, in a queue that is read
//! without answering, so that everything goes back when the connection ends, however it does. The queue has a single active
//! consumer, which makes one worker the only one that sees the records. Whoever begins to consume puts a message of its own
//! behind them: when that comes back, all that was there before has come, and nobody else has it.
//!
//! Publishing and answering take one connection on purpose: a worker that was cut off, and does not know it, can
//! change nothing that another has opened since.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, Consumer};
use uuid::Uuid;
use windlass_core::ids::ClusterName;

use super::session::acknowledge;
use super::settings::Settings;
use super::topology;
use crate::ports::{self, Doing};

/// More records than a cluster has certificates.
const PREFETCH: u16 = 20_000;
/// Who has it open may be at it for minutes: then another time.
const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(1);
/// For one answer of the broker.
const ANSWER: Duration = Duration::from_secs(30);
const GOODBYE: Duration = Duration::from_secs(3);

const KEY: &str = "windlass-record";
const VERSION: &str = "windlass-version";
/// The key of messages that only tell their sender how far it has read.
const MARK: &str = "";
const PERSISTENT: u8 = 2;

/// Of one cluster, at one broker.
#[derive(Debug)]
pub struct Strongbox {
    settings: Settings,
    cluster: ClusterName,
}

impl Strongbox {
    pub fn new(settings: Settings, cluster: ClusterName) -> Self {
        Self { settings, cluster }
    }
}

impl ports::Strongbox for Strongbox {
    fn open(&self) -> Doing<'_, Result<Option<Box<dyn ports::OpenBox>>, String>> {
        Box::pin(async {
            let opened = Open::of(&self.settings, &self.cluster).await?;
            Ok(opened.map(|open| Box::new(open) as Box<dyn ports::OpenBox>))
        })
    }
}

/// A record's message, which is not answered for as long as the record holds.
struct Kept {
    version: i64,
    delivery: Delivery,
}

struct Open {
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
    cluster: ClusterName,
    kept: BTreeMap<String, Kept>,
    records: BTreeMap<String, Vec<u8>>,
    /// A change did not come to its end: nobody knows any more which version is the newest.
    cut_short: bool,
}

impl Open {
    async fn of(settings: &Settings, cluster: &ClusterName) -> Result<Option<Self>, String> {
        let connection = settings.connect("orders").await?;
        let channel = within(connection.create_channel()).await?;
        within(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        within(channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
        let queue = topology::declare_strongbox(&channel, cluster).await?;
        let consuming = channel.basic_consume(
            queue.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = within(consuming).await?;
        let mut open = Self {
            connection,
            channel,
            consumer,
            cluster: cluster.clone(),
            kept: BTreeMap::new(),
            records: BTreeMap::new(),
            cut_short: false,
        };
        let Ok(waited) = tokio::time::timeout(PATIENCE, open.turn()).await else {
            open.goodbye().await;
            return Ok(None);
        };
        waited?;
        // Whoever had it before writes nothing more, so this comes behind all that was written.
        let mark = open.mark().await?;
        let reading = open.read_until(|key, _, body| key == MARK && body == mark.as_bytes());
        match tokio::time::timeout(ANSWER, reading).await {
            Ok(read) => read.map(|()| Some(open)),
            Err(_) => Err("the broker does not give out what it has".to_owned()),
        }
    }

    /// Waits until something comes: then it is ours, because only one is given anything. Where nothing lies there yet, a mark
    /// comes, and another one where that was given to whoever had it before.
    async fn turn(&mut self) -> Result<(), String> {
        loop {
            self.mark().await?;
            let first = self.read_until(|_, _, _| true);
            if let Ok(read) = tokio::time::timeout(AGAIN, first).await {
                return read;
            }
        }
    }

    async fn mark(&self) -> Result<String, String> {
        let mark = Uuid::new_v4().to_string();
        self.publish(MARK, 0, mark.as_bytes()).await?;
        Ok(mark)
    }

    async fn publish(&self, key: &str, version: i64, body: &[u8]) -> Result<(), String> {
        let mut headers = FieldTable::default();
        headers.insert(KEY.into(), AMQPValue::LongString(key.into()));
        headers.insert(VERSION.into(), AMQPValue::LongLongInt(version));
        let properties = BasicProperties::default()
            .with_headers(headers)
            .with_delivery_mode(PERSISTENT)
            .with_app_id("windlass".into());
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let route = topology::strongbox_key(&self.cluster);
        let (exchange, route) = (topology::EVENTS.into(), route.as_str().into());
        let sending = self
            .channel
            .basic_publish(exchange, route, options, body, properties);
        let confirm = within(sending).await?;
        match within(confirm).await? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(returned)) => {
                Err(format!("no queue takes it: {}", returned.reply_text))
            }
            Confirmation::Nack(_) | Confirmation::NotRequested => {
                Err("the broker does not take it".to_owned())
            }
        }
    }

    /// Takes in what comes, up to the first message that `last` is true of.
    async fn read_until(&mut self, last: impl Fn(&str, i64, &[u8]) -> bool) -> Result<(), String> {
        loop {
            let delivery = match self.consumer.next().await {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("the broker ended it".to_owned()),
            };
            let Some((key, version)) = label(&delivery) else {
                // Nothing of ours; it would come again and again.
                acknowledge(&delivery).await;
                continue;
            };
            let was_last = last(&key, version, &delivery.data);
            self.keep(key, version, delivery).await?;
            if was_last {
                return Ok(());
            }
        }
    }

    /// The newest of each key stays; a worker that died before it took the older one away left both.
    async fn keep(&mut self, key: String, version: i64, delivery: Delivery) -> Result<(), String> {
        let known = self.kept.get(&key);
        // Of two with the same version the later one is by whoever has it open.
        let old = if key == MARK || known.is_some_and(|known| known.version > version) {
            Some(delivery)
        } else {
            self.records.insert(key.clone(), delivery.data.clone());
            let kept = Kept { version, delivery };
            self.kept.insert(key, kept).map(|old| old.delivery)
        };
        match old {
            Some(old) if !acknowledge(&old).await => Err("the connection is lost".to_owned()),
            _ => Ok(()),
        }
    }

    async fn put(&mut self, key: &str, sealed: &[u8]) -> Result<(), String> {
        if std::mem::replace(&mut self.cut_short, true) {
            return Err("a change before did not come to its end".to_owned());
        }
        let version = self.kept.get(key).map_or(1, |kept| kept.version + 1);
        self.publish(key, version, sealed).await?;
        // It comes to us, as the only one who reads, and takes the place of the older one.
        // By its body, too: one of the same version may come late from a worker that was cut off.
        let reading =
            self.read_until(|own, number, body| own == key && number == version && body == sealed);
        let Ok(read) = tokio::time::timeout(ANSWER, reading).await else {
            return Err("the broker does not give it back".to_owned());
        };
        read?;
        self.cut_short = false;
        Ok(())
    }

    async fn goodbye(&self) {
        let closing = self.connection.close(200, "done".into());
        // It may be gone already.
        let _ = tokio::time::timeout(GOODBYE, closing).await;
    }
}

impl ports::OpenBox for Open {
    fn records(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.records
    }

    fn put<'a>(&'a mut self, key: &'a str, sealed: Vec<u8>) -> Doing<'a, Result<(), String>> {
        Box::pin(async move { Self::put(self, key, &sealed).await })
    }

    fn close(self: Box<Self>) -> Doing<'static, ()> {
        Box::pin(async move { self.goodbye().await })
    }
}

fn label(delivery: &Delivery) -> Option<(String, i64)> {
    let headers = delivery.properties.headers().as_ref()?.inner();
    let key = match headers.get(KEY)? {
        AMQPValue::LongString(key) => key.to_string(),
        _ => return None,
    };
    match headers.get(VERSION)? {
        AMQPValue::LongLongInt(version) => Some((key, *version)),
        _ => None,
    }
}

async fn within<T>(answer: impl Future<Output = lapin::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answered) => answered.map_err(|error| error.to_string()),
        Err(_) => Err("the broker does not answer".to_owned()),
    }
}
