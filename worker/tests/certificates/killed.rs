//! SIGKILL for the worker in the middle of an order. Whoever starts next goes on with it: the authority sees one
//! order, and the certificate is there.

use super::place::Place;

#[test]
#[ignore = "lab: needs root"]
fn killed_anywhere_an_order_is_resumed_and_not_repeated() {
    // An order has ten entries; the last one is written after the certificate is in use.
    let mut cut_off = 0;
    for entries in 1..=9 {
        let place = Place::new();
        let mut worker = place.start();
        place.wait("the order to come so far", || place.entries() >= entries);
        assert!(worker.lives());
        drop(worker);
        let left = place.entries();
        cut_off += usize::from(left < 10);
        let _next = place.start();
        let unproven = || {
            place
                .show("blog")
                .is_some_and(|view| view["failure"]["failure"]["kind"] == "unproven")
        };
        place.wait("the order to end", || {
            place.serial("blog").is_some() || unproven()
        });
        if place.serial("blog").is_none() {
            // The authority asked while nobody was there, and this one asks once only: nothing is left to resume.
            place.said(0, &["renew", "blog", "--force"]);
            place.next_serial("blog", None);
            assert_eq!(place.pebble.orders(), 2, "killed at {left} of 10 entries");
            continue;
        }
        place.wait("the order to be over", || place.entries() >= 10);
        assert_eq!(place.pebble.orders(), 1, "killed at {left} of 10 entries");
        assert_eq!(place.entries(), 10, "killed at {left}");
    }
    assert!(cut_off > 0, "no order was cut off");
}
