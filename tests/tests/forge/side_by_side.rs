//! Many requests at once, whoever they come from: one that goes on for minutes keeps no other waiting, and which are looked at
//! unasked is as the worker's configuration says.

use std::process::Command;

use anyhow::{Result, ensure};
use windlass_tests::forge::{Flavour, Word};
use windlass_tests::lab::wait_until;

use super::place::{APP, Place, SOON, component};

/// Longer than the test waits for anything, and a number that nothing else on this machine sleeps for.
const ENDLESS: &str = "exec sleep 28517";

/// A version whose check does not come to an end by itself.
fn endless(version: &str) -> String {
    let app = component(version, "true");
    format!("{app}checks:\n  - {{ label: endless, run: \"{ENDLESS}\", timeout: 10m }}\n")
}

fn runs() -> Result<bool> {
    let found = Command::new("pgrep")
        .args(["--full", "--exact", "sleep 28517"])
        .output()?;
    Ok(found.status.success())
}

#[test]
#[ignore = "lab: needs root"]
fn an_endless_look_holds_up_no_other_and_a_newer_push_ends_it() -> Result<()> {
    let place = Place::make(Flavour::Gitea)?;
    let first = place.fake.open(12, "alice", &[(APP, &endless("2"))]);
    assert_eq!(place.deliver("opened-12", Word::Opened(12)), 202);
    wait_until(SOON, || runs().unwrap_or(false))?;

    for number in 13..18 {
        let app = component(&number.to_string(), "true");
        let head = place.fake.open(number, "alice", &[(APP, &app)]);
        assert_eq!(
            place.deliver(&format!("opened-{number}"), Word::Opened(number)),
            202
        );
        place.has_status(&head, "success", "would change 1 of 1 node")?;
        place.says(number, &format!("+{number}"))?;
    }
    place.has_status(&first, "pending", "")?;
    ensure!(runs()?, "the endless one was to go on all the while");

    let second = place.fake.push(12, &[(APP, &component("3", "true"))]);
    assert_eq!(place.deliver("pushed", Word::Pushed(12)), 202);
    place.has_status(&second, "success", "would change 1 of 1 node")?;
    place.says(12, "+3")?;
    wait_until(SOON, || !runs().unwrap_or(true))
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
        assert_eq!(
            place.deliver(&format!("opened-{number}"), Word::Opened(number)),
            202
        );
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
