//! Judges gates from what their probes saw. A gate must hold without a break, because a service that comes and goes
//! is not up; and a gate that held may be broken for a moment, because a probe can be unlucky.

use jiff::Timestamp;

use super::step::{Hold, HoldPurpose};
use crate::gate::{Probe, ProbeResult};

/// A gate counts as stalled after the fourth part of its deadline: most services that come up at all are up by then, so
/// a healthy roll is not taken back for a slow start however often someone pushes, and whoever mends a broken one
/// waits for a part of the deadline only.
const STALLED_SHARE: i64 = 4;
/// And after so long without a good probe: one that is unlucky says nothing.
const STALLED_SECONDS: i64 = 5;

#[derive(Debug, Clone)]
pub struct Vigil {
    hold: Hold,
    started: Timestamp,
    gates: Vec<Record>,
}

#[derive(Debug, Clone, Default)]
struct Record {
    /// The first and the last good result of the present row.
    good: Option<(Timestamp, Timestamp)>,
    /// The first bad result since the last good one.
    bad: Option<Timestamp>,
    seen: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pending,
    Held,
    /// Index into the hold's gates, and what was seen last.
    Failed {
        index: usize,
        seen: String,
    },
}

impl Vigil {
    pub fn new(hold: Hold, now: Timestamp) -> Self {
        let gates = vec![Record::default(); hold.gates.len()];
        Self {
            hold,
            started: now,
            gates,
        }
    }

    pub fn hold(&self) -> &Hold {
        &self.hold
    }

    /// A probe of the gate with this index came back, which began at `began`.
    pub fn note(&mut self, index: usize, result: &ProbeResult, began: Timestamp, now: Timestamp) {
        let (Some(gate), Some(watched)) = (self.gates.get_mut(index), self.hold.gates.get(index))
        else {
            return;
        };
        gate.seen.clone_from(&result.seen);
        if result.ok {
            // A port was closed for all of the time that nothing was heard from it; others may have come up just now.
            let since = match watched.gate.probe {
                Probe::Closed { .. } => began,
                _ => now,
            };
            let first = gate.good.map_or(since, |(first, _)| first);
            gate.good = Some((first, now));
            gate.bad = None;
        } else {
            gate.good = None;
            gate.bad.get_or_insert(now);
        }
    }

    pub fn verdict(&self, now: Timestamp) -> Verdict {
        let mut all = seconds(self.started, now) >= i64::from(self.hold.at_least);
        for (index, (watched, record)) in self.hold.gates.iter().zip(&self.gates).enumerate() {
            let failed = match watched.purpose {
                HoldPurpose::Must { hold, deadline } => {
                    all &= record.has_held(hold);
                    self.is_late(record, deadline, now)
                }
                HoldPurpose::Keep { tolerance } => {
                    all &= record.good.is_some();
                    record.is_broken(tolerance, now)
                }
            };
            if failed {
                let seen = record.seen.clone();
                return Verdict::Failed { index, seen };
            }
        }
        if all { Verdict::Held } else { Verdict::Pending }
    }

    /// The first gate that keeps the others waiting, with what was seen.
    pub fn waiting_for(&self) -> Option<(usize, &str)> {
        let gates = self.hold.gates.iter().zip(&self.gates).enumerate();
        gates
            .filter(|(_, (_, record))| record.good.is_none())
            .map(|(index, (_, record))| (index, record.seen.as_str()))
            .next()
    }

    /// Whether a gate that must begin to hold has not for so long that a newer commit should not wait for it.
    pub fn is_stalled(&self, now: Timestamp) -> bool {
        let gates = self.hold.gates.iter().zip(&self.gates);
        let spent = seconds(self.started, now);
        gates.into_iter().any(|(watched, record)| {
            let HoldPurpose::Must { deadline, .. } = watched.purpose else {
                return false;
            };
            let broken = record.bad.map_or(0, |since| seconds(since, now));
            broken >= STALLED_SECONDS && spent.saturating_mul(STALLED_SHARE) >= i64::from(deadline)
        })
    }

    fn is_late(&self, record: &Record, deadline: u32, now: Timestamp) -> bool {
        let began = record.good.map_or(now, |(first, _)| first);
        seconds(self.started, began) > i64::from(deadline)
    }
}

impl Record {
    fn has_held(&self, hold: u32) -> bool {
        let held = self.good.map(|(first, last)| seconds(first, last));
        held.is_some_and(|held| held >= i64::from(hold))
    }

