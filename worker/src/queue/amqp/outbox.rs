//! Sends what is in the outbox. A queue that takes no more must neither hold up the others nor be sent everything
//! again and again: it rests, and is then asked with a single event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lapin::PublisherConfirm;
use tokio::time::Instant;

use super::book::{Place, Waiting};
use super::inner::Inner;
use super::message;
use super::session::{SendError, Session};
use super::topology;
use crate::queue::Event;

/// Another process (the CLI) may put something into the outbox; nobody tells us then.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The pause after the broker did not take a message.
const PAUSE: Duration = Duration::from_secs(2);
const BATCH: u32 = 200;

/// Sends the outbox, oldest first and many at once, until something breaks; says what.
pub(super) async fn send(inner: Arc<Inner>, session: Arc<Session>) -> String {
    let mut sender = Sender {
        inner: &inner,
        session: &session,
        full: BTreeMap::new(),
    };
    let mut told = false;
    loop {
        // Registered before looking, so that an event entered in between is not missed.
        let entered = inner.entered.notified();
        tokio::pin!(entered);
        entered.as_mut().enable();
        match sender.batch().await {
            Ok(0) => {
                told = false;
                // Whichever comes first: we look again.
                let _ = tokio::time::timeout(LOOK_AGAIN, entered).await;
            }
            Ok(_) => {}
            Err(SendError::Refused(why)) => {
                if !told {
                    tracing::warn!(why, "events wait until the broker takes them");
                    told = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(SendError::Broken(why)) => return why,
        }
    }
}

struct Sender<'a> {
    inner: &'a Inner,
    session: &'a Session,
    /// What took no more, and when it is asked again.
    full: BTreeMap<Place, Instant>,
}

impl Sender<'_> {
    /// How many were sent.
    async fn batch(&mut self) -> Result<usize, SendError> {
        if self.session.is_blocked() {
            let words = "the broker takes no messages: it is short of disk or memory";
            return Err(SendError::Refused(words.to_owned()));
        }
        let session = self.session;
        let mut sending = Vec::new();
        for row in self.waiting().await? {
            let confirm = self.send_one(&row).await?;
            sending.push(async move { (row, session.confirmed(confirm).await) });
        }
        // All at once, so that a broker that says nothing is waited for once.
        let answers = join_all(sending).await;
        let mut sent = Vec::new();
        let mut refused = BTreeMap::new();
        let mut broken = None;
        for (row, answer) in answers {
            match answer {
                Ok(()) => {
                    self.full.remove(&row.place);
                    sent.push(row.seq);
                }
                Err(SendError::Refused(why)) => {
                    refused.insert(row.place, why);
                }
                Err(error @ SendError::Broken(_)) => {
                    broken.get_or_insert(error);
                }
            }
        }
        let count = sent.len();
        if count > 0 {
            self.inner.book.sent(sent).await.map_err(self::broken)?;
        }
        for (place, why) in refused {
            let Place { cluster, kind } = &place;
            if !self.full.contains_key(&place) {
                tracing::warn!(
                    cluster,
                    kind,
                    why,
                    "events wait until the broker takes them"
                );
            }
            self.full.insert(place, Instant::now() + PAUSE);
        }
        broken.map_or(Ok(count), Err)
    }

    /// What is to be sent now: of what was full one, where it has rested; of everything else the oldest.
    async fn waiting(&mut self) -> Result<Vec<Waiting>, SendError> {
        let book = &self.inner.book;
        let except: Vec<Place> = self.full.keys().cloned().collect();
        let waiting = book.waiting(BATCH, except).await;
        let mut waiting = waiting.map_err(broken)?;
        let now = Instant::now();
        let rested = self.full.iter().filter(|(_, until)| **until <= now);
        let rested: Vec<Place> = rested.map(|(place, _)| place.clone()).collect();
        for place in rested {
            match book.oldest_of(&place).await.map_err(broken)? {
                Some(row) => waiting.push(row),
                None => drop(self.full.remove(&place)),
            }
        }
        Ok(waiting)
    }

    async fn send_one(&self, row: &Waiting) -> Result<PublisherConfirm, SendError> {
        let event: Event = match serde_json::from_str(&row.body) {
            Ok(event) => event,
            Err(error) => {
                let why = format!("not an event of this version: {error}");
                return self.put_aside(row, &why).await;
            }
        };
        self.session.ensure(&event.subject).await?;
        let outgoing = message::outgoing(&event).map_err(SendError::Broken)?;
        let key = topology::key(&event);
        self.session.send(topology::EVENTS, &key, outgoing).await
    }

    /// Among the dead letters, as it is: another version of Windlass left it here, and it must neither be lost nor
    /// stand in the way of the others.
    async fn put_aside(&self, row: &Waiting, why: &str) -> Result<PublisherConfirm, SendError> {
        tracing::error!(id = row.id, why, "an event is given up");
        let outgoing = message::unreadable(&row.id, &row.body, why);
        let key = topology::unknown_key(&row.place.cluster);
        self.session.send(topology::DEAD, &key, outgoing).await
    }
}

fn broken(error: impl std::fmt::Display) -> SendError {
    SendError::Broken(error.to_string())
}
