//! What the broker has delivered of one lane and nobody has answered yet. In a cluster's own lane one event is held
//! and the others wait; in the shared lane many are held. Events are taken from the broker ahead of the work, so that a
//! roll's next turn can come before what was published earlier, and an event that came twice is seen as one. Nothing
//! here is lost with the worker: the broker gives out again what was not answered.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::queue::{Event, EventKind, Lane, Lease};

/// The broker has confirmed a turn of ours and gives it to us next; where it has gone another way, we wait no longer.
const EXPECTED: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Shelf<D> {
    waiting: Vec<Entry<D>>,
    held: Vec<Held<D>>,
    /// A roll's next turn, by its id, that is on its way to the broker and back; nothing else is taken before it.
    expected: Option<(String, Instant)>,
}

/// What a delivery says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tries {
    pub(super) attempt: u32,
    pub(super) breaks: u32,
}

#[derive(Debug)]
struct Entry<D> {
    event: Event,
    tries: Tries,
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
    /// Nothing now; where some are held, one may run out then.
    Nothing {
        until: Option<Instant>,
    },
}

impl<D> Default for Shelf<D> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            held: Vec::new(),
            expected: None,
        }
    }
}

impl<D: Clone> Shelf<D> {
    /// Takes a delivery in; gives one that must be acknowledged, because it is the same event as another.
    pub(super) fn put(&mut self, event: Event, tries: Tries, delivery: D) -> Option<D> {
        self.expected.take_if(|(id, _)| *id == event.id);
        let held = self.held.iter_mut().map(|held| &mut held.entry);
        let mut all = held.chain(&mut self.waiting);
        if let Some(known) = all.find(|known| known.event.id == event.id) {
            // The newer delivery is the one that lasts longer.
            known.since = Instant::now();
            known.renewed = false;
            return known.delivery.replace(delivery);
        }
        if event.kind.is_one_look() && self.waiting.iter().any(|known| same_look(known, &event)) {
            return Some(delivery);
        }
        self.waiting.push(Entry {
            event,
            tries,
            delivery: Some(delivery),
            since: Instant::now(),
            renewed: false,
        });
        None
    }

    /// Holds the next event that is `wanted`: a roll's turn before all others, else the oldest.
    pub(super) fn take(&mut self, patience: Duration, wanted: impl Fn(&Event) -> bool) -> Taken<D> {
        let now = Instant::now();
        if let Some(expired) = self.held.iter().position(|held| held.until <= now) {
            return Taken::Expired(self.held.remove(expired).entry.delivery);
        }
        self.expected.take_if(|(_, until)| *until <= now);
        if let Some((_, until)) = self.expected {
            return Taken::Nothing { until: Some(until) };
        }
        let free = |entry: &Entry<D>| wanted(&entry.event) && !self.is_blocked(&entry.event);
        let is_turn = |entry: &Entry<D>| entry.event.kind == EventKind::Turn;
        let mut waiting = self.waiting.iter();
        let turn = waiting.position(|entry| is_turn(entry) && free(entry));
        let Some(next) = turn.or_else(|| self.waiting.iter().position(free)) else {
            let until = self.held.iter().map(|held| held.until).min();
            return Taken::Nothing { until };
        };
        let entry = self.waiting.remove(next);
        let lease = Lease {
            event: entry.event.clone(),
            attempt: entry.tries.attempt,
            breaks: entry.tries.breaks,
            token: Uuid::new_v4().to_string(),
        };
        self.held.push(Held {
            entry,
            token: lease.token.clone(),
            until: now + patience,
        });
        Taken::Event(lease)
    }

    /// To be said before the event is published: its delivery may come before the broker's confirm.
    pub(super) fn expect(&mut self, event: &Event) {
        if event.kind == EventKind::Turn {
            self.expected = Some((event.id.clone(), Instant::now() + EXPECTED));
        }
    }

    /// Whether another event must be answered first.
    fn is_blocked(&self, event: &Event) -> bool {
        let mut held = self.held.iter().map(|held| &held.entry.event);
        match event.kind.lane() {
            Lane::Cluster => held.next().is_some(),
            Lane::Shared if event.kind.is_serial() => {
                held.any(|held| held.kind == event.kind && held.subject == event.subject)
            }
            Lane::Shared => false,
        }
    }

    /// The delivery under this lease, where it is still held.
    pub(super) fn held(&self, token: &str) -> Option<D> {
        let held = self.held.iter().find(|held| held.token == token);
        held.filter(|held| held.until > Instant::now())
            .and_then(|held| held.entry.delivery.clone())
    }

