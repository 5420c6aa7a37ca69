//! When certificates are renewed: in time, spread, and never against what failures and limits say.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{model_of, snapshot};
use crate::acme::due::{Issued, Known, Lifetime, Why, Window, ageing, directory, due};
use crate::acme::failure::{Failed, Failure};
use crate::acme::wanted::{Wanted, wanted};

const ONE: &str = "https://one.example.net/dir";
const REHEARSAL: &str = "https://one.example.net/rehearsal";
const TWO: &str = "https://two.example.net/dir";
const DAY: i64 = 86_400;

fn shop() -> Wanted {
    wanted(&model_of(&snapshot("tls: {}", ""))).pop().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn lifetime(seconds: i64) -> Lifetime {
    Lifetime {
        from: at(0),
        until: at(seconds),
    }
}

fn issued(wanted: &Wanted, seconds: i64) -> Issued {
    Issued {
        serial: "0badcafe".to_owned(),
        lifetime: lifetime(seconds),
        terms: wanted.terms(),
        directory: ONE.to_owned(),
    }
}

fn failed(seconds: i64, directory: &str, failure: Failure) -> Failed {
    Failed {
        at: at(seconds),
        directory: directory.to_owned(),
        failure,
        why: String::new(),
    }
}

fn failures() -> impl Strategy<Value = Vec<Failed>> {
    let kind = prop_oneof![
        Just(Failure::Unreachable),
        (0..90 * DAY).prop_map(|until| Failure::RateLimited {
            until: Some(at(until))
        }),
        Just(Failure::RateLimited { until: None }),
        Just(Failure::Refused),
        Just(Failure::PathBroken),
        Just(Failure::Unproven),
        Just(Failure::OrderLost),
        Just(Failure::Local),
    ];
    let one = (
        0..30 * DAY,
        prop::sample::select(vec![ONE, REHEARSAL, TWO]),
        kind,
    );
    let one = one.prop_map(|(seconds, directory, kind)| failed(seconds, directory, kind));
    prop::collection::vec(one, 0..20).prop_map(|mut all| {
        all.sort_by_key(|failed| failed.at);
        all
    })
}

proptest! {
    #[test]
    fn a_certificate_is_renewed_while_enough_of_it_is_left(name in "[a-z]{1,12}", hours in 1_i64..24 * 800) {
        let seconds = hours * 3600;
        let due = ageing(&name, lifetime(seconds));
        let used = due.duration_since(at(0)).as_secs();
        let least = if seconds < 10 * DAY { seconds / 2 - seconds / 20 } else { seconds / 3 * 2 - seconds / 20 };
        let most = if seconds < 10 * DAY { seconds / 2 } else { seconds / 3 * 2 };
        prop_assert!((least - 1..=most).contains(&used), "{used} of {seconds}");
        prop_assert_eq!(due, ageing(&name, lifetime(seconds)), "always the same");
    }

    #[test]
    fn a_suggestion_is_followed_within_its_window(start in -10 * DAY..80 * DAY, length in 0..10 * DAY) {
        let wanted = shop();
        let window = Window { start: at(start), end: at(start + length) };
        let known = Known { issued: Some(issued(&wanted, 90 * DAY)), window: Some(window), ..Known::default() };
        let found = due(&wanted, &known, at(0)).unwrap();
        prop_assert_eq!(found.why, Why::Suggested);
        let last_call = at(81 * DAY);
        prop_assert!(found.at >= window.start.min(last_call) && found.at <= window.end.min(last_call));
    }

    #[test]
    fn failures_put_off_but_never_for_ever_and_never_before_a_limit(failures in failures(), now in 0..40 * DAY) {
        let wanted = shop();
        let known = Known { failures: failures.clone(), ..Known::default() };
        let found = due(&wanted, &known, at(now)).unwrap();
        prop_assert!(found.at >= at(now));
        let asked = directory(&wanted, found.authority, found.rehearsal);
        let own: Vec<&Failed> = failures.iter().filter(|failed| failed.directory == asked).collect();
        let Some(last) = own.last() else {
            prop_assert_eq!(found.at, at(now));
            return Ok(());
        };
        if let Failure::RateLimited { until: Some(until) } = last.failure {
            prop_assert!(found.at >= until);
        } else {
            let longest = last.at.checked_add(SignedDuration::from_hours(24)).unwrap();
            prop_assert!(found.at <= longest.max(at(now)));
        }
        prop_assert_eq!(found.put_off, found.at > at(now));
    }

    #[test]
    fn one_limit_holds_for_every_certificate_of_the_authority(until in 1..90 * DAY) {
        let wanted = shop();
        let limit = failed(0, ONE, Failure::RateLimited { until: Some(at(until)) });
        let known = Known { limits: vec![limit], rehearsed: vec![REHEARSAL.to_owned()], ..Known::default() };
        let found = due(&wanted, &known, at(1)).unwrap();
        prop_assert_eq!(found.authority, 0);
        prop_assert!(found.at >= at(until) && found.put_off);
    }
}

#[test]
fn a_limit_of_before_is_forgotten_once_it_is_over() {
    let wanted = shop();
    let limit = failed(
        0,
        ONE,
        Failure::RateLimited {
            until: Some(at(DAY)),
        },
    );
    let known = Known {
        limits: vec![limit],
        rehearsed: vec![REHEARSAL.to_owned()],
        ..Known::default()
    };
    let within = due(&wanted, &known, at(DAY - 1)).unwrap();
    assert!(within.put_off || within.authority != 0, "{within:?}");
    let after = due(&wanted, &known, at(60 * DAY)).unwrap();
    assert_eq!(
        (after.authority, after.put_off),
        (0, false),
        "the first one is asked again"
    );
}

#[test]
fn usual_lifetimes_leave_time_to_mend() {
    for (days, left_at_least, left_at_most) in [
        (90, 30, 35),
        (45, 15, 18),
        (6, 3, 4),
        (7, 3, 4),
        (365, 121, 141),
    ] {
        let due = ageing("x", lifetime(days * DAY));
        let left = at(days * DAY).duration_since(due).as_secs() / DAY;
        assert!(
            (left_at_least..=left_at_most).contains(&left),
            "{days}: {left} left"
        );
    }
}

#[test]
fn names_spread_over_the_time() {
    let times: std::collections::BTreeSet<Timestamp> = (0..50)
        .map(|n| ageing(&format!("site-{n}"), lifetime(90 * DAY)))
        .collect();
    assert!(times.len() > 45, "{}", times.len());
    let first = times.first().unwrap();
    assert!(times.last().unwrap().duration_since(*first).as_secs() > 3 * DAY);
}

#[test]
fn what_is_missing_changed_or_asked_for_is_due_at_once() {
    let wanted = shop();
    let fresh = Known {
        issued: Some(issued(&wanted, 90 * DAY)),
        ..Known::default()
    };
    let ageing = due(&wanted, &fresh, at(0)).unwrap();
    assert_eq!(ageing.why, Why::Ageing);
    assert!(ageing.at > at(50 * DAY) && !ageing.put_off && !ageing.rehearsal);

    let missing = due(&wanted, &Known::default(), at(0)).unwrap();
    assert_eq!(
        (missing.at, missing.why, missing.rehearsal),
        (at(0), Why::Missing, true)
    );
    let rehearsed = Known {
        rehearsed: vec![REHEARSAL.to_owned()],
        ..Known::default()
    };
    assert!(!due(&wanted, &rehearsed, at(0)).unwrap().rehearsal);

    let mut more = wanted.clone();
    more.names.push("new.example.org".parse().unwrap());
    let changed = due(&more, &fresh, at(5)).unwrap();
    assert_eq!((changed.at, changed.why), (at(5), Why::Changed));

    let asked = Known {
        asked: true,
        ..fresh
    };
    assert_eq!(due(&wanted, &asked, at(5)).unwrap().why, Why::Asked);
}

#[test]
fn an_authority_that_fails_for_long_is_followed_by_the_next() {
    let wanted = shop();
    let known = |failures| Known {
        failures,
        rehearsed: vec![REHEARSAL.to_owned()],
        ..Known::default()
    };
    let hour = 3600;
    let down: Vec<Failed> = (0..7)
        .map(|n| failed(n * hour, ONE, Failure::Unreachable))
        .collect();
    let authority = |failures: &[Failed], now| {
        due(&wanted, &known(failures.to_vec()), at(now))
            .unwrap()
            .authority
    };
    assert_eq!(authority(&down[..3], 2 * hour), 0, "not at once");
    assert_eq!(authority(&down, 7 * hour), 1);
    let broken: Vec<Failed> = (0..7)
        .map(|n| failed(n * hour, ONE, Failure::PathBroken))
        .collect();
    assert_eq!(
        authority(&broken, 7 * hour),
        0,
        "our own fault follows us everywhere"
    );
    let mut both = down;
    both.extend((7..14).map(|n| failed(n * hour, TWO, Failure::Unreachable)));
    let found = due(&wanted, &known(both), at(15 * hour)).unwrap();
    assert_eq!(found.authority, 0, "the one that may be asked soonest");
}

#[test]
fn repeated_failures_wait_longer_each_time() {
    let wanted = shop();
    let mut failures = Vec::new();
    let mut waits = Vec::new();
    let mut now = 0;
    for _ in 0..6 {
        failures.push(failed(now, REHEARSAL, Failure::PathBroken));
        let known = Known {
            failures: failures.clone(),
            ..Known::default()
        };
        let next = due(&wanted, &known, at(now)).unwrap();
        assert!(next.put_off);
        let wait = next.at.duration_since(at(now)).as_secs();
        waits.push(wait / 60);
        now += wait;
    }
    assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
}
