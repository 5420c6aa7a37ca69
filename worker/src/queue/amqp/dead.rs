//! Looking at dead letters. RabbitMQ has no way to look into a queue, so its messages are taken and not answered:
//! they go back when the channel is closed. Someone else who looks at the same moment may miss some.

use lapin::Channel;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::BasicGetOptions;

use super::message;
use super::session::{Session, acknowledge};
use super::topology;
use crate::queue::{QueueError, QueueState, Queued};

/// More are not looked at.
const MOST: usize = 1000;

/// Letters that are held, and go back when the channel is closed.
pub(super) struct Letters {
    channel: Channel,
    pub(super) all: Vec<Delivery>,
}

impl Letters {
    pub(super) async fn take(session: &Session) -> Result<Self, QueueError> {
        let channel = session.aside().await.map_err(QueueError::Backend)?;
        let mut all = Vec::new();
        for queue in topology::dead_queues() {
            while all.len() < MOST {
                let got = channel.basic_get(queue.as_str().into(), BasicGetOptions::default());
                match got.await {
                    Ok(Some(BasicGetMessage { delivery, .. })) => all.push(delivery),
                    Ok(None) => break,
                    Err(error) => return Err(QueueError::Backend(error.to_string())),
                }
            }
        }
        Ok(Self { channel, all })
    }

    pub(super) fn find(&self, id: &str) -> Option<&Delivery> {
        self.all
            .iter()
            .find(|letter| message::id(letter).as_deref() == Some(id))
    }

    pub(super) async fn let_go(self) {
        // Closed or not, the broker takes back what was not answered.
        let _ = self.channel.close(200, "looked".into()).await;
    }
}

/// As people see it; `None` for what this version cannot read.
pub(super) fn shown(letter: &Delivery) -> Option<Queued> {
    let event = message::parse(letter).ok()?;
    Some(Queued {
        due: event.time,
        event,
        state: QueueState::Dead,
        attempts: message::tried(letter),
        why: message::why(letter),
    })
}

/// Sends one letter to its queue once more, counted from the beginning.
pub(super) async fn replay(session: &Session, id: &str) -> Result<(), QueueError> {
    let letters = Letters::take(session).await?;
    let done = match letters.find(id) {
        Some(letter) => {
            if let Ok(event) = message::parse(letter) {
                session.ensure(&event.subject).await.map_err(failed)?;
            }
            let copy = message::again(letter, 0, "");
            let key = letter.routing_key.as_str();
            let published = session.publish(topology::EVENTS, key, copy).await;
            match published {
                Ok(()) => answered(letter).await,
                Err(error) => Err(failed(error)),
            }
        }
        None => Err(QueueError::Unknown(id.to_owned())),
    };
    letters.let_go().await;
    done
}

/// Forgets one letter.
pub(super) async fn discard(session: &Session, id: &str) -> Result<(), QueueError> {
    let letters = Letters::take(session).await?;
    let done = match letters.find(id) {
        Some(letter) => answered(letter).await,
        None => Err(QueueError::Unknown(id.to_owned())),
    };
    letters.let_go().await;
    done
}

async fn answered(letter: &Delivery) -> Result<(), QueueError> {
    if acknowledge(letter).await {
        Ok(())
    } else {
        Err(QueueError::Backend("the connection is lost".to_owned()))
    }
}

fn failed(error: impl std::fmt::Display) -> QueueError {
    QueueError::Backend(error.to_string())
}