    pub(super) fn extend(&mut self, token: &str, patience: Duration) -> bool {
        let now = Instant::now();
        let mut all = self.held.iter_mut();
        let held = all.find(|held| held.token == token && held.until > now);
        held.map(|held| held.until = now + patience).is_some()
    }

    /// It is answered: the delivery that the answer is for.
    pub(super) fn release(&mut self, token: &str) -> Option<D> {
        let place = self.held.iter().position(|held| held.token == token)?;
        self.held.remove(place).entry.delivery
    }

    /// Deliveries that have been here for `age`, each once: the broker takes back what is not answered for too
    /// long, so they are to be renewed.
    pub(super) fn aged(&mut self, age: Duration) -> Vec<(Event, D)> {
        let all = entries(&mut self.held).chain(&mut self.waiting);
        let old = all.filter(|entry| !entry.renewed && entry.since.elapsed() >= age);
        old.filter_map(|entry| {
            entry.renewed = true;
            Some((entry.event.clone(), entry.delivery.clone()?))
        })
        .collect()
    }

    /// Takes out what nobody has begun for `age`: another worker may have the time.
    pub(super) fn left_over(&mut self, age: Duration) -> Vec<D> {
        let old = |entry: &mut Entry<D>| entry.since.elapsed() >= age;
        let old = self.waiting.extract_if(.., old);
        old.filter_map(|entry| entry.delivery).collect()
    }

    /// The events here, the held ones first.
    pub(super) fn events(&self) -> impl Iterator<Item = (&Event, u32, bool)> {
        let held = self.held.iter().map(|held| (&held.entry, true));
        let waiting = self.waiting.iter().map(|entry| (entry, false));
        let all = held.chain(waiting);
        all.map(|(entry, held)| (&entry.event, entry.tries.attempt, held))
    }

    /// The connection is gone, and all deliveries with it. What is worked on goes on: it may come again to us
    /// before it is answered.
    pub(super) fn disconnect(&mut self) {
        self.waiting.clear();
        self.expected = None;
        for entry in entries(&mut self.held) {
            entry.delivery = None;
        }
    }
}

fn entries<D>(held: &mut [Held<D>]) -> impl Iterator<Item = &mut Entry<D>> {
    held.iter_mut().map(|held| &mut held.entry)
}

/// One look is as good as two.
fn same_look<D>(known: &Entry<D>, event: &Event) -> bool {
    let known = &known.event;
    (known.kind, &known.subject, &known.data) == (event.kind, &event.subject, &event.data)
}

#[cfg(test)]
mod tests {
    use windlass_core::ids::ClusterName;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const FIRST: Tries = Tries {
        attempt: 1,
        breaks: 0,
    };

    fn event(kind: EventKind, id: &str) -> Event {
        let cluster: ClusterName = "example".parse().unwrap();
        Event::new(kind, "/test", &cluster, id)
    }

    fn taken<D: Clone + std::fmt::Debug>(shelf: &mut Shelf<D>) -> Lease {
        match shelf.take(LONG, |_| true) {
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
            assert_eq!(shelf.put(event(kind, id), FIRST, n), None);
        }
        for (id, n) in [("t", 2), ("a", 0), ("b", 1)] {
            let lease = taken(&mut shelf);
            assert_eq!(lease.event.id, id);
            assert!(matches!(
                shelf.take(LONG, |_| true),
                Taken::Nothing { until: Some(_) }
            ));
            assert_eq!(shelf.held(&lease.token), Some(n));
            assert_eq!(shelf.release(&lease.token), Some(n));
        }
        assert!(matches!(
            shelf.take(LONG, |_| true),
            Taken::Nothing { until: None }
        ));
    }

    #[test]
    fn nothing_overtakes_a_turn_that_is_on_its_way() {
        let mut shelf = Shelf::default();
        let waits = |shelf: &mut Shelf<u32>| {
            let taken = shelf.take(LONG, |_| true);
            matches!(taken, Taken::Nothing { until: Some(_) })
        };
        shelf.put(event(EventKind::Moved, "a"), FIRST, 1);
        shelf.expect(&event(EventKind::Turn, "t"));
        assert!(waits(&mut shelf));
        shelf.put(event(EventKind::Turn, "t"), FIRST, 2);
        let turn = taken(&mut shelf);
        assert_eq!(turn.event.id, "t");
        shelf.release(&turn.token);
        shelf.expect(&event(EventKind::Turn, "u"));
        shelf.disconnect();
        shelf.put(event(EventKind::Moved, "a"), FIRST, 3);
        assert_eq!(
            taken(&mut shelf).event.id,
            "a",
            "it may come to another worker"
        );
    }

