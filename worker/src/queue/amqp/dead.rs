//! Looking at dead letters. RabbitMQ has no way to look into a queue, so its messages are taken and not answered:
//! they go back when the channel is closed. Someone else who looks at the same moment may miss some.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lapin::Channel;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::BasicGetOptions;

use super::message::{self, Count};
use super::session::{SendError, Session, acknowledge};
use super::topology;
use crate::queue::{
    Answered, Chosen, Content, Event, Left, QueueError, QueueState, Queued, Unreadable,
};

/// Goes through the queues of dead letters. What it has given is held, and goes back when it is closed.
struct Letters {
    channel: Channel,
    /// The one that is looked at last; those before it are done with.
    queues: Vec<String>,
    /// Of each queue at most so many.
    most: u32,
    /// How many the queue still has of those that were there when we came to it; what comes in meanwhile does not
    /// count, or one that dies again at once would be met for ever.
    left: Option<u32>,
}

struct Letter {
    queue: String,
    delivery: Delivery,
}

impl Letters {
    async fn open(session: &Session, most: u32) -> Result<Self, QueueError> {
        Self::of(session, topology::dead_queues().collect(), most).await
    }

    async fn of(session: &Session, mut queues: Vec<String>, most: u32) -> Result<Self, QueueError> {
        queues.reverse();
        Ok(Self {
            channel: session.aside().await.map_err(QueueError::Backend)?,
            queues,
            most,
            left: None,
        })
    }

    async fn next(&mut self) -> Result<Option<Letter>, QueueError> {
        while let Some(queue) = self.queues.last() {
            if self.left.unwrap_or(self.most) > 0 {
                let getting = self
                    .channel
                    .basic_get(queue.as_str().into(), BasicGetOptions::default());
                if let Some(got) = getting.await.map_err(failed)? {
                    let BasicGetMessage {
                        delivery,
                        message_count,
                    } = got;
                    let left = self.left.unwrap_or(self.most).saturating_sub(1);
                    self.left = Some(match self.left {
                        Some(_) => left,
                        None => left.min(message_count),
                    });
                    let queue = queue.clone();
                    return Ok(Some(Letter { queue, delivery }));
                }
            }
            self.queues.pop();
            self.left = None;
        }
        Ok(None)
    }

    async fn close(self) {
        // Closed or not, the broker takes back what was not answered.
        let _ = self.channel.close(200, "looked".into()).await;
    }
}

impl Letter {
    fn id(&self) -> String {
        message::id(&self.delivery)
    }

    fn shown(&self) -> Queued {
        let letter = &self.delivery;
        let event = match message::parse::<Event>(letter) {
            Ok(event) => Content::Event(event),
            Err(_) => Content::Unreadable(Unreadable::of(self.id(), &letter.data, &self.queue)),
        };
        Queued {
            due: message::published(letter).unwrap_or(Timestamp::UNIX_EPOCH),
            event,
            state: QueueState::Dead,
            attempts: message::count(letter).tried,
            why: message::why(letter),
        }
    }

    /// Sends it to its queue once more, counted from the beginning; why not, where no queue takes it.
    async fn replay(&self, session: &Session) -> Result<Option<String>, QueueError> {
        let letter = &self.delivery;
        let key = match message::parse::<Event>(letter) {
            // It was put aside by a version that did not know its kind.
            Ok(event) if letter.routing_key.as_str().ends_with(topology::UNKNOWN) => {
                topology::key(&event)
            }
            _ => letter.routing_key.to_string(),
        };
        let copy = message::again(letter, Count::default(), "");
        match session.offer(topology::EVENTS, &key, copy).await {
            Ok(()) => self.answered().await.map(|()| None),
            Err(SendError::Refused(why)) => Ok(Some(why)),
            Err(SendError::Broken(why)) => Err(QueueError::Backend(why)),
        }
    }

