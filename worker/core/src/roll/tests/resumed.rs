//! Another process goes on, hours later or by a clock that was set in between: no deadline is over that nobody
//! waited for, and nobody waits for a time that has passed.

use std::collections::BTreeSet;

use super::*;

const AWAY: [i64; 3] = [-30, 1, 30 * 24];

/// Before every step of a's turn; then b fails, and a, which was done, goes back and does not answer.
fn crashes() -> Vec<Roll> {
    let started = Roll::new(plan()).staged();
    let acts = [
        Act::Activate,
        Act::Extend,
        Act::Gates,
        Act::Undrain,
        Act::Soak,
        Act::Confirm,
    ];
    let mut rolls: Vec<Roll> = acts
        .into_iter()
        .map(|act| {
            let mut roll = started.clone();
            roll.turn_until("a", act);
            let node = node("a");
            roll.note(RollEvent::Begun { node, act }).unwrap();
            roll
        })
        .collect();
    let mut back = started;
    back.turn_until("a", Act::Confirm);
    back.act("a", Act::Confirm);
    back.turn_until("b", Act::Gates);
    back.fail("b", Act::Gates, None);
    back.act("b", Act::Rollback);
    let (node, act) = (node("a"), Act::Rollback);
    back.note(RollEvent::Begun {
        node: node.clone(),
        act,
    })
    .unwrap();
    let message = "timed out".to_owned();
    back.note(RollEvent::Lost {
        node: node.clone(),
        act,
        message: message.clone(),
    })
    .unwrap();
    back.note(RollEvent::NoAnswer { node, message }).unwrap();
    rolls.push(back);
    rolls
}

#[test]
fn a_clock_that_jumped_between_two_workers_ends_nothing_and_delays_nothing() {
    for hours in AWAY {
        for mut roll in crashes() {
            let jump = SignedDuration::from_hours(hours);
            roll.now = roll.now.saturating_add(jump).unwrap();
            let mut other = roll.clone();
            roll.note(RollEvent::Resumed).unwrap();
            other
                .note(RollEvent::TakenOver {
                    holder: "v".into(),
                    fence: other.state.fence + 1,
                    unsure: BTreeSet::new(),
                })
                .unwrap();
            for roll in [roll, other] {
                match roll.next().as_slice() {
                    [
                        Step::Ask {
                            node: asked,
                            not_before,
                        },
                    ] => {
                        assert_eq!(*asked, node("a"));
                        assert!(*not_before <= roll.now, "{hours} hours: {not_before}");
                    }
                    other => panic!("{hours} hours: {other:?}"),
                }
            }
        }
    }
}
