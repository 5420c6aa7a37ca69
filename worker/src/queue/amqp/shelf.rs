//! What the broker has delivered for one cluster and nobody has answered yet: one event is held, the others wait.
//! All are taken from the broker at once, so that a roll's next turn can come before what was published earlier,
//! and an event that came twice is seen as one. Nothing here is lost with the worker: the broker gives out again
//! what was not answered.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::queue::{Event, EventKind, Lease};

#[derive(Debug)]
pub(super) struct Shelf<D> {
    waiting: Vec<Entry<D>>,
    held: Option<Held<D>>,
}

#[derive(Debug)]
struct Entry<D> {
    event: Event,
    attempt: u32,
    /// `None`: its connection is gone, and the broker will give it out again, perhaps to us.
    delivery: Option<D>,
    since: Instant,
    renewed: bool,
}

#[derive(Debug)]
struct Held<D> {
    entry: Entry<D>,
    token: String,
    until: Instant,
}

/// What `take` came to.
#[derive(Debug)]
pub(super) enum Taken<D> {
    Event(Lease),
    /// Nobody answered this one in time: it goes back to the broker.
    Expired(Option<D>),
    /// Nothing now; where one is held, it may run out then.
    Nothing {
        until: Option<Instant>,
    },
}

impl<D> Default for Shelf<D> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            held: None,
        }
    }
}

impl<D: Clone> Shelf<D> {
    /// Takes a delivery in; gives one that must be acknowledged, because it is the same event as another.
    pub(super) fn put(&mut self, event: Event, attempt: u32, delivery: D) -> Option<D> {
        let held = self.held.as_mut().map(|held| &mut held.entry);
        let mut all = held.into_iter().chain(&mut self.waiting);
        if let Some(known) = all.find(|known| known.event.id == event.id) {
            // The newer delivery is the one that lasts longer.
            known.since = Instant::now();
            known.renewed = false;
            return known.delivery.replace(delivery);
        }
        let sweeps = event.kind == EventKind::Sweep;
        if sweeps
            && self
                .waiting
                .iter()
                .any(|known| known.event.kind == EventKind::Sweep)
        {
            // One look at all nodes is as good as two.
            return Some(delivery);
        }
        self.waiting.push(Entry {
            event,
            attempt,
            delivery: Some(delivery),
            since: Instant::now(),
            renewed: false,
        });
        None
    }

    /// Holds the next event: a roll's turn before all others, else the oldest.
    pub(super) fn take(&mut self, patience: Duration) -> Taken<D> {
        let now = Instant::now();
        if let Some(held) = self.held.take_if(|held| held.until <= now) {
            return Taken::Expired(held.entry.delivery);
        }
        if let Some(held) = &self.held {
            return Taken::Nothing {
                until: Some(held.until),
            };
        }
        let turn = self
            .waiting
            .iter()
            .position(|entry| entry.event.kind == EventKind::Turn);
        let next = turn.unwrap_or(0);
        if next >= self.waiting.len() {
            return Taken::Nothing { until: None };
        }
        let entry = self.waiting.remove(next);
        let lease = Lease {
            event: entry.event.clone(),
            attempt: entry.attempt,
            token: Uuid::new_v4().to_string(),
        };
        self.held = Some(Held {
            entry,
            token: lease.token.clone(),
            until: now + patience,
        });
        Taken::Event(lease)
    }

    /// The delivery under this lease, where it is still held.
    pub(super) fn held(&self, token: &str) -> Option<D> {
        let held = self.held.as_ref().filter(|held| held.token == token);
        held.filter(|held| held.until > Instant::now())
            .and_then(|held| held.entry.delivery.clone())
    }

    pub(super) fn extend(&mut self, token: &str, patience: Duration) -> bool {
        let now = Instant::now();
        let held = self
            .held
            .as_mut()
            .filter(|held| held.token == token && held.until > now);
        held.map(|held| held.until = now + patience).is_some()
    }

    /// It is answered: the delivery that the answer is for.
    pub(super) fn release(&mut self, token: &str) -> Option<D> {
        let held = self.held.take_if(|held| held.token == token);
        held.and_then(|held| held.entry.delivery)
    }

    /// Deliveries that have been here for `age`, each once: the broker takes back what is not answered for too
    /// long, so they are to be renewed.
    pub(super) fn aged(&mut self, age: Duration) -> Vec<(Event, D)> {
        let held = self.held.as_mut().map(|held| &mut held.entry);
        let all = held.into_iter().chain(&mut self.waiting);
        let old = all.filter(|entry| !entry.renewed && entry.since.elapsed() >= age);
        old.filter_map(|entry| {
            entry.renewed = true;
            Some((entry.event.clone(), entry.delivery.clone()?))
        })
        .collect()
    }