    #[test]
    fn the_same_event_twice_is_one_and_keeps_the_newer_delivery() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.put(event(EventKind::Moved, "a"), FIRST, 1), None);
        assert_eq!(shelf.put(event(EventKind::Moved, "a"), FIRST, 2), Some(1));
        let lease = taken(&mut shelf);
        assert_eq!(shelf.put(event(EventKind::Moved, "a"), FIRST, 3), Some(2));
        assert_eq!(shelf.release(&lease.token), Some(3));
        assert_eq!(shelf.put(event(EventKind::Sweep, "s"), FIRST, 4), None);
        assert_eq!(shelf.put(event(EventKind::Sweep, "r"), FIRST, 5), Some(5));
    }

    #[test]
    fn what_is_not_answered_in_time_goes_back() {
        let mut shelf = Shelf::default();
        shelf.put(event(EventKind::Moved, "a"), FIRST, 1);
        let Taken::Event(lease) = shelf.take(Duration::ZERO, |_| true) else {
            panic!("nothing")
        };
        assert_eq!(shelf.held(&lease.token), None);
        assert!(!shelf.extend(&lease.token, LONG));
        assert!(matches!(
            shelf.take(LONG, |_| true),
            Taken::Expired(Some(1))
        ));
        assert_eq!(shelf.release(&lease.token), None);
    }

    #[test]
    fn a_lost_connection_takes_the_deliveries_but_not_the_work() {
        let mut shelf = Shelf::default();
        shelf.put(event(EventKind::Moved, "a"), FIRST, 1);
        shelf.put(event(EventKind::Moved, "b"), FIRST, 2);
        let lease = taken(&mut shelf);
        shelf.disconnect();
        assert_eq!(shelf.held(&lease.token), None, "someone else may have it");
        assert_eq!(shelf.put(event(EventKind::Moved, "a"), FIRST, 3), None);
        assert_eq!(shelf.held(&lease.token), Some(3), "it came back to us");
        shelf.release(&lease.token);
        assert!(matches!(
            shelf.take(LONG, |_| true),
            Taken::Nothing { until: None }
        ));
    }

    #[test]
    fn deliveries_are_renewed_once_they_are_old() {
        let mut shelf = Shelf::default();
        shelf.put(event(EventKind::Moved, "a"), FIRST, 1);
        assert!(shelf.aged(LONG).is_empty());
        assert_eq!(shelf.aged(Duration::ZERO).len(), 1);
        assert!(
            shelf.aged(Duration::ZERO).is_empty(),
            "its copy is on the way"
        );
        shelf.put(event(EventKind::Moved, "a"), FIRST, 2);
        assert_eq!(shelf.aged(Duration::ZERO)[0].1, 2);
    }

    #[test]
    fn the_shared_lane_holds_many_but_one_order_for_each_cluster() {
        let mut shelf = Shelf::default();
        let order = |id: &str| event(EventKind::Order, id).with(serde_json::json!(id));
        let mut other = order("c");
        other.subject = "other".parse().unwrap();
        for (n, event) in [order("a"), order("b"), other, event(EventKind::Probe, "p")]
            .into_iter()
            .enumerate()
        {
            assert_eq!(shelf.put(event, FIRST, n), None);
        }
        let first = taken(&mut shelf);
        assert_eq!(first.event.id, "a");
        assert_eq!(taken(&mut shelf).event.id, "c");
        assert_eq!(taken(&mut shelf).event.id, "p");
        assert!(matches!(
            shelf.take(LONG, |_| true),
            Taken::Nothing { until: Some(_) }
        ));
        assert_eq!(shelf.release(&first.token), Some(0));
        assert!(matches!(
            shelf.take(LONG, |event| event.subject.as_str() == "other"),
            Taken::Nothing { .. }
        ));
        assert_eq!(taken(&mut shelf).event.id, "b");
    }

    #[test]
    fn what_nobody_begins_goes_back_and_the_same_look_waits_once() {
        let mut shelf = Shelf::default();
        let request = |id: &str, number: u64| {
            event(EventKind::Request, id).with(serde_json::json!({"request": number}))
        };
        assert_eq!(shelf.put(request("a", 12), FIRST, 1), None);
        assert_eq!(shelf.put(request("b", 13), FIRST, 2), None);
        assert_eq!(shelf.put(request("c", 12), FIRST, 3), Some(3));
        let held = taken(&mut shelf);
        assert_eq!(held.event.id, "a");
        // While it is looked at it may change once more.
        assert_eq!(shelf.put(request("d", 12), FIRST, 4), None);
        assert!(shelf.left_over(LONG).is_empty());
        assert_eq!(shelf.left_over(Duration::ZERO), [2, 4]);
        assert_eq!(shelf.release(&held.token), Some(1));
    }
}