    fn is_broken(&self, tolerance: u32, now: Timestamp) -> bool {
        let broken = self.bad.map(|since| seconds(since, now));
        broken.is_some_and(|broken| broken > i64::from(tolerance))
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::plan::fixtures::{gate, node, now};
    use crate::roll::{Act, Watched};

    fn hold(purpose: HoldPurpose) -> Hold {
        let watched = Watched {
            node: node("a"),
            gate: gate("up", "x"),
            purpose,
        };
        Hold {
            node: node("a"),
            act: Act::Gates,
            gates: vec![watched],
            at_least: 0,
        }
    }

    #[test]
    fn a_gate_must_hold_without_a_break() {
        let hold = hold(HoldPurpose::Must {
            hold: 5,
            deadline: 120,
        });
        let at = |seconds: i64| {
            now()
                .saturating_add(SignedDuration::from_secs(seconds))
                .unwrap()
        };
        let result = |ok: bool| ProbeResult {
            ok,
            seen: format!("{ok}"),
        };
        let mut vigil = Vigil::new(hold, at(0));
        vigil.note(0, &result(true), at(1), at(1));
        vigil.note(0, &result(true), at(4), at(4));
        vigil.note(0, &result(false), at(5), at(5));
        vigil.note(0, &result(true), at(6), at(6));
        vigil.note(0, &result(true), at(10), at(10));
        assert_eq!(vigil.verdict(at(10)), Verdict::Pending);
        assert_eq!(
            vigil.verdict(at(200)),
            Verdict::Pending,
            "no result says that it broke"
        );
        vigil.note(0, &result(true), at(11), at(11));
        assert_eq!(vigil.verdict(at(11)), Verdict::Held);
        vigil.note(0, &result(false), at(12), at(12));
        assert_eq!(vigil.verdict(at(120)), Verdict::Pending);
        let seen = "false".to_owned();
        assert_eq!(vigil.verdict(at(121)), Verdict::Failed { index: 0, seen });
    }

    #[test]
    fn a_gate_that_held_may_be_broken_for_a_moment() {
        let hold = hold(HoldPurpose::Keep { tolerance: 5 });
        let at = |seconds: i64| {
            now()
                .saturating_add(SignedDuration::from_secs(seconds))
                .unwrap()
        };
        let result = |ok: bool| ProbeResult {
            ok,
            seen: "x".into(),
        };
        let mut vigil = Vigil::new(hold, at(0));
        vigil.note(0, &result(false), at(1), at(1));
        assert_eq!(vigil.verdict(at(6)), Verdict::Pending);
        vigil.note(0, &result(true), at(6), at(6));
        assert_eq!(vigil.verdict(at(6)), Verdict::Held);
        vigil.note(0, &result(false), at(7), at(7));
        assert!(matches!(
            vigil.verdict(at(13)),
            Verdict::Failed { index: 0, .. }
        ));
    }

    #[test]
    fn a_gate_stalls_when_it_fails_for_a_good_part_of_its_deadline() {
        let at = |seconds: i64| {
            now()
                .saturating_add(SignedDuration::from_secs(seconds))
                .unwrap()
        };
        let result = |ok: bool| ProbeResult {
            ok,
            seen: "x".into(),
        };
        let must = |deadline| HoldPurpose::Must { hold: 5, deadline };
        let mut vigil = Vigil::new(hold(must(120)), at(0));
        assert!(!vigil.is_stalled(at(60)), "nothing was seen yet");
        vigil.note(0, &result(false), at(1), at(1));
        assert!(!vigil.is_stalled(at(29)), "a slow start");
        assert!(vigil.is_stalled(at(30)));
        vigil.note(0, &result(true), at(31), at(31));
        assert!(!vigil.is_stalled(at(31)), "it came up");
        vigil.note(0, &result(false), at(33), at(33));
        assert!(!vigil.is_stalled(at(37)), "an unlucky probe");
        assert!(vigil.is_stalled(at(38)), "it went down again");

        let mut short = Vigil::new(hold(must(4)), at(0));
        short.note(0, &result(false), at(0), at(0));
        assert!(!short.is_stalled(at(4)) && short.is_stalled(at(5)));
        // Whatever held before fails by itself, and soon.
        let mut kept = Vigil::new(hold(HoldPurpose::Keep { tolerance: 5 }), at(0));
        kept.note(0, &result(false), at(0), at(0));
        assert!(!kept.is_stalled(at(100)));
    }

    #[test]
    fn silence_counts_from_its_beginning() {
        let at = |seconds: i64| {
            now()
                .saturating_add(SignedDuration::from_secs(seconds))
                .unwrap()
        };
        let result = ProbeResult {
            ok: true,
            seen: "x".into(),
        };
        let must = HoldPurpose::Must {
            hold: 1,
            deadline: 9,
        };
        let mut open = Vigil::new(hold(must), at(0));
        open.note(0, &result, at(0), at(1));
        assert_eq!(
            open.verdict(at(1)),
            Verdict::Pending,
            "it may have come up just now"
        );

        let mut silent = hold(must);
        silent.gates[0].gate.probe = Probe::Closed {
            connect: "127.0.0.1:1".parse().unwrap(),
        };
        let mut silent = Vigil::new(silent, at(0));
        silent.note(0, &result, at(0), at(1));
        assert_eq!(silent.verdict(at(1)), Verdict::Held);
    }
}
