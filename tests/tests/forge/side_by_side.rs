//! Many requests at once, whoever they come from: one that goes on for minutes keeps no other waiting, and which are looked at
//! unasked is as the worker's configuration says.

use std::process::Command;

use anyhow::{Result, ensure};
use windlass_tests::forge::{Flavour, Word};
use windlass_tests::lab::wait_until;

use super::place::{APP, Place, SOON, component};

/// Requests whose looks do not come to an end by themselves.
const ENDLESS: [u64; 3] = [20, 21, 22];
/// Longer than the test waits for anything, and a number that nothing else on this machine sleeps for.
const SLEEP: &str = "sleep 28517";

fn endless(version: &str) -> String {
    let app = component(version, "true");
    format!("{app}checks:\n  - {{ label: endless, run: \"exec {SLEEP}\", timeout: 10m }}\n")
}

/// How many of their checks run.
fn running() -> Result<usize> {
    let found = Command::new("pgrep")
        .args(["--full", "--exact", SLEEP])
        .output()?;
    Ok(String::from_utf8_lossy(&found.stdout).lines().count())
}

/// Each head is told of once.
fn deliver(place: &Place, word: Word, head: &str) -> u16 {
    place.deliver(head, word)
}

#[test]
#[ignore = "lab: needs root"]
fn endless_looks_hold_up_no_other_and_a_newer_push_ends_them() -> Result<()> {
    let place = Place::make(Flavour::Gitea)?;
    let heads = ENDLESS.map(|number| {
        let app = endless(&number.to_string());
        let head = place.fake.open(number, "alice", &[(APP, &app)]);
        assert_eq!(deliver(&place, Word::Opened(number), &head), 202);
        head
    });
    wait_until(SOON, || running().is_ok_and(|count| count == heads.len()))?;

    for number in 13..18 {
        let app = component(&number.to_string(), "true");
        let head = place.fake.open(number, "alice", &[(APP, &app)]);
        assert_eq!(deliver(&place, Word::Opened(number), &head), 202);
        place.has_status(&head, "success", "would change 1 of 1 node")?;
        place.says(number, &format!("+{number}"))?;
    }
    for head in &heads {
        place.has_status(head, "pending", "")?;
    }
    ensure!(
        running()? == heads.len(),
        "they were to go on all the while"
    );

    for number in ENDLESS {
        let head = place.fake.push(number, &[(APP, &component("3", "true"))]);
        assert_eq!(deliver(&place, Word::Pushed(number), &head), 202);
        place.has_status(&head, "success", "would change 1 of 1 node")?;
        place.says(number, "+3")?;
    }
    wait_until(SOON, || running().is_ok_and(|count| count == 0))
}

#[test]
#[ignore = "lab: needs root"]
fn who_is_looked_at_unasked_is_as_the_configuration_says() -> Result<()> {
    let mut place = Place::make(Flavour::GitHub)?;
    let forge = "kind: github,";
    let with = |previews: &str| format!("{forge} previews: {previews},");
    let named = with("{ from: nobody, authors: [Dora] }");
    place.reconfigure(forge, &named)?;
    let opened = |place: &Place, number: u64, author: &str| {
        let app = component(&number.to_string(), "true");
        let head = place.fake.open(number, author, &[(APP, &app)]);
        assert_eq!(deliver(place, Word::Opened(number), &head), 202);
        head
    };
    // A login is the same in capital letters.
    let dora = opened(&place, 12, "dora");
    place.has_status(&dora, "success", "would change 1 of 1 node")?;
    // Who may merge is not among nobody.
    let alice = opened(&place, 13, "alice");
    place.has_status(&alice, "pending", "until someone asks")?;
    place.says(13, "not looked at until someone asks")?;

    place.reconfigure(&named, &with("{ from: everyone }"))?;
    let mallory = opened(&place, 14, "mallory");
    place.has_status(&mallory, "success", "would change 1 of 1 node")?;
    place.says(14, "+14").map(drop)
}
