//! Two workers that take one queue's events in turns.

use std::time::Duration;

use super::fleet::Memory;
use super::world::{World, commit};
use crate::flow::deploy::{Answered, Deploy};
use crate::queue::embedded::EmbeddedQueue;
use crate::queue::{Event, EventKind, EventQueue as _, Lease};
use crate::store::Store;
use crate::store::reports::Report;

pub(super) struct Pair {
    pub(super) world: World,
    pub(super) queue: EmbeddedQueue,
    pub(super) workers: Vec<Deploy<Memory>>,
    published: usize,
    /// Who takes what comes next.
    pub(super) turn: usize,
}

impl Pair {
    pub(super) fn new() -> Self {
        let world = World::new();
        let store = Store::open(&world.dir.path().join("queue.db")).unwrap();
        let workers = ["worker-a", "worker-b"].map(|name| world.another(name));
        Self {
            queue: EmbeddedQueue::new(store, Duration::from_secs(60)),
            workers: workers.into(),
            world,
            published: 0,
            turn: 0,
        }
    }

    pub(super) async fn publish(&mut self, kind: EventKind) {
        self.published += 1;
        let cluster = &self.world.deploy.cluster;
        let event = Event::new(kind, "/test", cluster, self.published.to_string());
        self.queue.publish(&event).await.unwrap();
    }

    pub(super) async fn take(&self) -> Option<Lease> {
        let next = self.queue.next(&self.world.deploy.cluster);
        let taken = tokio::time::timeout(Duration::from_secs(2), next).await;
        taken.ok().map(Result::unwrap)
    }

    /// The next worker takes the next event. Gives the event's kind.
    pub(super) async fn step(&mut self) -> Option<(EventKind, Option<Report>)> {
        let lease = self.take().await?;
        let worker = &self.workers[self.turn % self.workers.len()];
        self.turn += 1;
        let kind = lease.event.kind;
        match worker.run(&lease.event).await {
            Ok(Answered { report, then }) => {
                let then: Vec<Event> = then.into_iter().collect();
                self.queue.ack(lease, &then).await.unwrap();
                Some((kind, report))
            }
            Err(trouble) => panic!("{trouble}"),
        }
    }

    pub(super) async fn drain(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some((_, report)) = self.step().await {
            reports.extend(report);
        }
        reports
    }

    /// Works until nothing is left, and has a good commit pushed when one more turn has begun; how the rolls ended.
    pub(super) async fn drain_and_push(&mut self, subject: &str) -> Vec<&'static str> {
        let fleet = self.world.fleet.clone();
        let before = fleet.activations().len();
        self.world.app(subject, "good", "1m");
        let (dir, pushed) = (self.world.dir.path().join("origin"), subject.to_owned());
        let pushing = async move {
            while fleet.activations().len() == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            commit(&dir, &pushed);
        };
        let deadline = Duration::from_secs(90);
        let both = async { tokio::join!(self.drain(), pushing) };
        let (reports, ()) = tokio::time::timeout(deadline, both).await.unwrap();
        reports.iter().map(|r| r.outcome.word()).collect()
    }

    pub(super) async fn reports(&self) -> Vec<Report> {
        let mut all = Vec::new();
        for worker in &self.workers {
            all.extend(worker.store.reports(None, 10).await.unwrap());
        }
        all
    }

    pub(super) async fn stored(&self) -> usize {
        self.reports().await.len()
    }
}