    async fn answered(&self) -> Result<(), QueueError> {
        if acknowledge(&self.delivery).await {
            Ok(())
        } else {
            Err(QueueError::Backend("the connection is lost".to_owned()))
        }
    }
}

/// Of each queue at most so many, oldest first.
pub(super) async fn list(session: &Session, most: u32) -> Result<Vec<Queued>, QueueError> {
    let mut letters = Letters::open(session, most).await?;
    let listed = async {
        let mut all = Vec::new();
        while let Some(letter) = letters.next().await? {
            all.push(letter.shown());
        }
        Ok(all)
    }
    .await;
    letters.close().await;
    listed
}

pub(super) async fn find(session: &Session, id: &str) -> Result<Option<Queued>, QueueError> {
    let mut letters = Letters::open(session, u32::MAX).await?;
    let found = async {
        while let Some(letter) = letters.next().await? {
            if letter.id() == id {
                return Ok(Some(letter.shown()));
            }
        }
        Ok(None)
    }
    .await;
    letters.close().await;
    found
}

/// When the oldest letter of each of these queues was published, where that can be told.
pub(super) async fn oldest(
    session: &Session,
    queues: Vec<String>,
) -> Result<Vec<(String, Timestamp)>, QueueError> {
    let mut letters = Letters::of(session, queues, 1).await?;
    let looked = async {
        let mut all = Vec::new();
        while let Some(Letter { queue, delivery }) = letters.next().await? {
            all.extend(message::published(&delivery).map(|published| (queue, published)));
        }
        Ok(all)
    }
    .await;
    letters.close().await;
    looked
}

/// Sends the chosen letters to their queues once more.
pub(super) async fn replay(session: &Session, which: &Chosen) -> Result<Answered, QueueError> {
    for_each(session, which, Deed::Replay).await
}

/// Forgets the chosen letters.
pub(super) async fn discard(session: &Session, which: &Chosen) -> Result<Answered, QueueError> {
    for_each(session, which, Deed::Forget).await
}

#[derive(Clone, Copy)]
enum Deed {
    Replay,
    Forget,
}

async fn for_each(session: &Session, which: &Chosen, deed: Deed) -> Result<Answered, QueueError> {
    let mut letters = Letters::open(session, u32::MAX).await?;
    let done = match which {
        Chosen::All => all(session, &mut letters, deed).await,
        Chosen::These(ids) => these(session, &mut letters, ids, deed).await,
    };
    letters.close().await;
    done
}

/// Each as soon as it is taken, so that any number is no burden.
async fn all(session: &Session, letters: &mut Letters, deed: Deed) -> Result<Answered, QueueError> {
    let mut answered = Answered::default();
    while let Some(letter) = letters.next().await? {
        answer(session, &letter, deed, &mut answered).await?;
    }
    Ok(answered)
}

/// Once all are found.
async fn these(
    session: &Session,
    letters: &mut Letters,
    ids: &[String],
    deed: Deed,
) -> Result<Answered, QueueError> {
    let mut missing: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    while !missing.is_empty()
        && let Some(letter) = letters.next().await?
    {
        if missing.remove(letter.id().as_str()) {
            found.push(letter);
        }
    }
    if let Some(id) = missing.first() {
        return Err(QueueError::Unknown((*id).to_owned()));
    }
    let mut answered = Answered::default();
    for letter in found {
        answer(session, &letter, deed, &mut answered).await?;
    }
    Ok(answered)
}

async fn answer(
    session: &Session,
    letter: &Letter,
    deed: Deed,
    answered: &mut Answered,
) -> Result<(), QueueError> {
    let trouble = match deed {
        Deed::Replay => letter.replay(session).await?,
        Deed::Forget => letter.answered().await.map(|()| None)?,
    };
    let id = letter.id();
    match trouble {
        None => answered.done.push(id),
        Some(why) => answered.left.push(Left { id, why }),
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> QueueError {
    QueueError::Backend(error.to_string())
}
