//! What one worker has learnt, all know: reports, requests and previews go to every worker that shares the clusters. Each has
//! its own database, and without this a merge rolled by another worker than the one that previewed it would find nothing
//! reviewed. A word stands in the database as long as the broker has not confirmed it, and is answered once it is
//! written down. A worker whose queue is new asks for what there is.
//!
//! It has a connection of its own: a queue that fails, another worker's even, must not end the work on events.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, Connection, Consumer};

use super::inner::Inner;
use super::keeper::give_up;
use super::message;
use super::outbox::LOOK_AGAIN;
use super::session::{Session, acknowledge};
use super::topology;
use crate::queue::ToldEvent;
use crate::store::told::Told;

/// A word can be large.
const PREFETCH: u16 = 20;
/// Of each kind at once.
const BATCH: u32 = 20;
/// The longest wait for the broker.
const ANSWER: Duration = Duration::from_secs(30);
/// Between attempts. Nothing waits for what is told.
const PAUSE: Duration = Duration::from_secs(10);

/// A connection, and what this worker is told on it.
struct Line {
    worker: String,
    connection: Connection,
    telling: Channel,
    /// It is open as long as it is held.
    _hearing: Channel,
}

/// Tells and hears for as long as the session lasts. It never ends by itself.
pub(super) async fn share(inner: Arc<Inner>, session: Arc<Session>) -> String {
    let mut told = String::new();
    loop {
        let why = match tokio::time::timeout(2 * ANSWER, Line::open(&inner)).await {
            Ok(Ok((line, consumer))) => line.work(&inner, &session, consumer).await,
            Ok(Err(why)) => why,
            Err(_) => "the broker does not answer".to_owned(),
        };
        if told != why {
            tracing::warn!(
                why,
                "what this worker learns is not told to others at present"
            );
            told = why;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Line {
    /// The queue is there before anything is told, so that every word has one that takes it.
    async fn open(inner: &Inner) -> Result<(Self, Consumer), String> {
        let worker = inner.store.worker().await.map_err(words)?;
        let queue = topology::told_queue(&worker);
        let connection = inner.settings.connect("telling").await?;
        let looking = connection.create_channel().await.map_err(words)?;
        let is_new = !is_there(&looking, &queue).await;
        let hearing = connection.create_channel().await.map_err(words)?;
        topology::declare_told(&hearing, &queue).await?;
        let limit = hearing.basic_qos(PREFETCH, BasicQosOptions::default());
        limit.await.map_err(words)?;
        let consuming = hearing.basic_consume(
            queue.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = consuming.await.map_err(words)?;
        let telling = connection.create_channel().await.map_err(words)?;
        let confirms = telling.confirm_select(ConfirmSelectOptions::default());
        confirms.await.map_err(words)?;
        let line = Self {
            worker,
            connection,
            telling,
            _hearing: hearing,
        };
        if is_new {
            line.say(&ToldEvent::new(&line.worker, None, Told::Asked))
                .await?;
        }
        Ok((line, consumer))
    }

    /// Until something breaks; what did.
    async fn work(self, inner: &Inner, session: &Session, consumer: Consumer) -> String {
        let why = tokio::select! {
            why = hear(inner, session, &self.worker, consumer) => why,
            why = self.tell(inner) => why,
        };
        // It may be gone already, and a broker that is away does not answer.
        let closing = self.connection.close(200, "done".into());
        let _ = tokio::time::timeout(ANSWER, closing).await;
        why
    }

    async fn tell(&self, inner: &Inner) -> String {
        loop {
            // Registered before looking, so that what is written in between is not missed.
            let news = inner.store.news().notified();
            tokio::pin!(news);
            news.as_mut().enable();
            match self.tell_batch(inner).await {
                Ok(0) => {
                    // Whichever comes first: we look again. Another process (the CLI) tells nobody.
                    let _ = tokio::time::timeout(LOOK_AGAIN, news).await;
                }
                Ok(_) => {}
                Err(why) => return why,
            }
        }
    }

    /// How many were told.
    async fn tell_batch(&self, inner: &Inner) -> Result<usize, String> {
        let untold = inner.store.untold(BATCH).await.map_err(words)?;
        let mut rows = Vec::with_capacity(untold.len());
        for row in untold {
            if let Some((cluster, told)) = row.told {
                self.say(&ToldEvent::new(&self.worker, Some(cluster), told))
                    .await?;
            }
            rows.push(row.row);
        }
        let count = rows.len();
        if count > 0 {
            inner.store.was_told(rows).await.map_err(words)?;
        }
        Ok(count)
    }

    /// Returns when the broker has it for every worker.
    async fn say(&self, event: &ToldEvent) -> Result<(), String> {
        let message::Outgoing { body, properties } = message::told(event)?;
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let (exchange, key) = (topology::TOLD.into(), "told".into());
        let saying = async {
            let sending = self
                .telling
                .basic_publish(exchange, key, options, &body, properties);
            sending.await?.await
        };
        match tokio::time::timeout(ANSWER, saying).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(()),
            Ok(Ok(_)) => Err("the broker does not take it".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the broker does not confirm".to_owned()),
        }
    }
}

/// The broker closes the channel where it is not.
async fn is_there(channel: &Channel, queue: &str) -> bool {
    let look = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let found = channel.queue_declare(queue.into(), look, FieldTable::default());
    found.await.is_ok()
}

async fn hear(inner: &Inner, session: &Session, worker: &str, mut consumer: Consumer) -> String {
    loop {
        let delivery = match consumer.next().await {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => return error.to_string(),
            None => return "what other workers tell does not come any more".to_owned(),
        };
        match message::parse::<ToldEvent>(&delivery) {
            Ok(event) if event.is_of(worker) => {}
            Ok(event) => {
                if let Err(error) = write(inner, event).await {
                    return error;
                }
            }
            // Of another version of Windlass.
            Err(why) => match give_up(session, &delivery, &why).await {
                Ok(()) => continue,
                Err(why) => return why,
            },
        }
        acknowledge(&delivery).await;
    }
}

async fn write(inner: &Inner, event: ToldEvent) -> Result<(), String> {
    let written = match (event.subject, event.told) {
        (_, Told::Asked) => inner.store.tell_again().await,
        (Some(cluster), told) => inner.store.learn(&cluster, told).await,
        (None, _) => Ok(()),
    };
    written.map_err(words)
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
