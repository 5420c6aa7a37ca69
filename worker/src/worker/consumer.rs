//! Takes one cluster's events from the queue, one after the other, and answers each. The event is held by
//! heartbeat for as long as it is worked on. A handler that panics takes only its own event with it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass_core::ids::ClusterName;

use crate::queue::port::delay_after;
use crate::queue::{Event, EventQueue, Lease, QueueError};

/// An event that breaks the handler this often is put among the dead.
const MAX_BREAKS: u32 = 5;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    /// Done, and this follows from it.
    Then(Box<Event>),
    /// Not now: something outside is away. Tried again for as long as it takes.
    Later(String),
    /// Not before that much time: what is outside said so.
    Again(Duration, String),
    /// Something went wrong that should not; a few more tries.
    Broken(String),
}

pub(super) trait Handler: Send + Sync + 'static {
    fn handle(&self, event: Event) -> impl Future<Output = Answer> + Send;

    /// Something was published for the cluster, perhaps while another event is worked on, which it must wait for.
    fn came(&self) {}
}

/// Works until `stop`; an event under work is finished first.
pub(super) async fn consume<Q, H>(
    queue: Q,
    handler: Arc<H>,
    cluster: ClusterName,
    stop: CancellationToken,
) where
    Q: EventQueue,
    H: Handler,
{
    tokio::select! {
        () = one_by_one(&queue, &handler, &cluster, &stop) => {}
        never = hear(&queue, &handler, &cluster) => match never {},
    }
}

/// An event that waits behind the one under work may be about that one.
async fn hear<Q, H>(queue: &Q, handler: &Arc<H>, cluster: &ClusterName) -> Infallible
where
    Q: EventQueue,
    H: Handler,
{
    loop {
        queue.came(cluster).await;
        handler.came();
    }
}

async fn one_by_one<Q, H>(
    queue: &Q,
    handler: &Arc<H>,
    cluster: &ClusterName,
    stop: &CancellationToken,
) where
    Q: EventQueue,
    H: Handler,
{
    let mut failures = 0;
    loop {
        let taken = tokio::select! {
            () = stop.cancelled() => return,
            taken = queue.next(cluster) => taken,
        };
        let worked = match taken {
            Ok(lease) => work(queue, handler, lease).await,
            Err(error) => Err(error),
        };
        match worked {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                tracing::error!(%cluster, %error, "the queue failed; trying again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(delay_after(failures)) => {}
                }
            }
        }
    }
}

/// Has one event worked on, and gives the queue its answer.
pub(super) async fn work<Q: EventQueue, H: Handler>(
    queue: &Q,
    handler: &Arc<H>,
    lease: Lease,
) -> Result<(), QueueError> {
    let (handler, event) = (Arc::clone(handler), lease.event.clone());
    let working = tokio::spawn(async move { handler.handle(event).await });
    let answer = tokio::select! {
        ended = working => ended.unwrap_or_else(|error| Answer::Broken(error.to_string())),
        never = hold(queue, &lease) => match never {},
    };
    let attempt = lease.attempt;
    match answer {
        Answer::Done => queue.ack(lease, &[]).await,
        Answer::Then(event) => queue.ack(lease, std::slice::from_ref(&event)).await,
        Answer::Later(why) => queue.retry(lease, delay_after(attempt), &why).await,
        Answer::Again(delay, why) => queue.retry(lease, delay, &why).await,
        Answer::Broken(why) => broke(queue, lease.broken(), &why).await,
    }
}

/// Tried again as often as anything may break, however often it waited before.
async fn broke<Q: EventQueue>(queue: &Q, lease: Lease, why: &str) -> Result<(), QueueError> {
    let (event, breaks) = (&lease.event.id, lease.breaks);
    if breaks < MAX_BREAKS {
        tracing::error!(event, breaks, why, "an event could not be worked on");
        queue.retry(lease, delay_after(breaks), why).await
    } else {
        tracing::error!(event, breaks, why, "an event is given up");
        queue.dead(lease, why).await
    }
}

