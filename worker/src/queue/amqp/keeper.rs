//! Keeps a session with the broker for as long as the worker runs: opens it, works on it until something breaks,
//! opens the next. A lost connection, a closed channel, a cancelled consumer and a deleted queue all take this one
//! way, so that none of them is forgotten. Waits grow between attempts, with jitter, and never give up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures_util::StreamExt as _;
use lapin::Consumer;
use lapin::message::Delivery;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use windlass_core::ids::ClusterName;

use super::inner::Inner;
use super::message;
use super::outbox;
use super::session::{SendError, Session, acknowledge, put_back};
use super::telling;
use super::topology;
use crate::queue::{Event, EventKind, Lane};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A session that held this long was a good one: the next attempt comes soon.
const GOOD: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(1);
/// The broker takes a delivery back after 30 minutes without an answer; long before that it is renewed.
const RENEW: Duration = Duration::from_secs(600);

pub(super) async fn keep(inner: Arc<Inner>, stop: CancellationToken) {
    let mut backoff = backoff();
    loop {
        let opened = tokio::select! {
            () = stop.cancelled() => return,
            opened = open(&inner) => opened,
        };
        let begun = Instant::now();
        let why = match opened {
            Ok(session) => {
                let session = Arc::new(session);
                inner.connected(&session);
                let why = tokio::select! {
                    () = stop.cancelled() => None,
                    why = work(&inner, &session) => Some(why),
                };
                inner.disconnected(why.as_deref());
                session.close().await;
                let Some(why) = why else { return };
                if begun.elapsed() > GOOD {
                    backoff = self::backoff();
                }
                why
            }
            Err(why) => why,
        };
        inner.trouble(&why);
        // Another node of the broker may be better off.
        inner.settings.move_on();
        let wait = backoff.next().unwrap_or(LONGEST_WAIT);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// A session counts only when everything that is wanted of it is there; else each attempt would look like a success.
async fn open(inner: &Inner) -> Result<Session, String> {
    let session = Session::open(&inner.settings).await?;
    for (cluster, _) in inner.wanted() {
        if let Err(error) = session.ensure(&cluster).await {
            session.close().await;
            return Err(error.to_string());
        }
    }
    Ok(session)
}

fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .without_max_times()
        .with_jitter()
        .build()
}

/// Works until something breaks, and says what.
async fn work(inner: &Arc<Inner>, session: &Arc<Session>) -> String {
    let mut tasks = JoinSet::new();
    tasks.spawn(outbox::send(Arc::clone(inner), Arc::clone(session)));
    tasks.spawn(renew(Arc::clone(inner), Arc::clone(session)));
    tasks.spawn(look_after(Arc::clone(session)));
    tasks.spawn(telling::share(Arc::clone(inner), Arc::clone(session)));
    let mut consumed = BTreeSet::new();
    loop {
        // Registered before looking, so that a cluster wanted in between is not missed.
        let wanted = inner.wanted_more.notified();
        tokio::pin!(wanted);
        wanted.as_mut().enable();
        for (cluster, lane) in inner.wanted() {
            if !consumed.insert((cluster.clone(), lane)) {
                continue;
            }
            for (name, kinds) in topology::queues_of(&cluster, lane) {
                let queue = Queue {
                    cluster: cluster.clone(),
                    lane,
                    name,
                    kinds,
                };
                tasks.spawn(consume(Arc::clone(inner), Arc::clone(session), queue));
            }
        }
        tokio::select! {
            () = wanted => {}
            why = session.broken() => return why,
            ended = tasks.join_next() => return match ended {
                Some(Ok(why)) => why,
                Some(Err(error)) => error.to_string(),
                None => "nothing is left to do".to_owned(),
            },
        }
    }
}

async fn look_after(session: Arc<Session>) -> String {
    loop {
        if let Some(trouble) = session.trouble() {
            return trouble.to_owned();
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One that this worker takes events from.
struct Queue {
    cluster: ClusterName,
    lane: Lane,
    name: String,
    kinds: Vec<EventKind>,
}

async fn consume(inner: Arc<Inner>, session: Arc<Session>, queue: Queue) -> String {
    let consuming = session.consume(&queue.cluster, queue.lane, &queue.name);
    let mut consumer: Consumer = match consuming.await {
        Ok(consumer) => consumer,
        Err(why) => return why,
    };
    loop {
        match consumer.next().await {
            Some(Ok(delivery)) => {
                if let Err(error) = receive(&inner, &session, &queue, delivery).await {
                    return error;
                }
            }
            Some(Err(error)) => return error.to_string(),
            None => {
                return format!(
                    "the queue {} was deleted or its consumer cancelled",
                    queue.name
                );
            }
        }
    }
}

/// Puts a delivery on the shelf, or answers it at once where there is nothing to work on.
async fn receive(
    inner: &Inner,
    session: &Session,
    queue: &Queue,
    delivery: Delivery,
) -> Result<(), String> {
    let event = match message::parse::<Event>(&delivery) {
        Ok(event) if event.subject == queue.cluster && queue.kinds.contains(&event.kind) => event,
        Ok(event) if event.subject == queue.cluster => {
            let why = format!("events of its kind do not belong into {}", queue.name);
            return give_up(session, &delivery, &why).await;
        }
        Ok(event) => {
            let why = format!("it is about the cluster {}", event.subject);
            return give_up(session, &delivery, &why).await;
        }
        Err(why) => return give_up(session, &delivery, &why).await,
    };
    let done = inner.book.is_done(&event.id).await;
    if done.map_err(|error| error.to_string())? {
        acknowledge(&delivery).await;
        return Ok(());
    }
    let same = inner.put(event, delivery);
    if let Some(same) = same {
        acknowledge(&same).await;
    }
    Ok(())
}

/// Among the dead letters with it, as it came.
pub(super) async fn give_up(
    session: &Session,
    delivery: &Delivery,
    why: &str,
) -> Result<(), String> {
    let id = message::id(delivery);
    tracing::error!(id, why, "a message is given up");
    let copy = message::again(delivery, message::count(delivery), why);
    let published = session
        .publish(topology::DEAD, delivery.routing_key.as_str(), copy)
        .await;
    published.map_err(|error| error.to_string())?;
    acknowledge(delivery).await;
    Ok(())
}

/// Publishes what was delivered long ago once more: its copy comes back to us, takes its place, and the older
/// delivery is acknowledged. At no moment is the event anywhere but with the broker. An event of the shared lane that
/// nobody here had time for goes back, because a copy would go to any worker.
async fn renew(inner: Arc<Inner>, session: Arc<Session>) -> String {
    loop {
        tokio::time::sleep(RENEW / 10).await;
        for delivery in inner.left_over(RENEW) {
            // Where the connection is gone, the broker has it back already.
            put_back(&delivery).await;
        }
        for (event, delivery) in inner.aged(RENEW) {
            let copy = message::again(&delivery, message::count(&delivery), "");
            let published = session
                .publish(topology::EVENTS, &topology::key(&event), copy)
                .await;
            if let Err(SendError::Broken(why)) = published {
                return why;
            }
        }
    }
}
