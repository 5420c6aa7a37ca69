//! A queue that all workers share, and what comes into it; a worker can be made to die on either side of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::world::World;
use crate::flow::request::Publish;
use crate::queue::embedded::EmbeddedQueue;
use crate::queue::{Event, EventQueue, Published, QueueError};

/// Where a worker dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dies {
    BeforeIt,
    AfterIt,
}

#[derive(Clone)]
pub(super) struct Letters {
    queue: EmbeddedQueue,
    taken: Arc<Mutex<Vec<Event>>>,
    dies: Arc<Mutex<Option<Dies>>>,
}

impl Letters {
    pub(super) fn new(world: &World) -> Self {
        let store = world.another("queue").store;
        Self {
            queue: EmbeddedQueue::new(store, Duration::from_secs(60)),
            taken: Arc::default(),
            dies: Arc::default(),
        }
    }

    /// At the next event, once.
    pub(super) fn die(&self, dies: Dies) {
        *self.dies.lock().unwrap() = Some(dies);
    }

    /// The events that were new to the queue.
    pub(super) fn taken(&self) -> Vec<Event> {
        self.taken.lock().unwrap().clone()
    }
}

impl Publish for Letters {
    fn publish<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), QueueError>> {
        let dies = self.dies.lock().unwrap().take();
        async move {
            // For what the worker does after it, an error is as good as the end.
            let end = Err(QueueError::Backend("the worker died".to_owned()));
            if dies == Some(Dies::BeforeIt) {
                return end;
            }
            if EventQueue::publish(&self.queue, event).await? == Published::New {
                self.taken.lock().unwrap().push(event.clone());
            }
            if dies.is_some() { end } else { Ok(()) }
        }
        .boxed()
    }
}