    /// The events here, the held one first.
    pub(super) fn events(&self) -> impl Iterator<Item = (&Event, u32, bool)> {
        let held = self.held.as_ref().map(|held| (&held.entry, true));
        let waiting = self.waiting.iter().map(|entry| (entry, false));
        let all = held.into_iter().chain(waiting);
        all.map(|(entry, held)| (&entry.event, entry.attempt, held))
    }

    /// The connection is gone, and all deliveries with it. What is worked on goes on: it may come again to us
    /// before it is answered.
    pub(super) fn disconnect(&mut self) {
        self.waiting.clear();
        if let Some(held) = &mut self.held {
            held.entry.delivery = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use windlass_core::ids::ClusterName;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn event(kind: EventKind, id: &str) -> Event {
        let cluster: ClusterName = "example".parse().unwrap();
        Event::new(kind, "/test", &cluster, id)
    }

    fn taken(shelf: &mut Shelf<u32>) -> Lease {
        match shelf.take(LONG) {
            Taken::Event(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_at_a_time_turns_first_then_the_oldest() {
        let mut shelf = Shelf::default();
        for (n, (kind, id)) in [
            (EventKind::Moved, "a"),
            (EventKind::Moved, "b"),
            (EventKind::Turn, "t"),
        ]
        .into_iter()
        .enumerate()
        {
            let n = u32::try_from(n).unwrap();
            assert_eq!(shelf.put(event(kind, id), 1, n), None);
        }
        for (id, n) in [("t", 2), ("a", 0), ("b", 1)] {
            let lease = taken(&mut shelf);
            assert_eq!(lease.event.id, id);
            assert!(matches!(
                shelf.take(LONG),
                Taken::Nothing { until: Some(_) }
            ));
            assert_eq!(shelf.held(&lease.token), Some(n));
            assert_eq!(shelf.release(&lease.token), Some(n));
        }
        assert!(matches!(shelf.take(LONG), Taken::Nothing { until: None }));
    }

    #[test]
    fn the_same_event_twice_is_one_and_keeps_the_newer_delivery() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.put(event(EventKind::Moved, "a"), 1, 1), None);
        assert_eq!(shelf.put(event(EventKind::Moved, "a"), 1, 2), Some(1));
        let lease = taken(&mut shelf);
        assert_eq!(shelf.put(event(EventKind::Moved, "a"), 1, 3), Some(2));
        assert_eq!(shelf.release(&lease.token), Some(3));
        assert_eq!(shelf.put(event(EventKind::Sweep, "s"), 1, 4), None);
        assert_eq!(shelf.put(event(EventKind::Sweep, "r"), 1, 5), Some(5));
    }

    #[test]
    fn what_is_not_answered_in_time_goes_back() {
        let mut shelf = Shelf::default();
        shelf.put(event(EventKind::Moved, "a"), 1, 1);
        let Taken::Event(lease) = shelf.take(Duration::ZERO) else {
            panic!("nothing")
        };
        assert_eq!(shelf.held(&lease.token), None);
        assert!(!shelf.extend(&lease.token, LONG));
        assert!(matches!(shelf.take(LONG), Taken::Expired(Some(1))));
        assert_eq!(shelf.release(&lease.token), None);
    }

    #[test]
    fn a_lost_connection_takes_the_deliveries_but_not_the_work() {
        let mut shelf = Shelf::default();
        shelf.put(event(EventKind::Moved, "a"), 1, 1);
        shelf.put(event(EventKind::Moved, "b"), 1, 2);
        let lease = taken(&mut shelf);
        shelf.disconnect();
        assert_eq!(shelf.held(&lease.token), None, "someone else may have it");
        assert_eq!(shelf.put(event(EventKind::Moved, "a"), 2, 3), None);
        assert_eq!(shelf.held(&lease.token), Some(3), "it came back to us");
        shelf.release(&lease.token);
        assert!(matches!(shelf.take(LONG), Taken::Nothing { until: None }));
    }

    #[test]
    fn deliveries_are_renewed_once_they_are_old() {
        let mut shelf = Shelf::default();
        shelf.put(event(EventKind::Moved, "a"), 1, 1);
        assert!(shelf.aged(LONG).is_empty());
        assert_eq!(shelf.aged(Duration::ZERO).len(), 1);
        assert!(
            shelf.aged(Duration::ZERO).is_empty(),
            "its copy is on the way"
        );
        shelf.put(event(EventKind::Moved, "a"), 1, 2);
        assert_eq!(shelf.aged(Duration::ZERO)[0].1, 2);
    }
}
