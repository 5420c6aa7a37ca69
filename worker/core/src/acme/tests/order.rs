//! However an order is cut short, its entries lead on to the end, and out of turn nothing is taken.

use proptest::prelude::*;

use crate::acme::due::{Issued, Lifetime};
use crate::acme::failure::Failure;
use crate::acme::order::{Begun, Entry, Order, Proof, Step};
use crate::ids::Digest;
use crate::model::acme::KeyType;

fn begun(rehearsal: bool) -> Begun {
    Begun {
        certificate: "blog".parse().unwrap(),
        authority: "one".parse().unwrap(),
        directory: "https://one.example.net/dir".to_owned(),
        names: vec!["blog.example.org".parse().unwrap()],
        key: KeyType::EcdsaP256,
        profile: None,
        terms: Digest::of(b"terms"),
        rehearsal,
        challenge: crate::model::Challenge::Http,
    }
}

/// The entry that carrying out a step stores.
fn done(step: Step, proven_before: bool) -> Entry {
    let proof = || Proof {
        name: "blog.example.org".parse().unwrap(),
        token: "t".to_owned(),
        answer: "t.x".to_owned(),
    };
    match step {
        Step::MakeKey => Entry::Keyed,
        Step::Place => Entry::Placed {
            url: "https://one.example.net/order/1".to_owned(),
        },
        Step::Publish if proven_before => Entry::Published { proofs: Vec::new() },
        Step::Publish => Entry::Published {
            proofs: vec![proof()],
        },
        Step::Probe => Entry::Probed,
        Step::Prove => Entry::Ready,
        Step::Finalize => Entry::Finalized,
        Step::Download => Entry::Downloaded {
            chain: "PEM".to_owned(),
        },
        Step::Store => Entry::Stored {
            issued: Issued {
                serial: "01".to_owned(),
                lifetime: Lifetime {
                    from: "2026-01-01T00:00:00Z".parse().unwrap(),
                    until: "2026-03-01T00:00:00Z".parse().unwrap(),
                },
                terms: Digest::of(b"terms"),
                directory: "https://one.example.net/dir".to_owned(),
            },
        },
        Step::Announce => Entry::Announced,
        Step::EndRehearsal => Entry::Rehearsed,
        Step::Over => unreachable!(),
    }
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::Unreachable),
        Just(Failure::RateLimited { until: None }),
        Just(Failure::PathBroken),
        Just(Failure::Local),
    ]
}

proptest! {
    #[test]
    fn an_order_cut_short_anywhere_comes_to_its_end(
        rehearsal: bool,
        proven_before: bool,
        stumbles in prop::collection::vec(prop::option::of(failure()), 0..24),
    ) {
        let mut stored = vec![Entry::Begun(begun(rehearsal))];
        let mut stumbles = stumbles.into_iter();
        loop {
            // A new worker knows nothing but the entries; they went through the database.
            let text = serde_json::to_string(&stored).unwrap();
            let stored_again: Vec<Entry> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&stored_again, &stored);
            let order = Order::fold(&stored_again).unwrap();
            if order.next() == Step::Over {
                prop_assert_eq!(order.issued.is_some(), !rehearsal);
                break;
            }
            let entry = match stumbles.next().flatten() {
                Some(failure) => Entry::Failed { failure, why: "x".to_owned() },
                None => done(order.next(), proven_before),
            };
            let mut live = order.clone();
            live.apply(&entry).unwrap();
            stored.push(entry);
            prop_assert_eq!(live, Order::fold(&stored).unwrap());
        }
    }

    #[test]
    fn nothing_is_taken_out_of_its_turn(cut in 0_usize..9, other in 0_usize..9) {
        let steps = [
            Step::MakeKey, Step::Place, Step::Publish, Step::Probe, Step::Prove,
            Step::Finalize, Step::Download, Step::Store, Step::Announce,
        ];
        let mut order = Order::new(begun(false));
        for step in &steps[..cut] {
            order.apply(&done(*step, false)).unwrap();
        }
        prop_assert_eq!(order.next(), steps[cut]);
        prop_assert_eq!(order.apply(&done(steps[other], false)).is_ok(), other == cut);
    }
}

#[test]
fn some_failures_end_an_order_and_nothing_follows() {
    for (failure, over) in [
        (Failure::Refused, true),
        (Failure::Unproven, true),
        (Failure::OrderLost, true),
        (Failure::Unreachable, false),
        (Failure::RateLimited { until: None }, false),
        (Failure::PathBroken, false),
        (Failure::Local, false),
    ] {
        let mut order = Order::new(begun(false));
        let entry = Entry::Failed {
            failure,
            why: "x".to_owned(),
        };
        order.apply(&entry).unwrap();
        assert_eq!(order.next() == Step::Over, over, "{entry:?}");
        assert_eq!(order.apply(&entry).is_err(), over);
    }
    assert!(Order::fold(&[]).is_err());
    assert!(Order::fold(&[Entry::Keyed]).is_err());
}

#[test]
fn challenges_are_answered_from_their_publication_until_the_authority_is_convinced() {
    let mut order = Order::new(begun(false));
    let mut answering = Vec::new();
    while order.next() != Step::Over {
        if order.answers() {
            answering.push(order.next());
        }
        order.apply(&done(order.next(), false)).unwrap();
    }
    assert_eq!(answering, [Step::Probe, Step::Prove]);
}