/// Keeps the event ours. Where that fails the work goes on: the fence on the nodes keeps a second worker out.
async fn hold<Q: EventQueue>(queue: &Q, lease: &Lease) -> Infallible {
    let every: Duration = queue.patience() / 3;
    loop {
        tokio::time::sleep(every).await;
        if let Err(error) = queue.extend(lease).await {
            tracing::warn!(event = lease.event.id, %error, "an event could not be held");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::queue::embedded::EmbeddedQueue;
    use crate::queue::{EventKind, QueueState};
    use crate::store::Store;

    /// Answers in turn, and remembers whom it was asked about.
    struct Scripted {
        answers: Mutex<Vec<Option<Answer>>>,
        asked: Mutex<Vec<String>>,
        slow: Duration,
        queue: EmbeddedQueue,
        stop: CancellationToken,
    }

    impl Handler for Scripted {
        async fn handle(&self, event: Event) -> Answer {
            // Nobody else is given an event of this cluster meanwhile, however long it takes.
            let other = self.queue.next(&event.subject);
            let other = tokio::time::timeout(self.slow, other).await;
            assert!(other.is_err(), "{other:?}");
            self.asked.lock().unwrap().push(event.id);
            let mut answers = self.answers.lock().unwrap();
            let answer = answers.remove(0);
            if answers.is_empty() {
                self.stop.cancel();
            }
            drop(answers);
            answer.expect("a panic on purpose")
        }
    }

    struct World {
        _dir: tempfile::TempDir,
        store: Store,
        queue: EmbeddedQueue,
        cluster: ClusterName,
    }

    async fn play(
        answers: Vec<Option<Answer>>,
        ids: &[&str],
        slow: Duration,
    ) -> (World, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("q.db")).unwrap();
        let queue = EmbeddedQueue::new(store.clone(), Duration::from_secs(1));
        let cluster: ClusterName = "example".parse().unwrap();
        for id in ids {
            let event = Event::new(EventKind::Moved, "/test", &cluster, *id);
            queue.publish(&event).await.unwrap();
        }
        let stop = CancellationToken::new();
        let handler = Arc::new(Scripted {
            answers: Mutex::new(answers),
            asked: Mutex::new(Vec::new()),
            slow,
            queue: queue.clone(),
            stop: stop.clone(),
        });
        let deadline = Duration::from_secs(60);
        let consuming = consume(queue.clone(), Arc::clone(&handler), cluster.clone(), stop);
        tokio::time::timeout(deadline, consuming).await.unwrap();
        let asked = handler.asked.lock().unwrap().clone();
        let world = World {
            _dir: dir,
            store,
            queue,
            cluster,
        };
        (world, asked)
    }

    impl World {
        async fn state(&self, id: &str) -> (QueueState, u32, String) {
            let queued = self.queue.show(id).await.unwrap().unwrap();
            assert_eq!(queued.readable().unwrap().subject, self.cluster);
            (queued.state, queued.attempts, queued.why)
        }

        /// Whatever waits for another attempt is due.
        async fn hurry(&self) {
            let hurry = |db: &mut rusqlite::Connection| db.execute("UPDATE event SET due = 0", []);
            self.store.call(hurry).await.unwrap();
        }
    }

    #[tokio::test]
    async fn answers_reach_the_queue() {
        let later = Answer::Later("remote away".to_owned());
        let answers = vec![Some(Answer::Done), Some(later), Some(Answer::Done)];
        let (world, asked) = play(answers, &["1", "2", "3"], Duration::ZERO).await;
        assert_eq!(asked, ["1", "2", "3"]);
        assert_eq!(world.state("1").await.0, QueueState::Done);
        let waiting = (QueueState::Ready, 1, "remote away".to_owned());
        assert_eq!(world.state("2").await, waiting);
        assert_eq!(world.state("3").await.0, QueueState::Done);
    }

    #[tokio::test]
    async fn what_said_when_to_come_back_is_left_alone_until_then() {
        let pause = Duration::from_secs(600);
        let again = Answer::Again(pause, "too many questions".to_owned());
        let before = jiff::Timestamp::now();
        let (world, _) = play(vec![Some(again)], &["1"], Duration::ZERO).await;
        let waiting = (QueueState::Ready, 1, "too many questions".to_owned());
        assert_eq!(world.state("1").await, waiting);
        let queued = world.queue.show("1").await.unwrap().unwrap();
        assert!(queued.due >= before + pause - Duration::from_secs(1));
    }

    /// Behind a roll an event may wait for an hour.
    #[tokio::test]
    async fn who_waited_long_is_not_given_up_when_it_breaks_once() {
        let wait = || {
            Some(Answer::Again(
                Duration::ZERO,
                "a roll is under way".to_owned(),
            ))
        };
        let broken = |why: &str| Some(Answer::Broken(why.to_owned()));
        let mut answers: Vec<_> = (0..8).map(|_| wait()).collect();
        answers.push(broken("disk full"));
        let (world, asked) = play(answers, &["1"], Duration::ZERO).await;
        assert_eq!(asked.len(), 9);
        let waiting = (QueueState::Ready, 9, "disk full".to_owned());
        assert_eq!(world.state("1").await, waiting);
        let queued = world.queue.show("1").await.unwrap().unwrap();
        let soon = jiff::Timestamp::now() + delay_after(1);
        assert!(queued.due <= soon, "as soon as after any first break");
    }

    #[tokio::test]
    async fn what_breaks_again_and_again_is_given_up() {
        let answers = vec![Some(Answer::Done)];
        let (world, _) = play(answers, &["first"], Duration::ZERO).await;
        let cluster = world.cluster.clone();
        let event = Event::new(EventKind::Moved, "/test", &cluster, "poison");
        world.queue.publish(&event).await.unwrap();
        for broke in 1..=MAX_BREAKS {
            let handler = Arc::new(Scripted {
                answers: Mutex::new(vec![None]),
                asked: Mutex::default(),
                slow: Duration::ZERO,
                queue: world.queue.clone(),
                stop: CancellationToken::new(),
            });
            let lease = world.queue.next(&cluster).await.unwrap();
            assert_eq!(lease.breaks, broke - 1);
            work(&world.queue, &handler, lease).await.unwrap();
            let (state, ..) = world.state("poison").await;
            assert_eq!(state == QueueState::Dead, broke == MAX_BREAKS, "{state:?}");
            world.hurry().await;
        }
    }

    #[tokio::test]
    async fn a_panic_takes_only_its_event_with_it() {
        let (world, asked) = play(
            vec![None, Some(Answer::Done)],
            &["bad", "good"],
            Duration::ZERO,
        )
        .await;
        assert_eq!(asked, ["bad", "good"]);
        let (state, _, why) = world.state("bad").await;
        assert!(state == QueueState::Ready && why.contains("panic"), "{why}");
        assert_eq!(world.state("good").await.0, QueueState::Done);
    }

    #[tokio::test]
    async fn long_work_keeps_its_event() {
        let answers = vec![Some(Answer::Done)];
        let (world, asked) = play(answers, &["long"], Duration::from_secs(3)).await;
        assert_eq!(asked, ["long"]);
        assert_eq!(
            world.state("long").await,
            (QueueState::Done, 1, String::new())
        );
    }

    /// Ends its work when it has heard that something else came.
    struct Hearing {
        queue: EmbeddedQueue,
        heard: tokio::sync::Notify,
        stop: CancellationToken,
    }

    impl Handler for Hearing {
        async fn handle(&self, event: Event) -> Answer {
            let (pause, mut came) = (Duration::from_millis(50), 0);
            while tokio::time::timeout(pause, self.heard.notified())
                .await
                .is_err()
            {
                came += 1;
                let id = format!("{}-{came}", event.id);
                let other = Event::new(EventKind::Moved, "/test", &event.subject, id);
                self.queue.publish(&other).await.unwrap();
            }
            self.stop.cancel();
            Answer::Done
        }

        fn came(&self) {
            self.heard.notify_one();
        }
    }

    #[tokio::test]
    async fn what_comes_during_the_work_is_heard_of() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("q.db")).unwrap();
        let queue = EmbeddedQueue::new(store, Duration::from_secs(60));
        let cluster: ClusterName = "example".parse().unwrap();
        let event = Event::new(EventKind::Moved, "/test", &cluster, "first");
        queue.publish(&event).await.unwrap();
        let stop = CancellationToken::new();
        let handler = Arc::new(Hearing {
            queue: queue.clone(),
            heard: tokio::sync::Notify::new(),
            stop: stop.clone(),
        });
        let consuming = consume(queue, handler, cluster, stop);
        let deadline = Duration::from_secs(60);
        tokio::time::timeout(deadline, consuming).await.unwrap();
    }
}
