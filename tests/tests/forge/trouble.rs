//! What goes wrong between a forge and the worker, and people who want more than they may.

use anyhow::Result;
use windlass_tests::forge::{Flavour, State, Word};

use super::place::{APP, Place, component};

#[test]
#[ignore = "lab: needs root"]
fn webhooks_that_are_lost_repeated_forged_or_out_of_order_change_nothing() -> Result<()> {
    let place = Place::make(Flavour::Gitea)?;
    let version = |version: &str| component(version, "true");
    // Closed before it was opened, as far as the deliveries say.
    place.fake.open(12, "alice", &[(APP, &version("2"))]);
    assert_eq!(place.deliver("closed", Word::Closed(12)), 202);
    let comment = place.says(12, "merging would change 1 of 1 node")?;
    for _ in 0..10 {
        assert_eq!(place.deliver("closed", Word::Closed(12)), 202);
    }
    for n in 0..10 {
        assert_eq!(place.deliver(&format!("new-{n}"), Word::Opened(12)), 202);
    }
    let forged =
        place
            .fake
            .deliver_signed(place.port, "f", Word::Merged(12), "not the secret of it");
    assert_eq!(forged, 401);

    // Nobody tells of this push, and 300 people had something to say.
    for n in 0..300 {
        place
            .fake
            .state()
            .comment(12, "mallory", &format!("<!-- windlass:example --> {n}"));
    }
    let head = place.fake.push(12, &[(APP, &version("3"))]);
    place.has_status(&head, "success", "would change 1 of 1 node")?;
    assert_eq!(place.says(12, "+3")?, comment);

    // Somebody deletes our comment: the next look makes it anew, once.
    place.fake.state().comments.retain(|it| it.id != comment);
    assert_eq!(place.deliver("again", Word::Pushed(12)), 202);
    assert!(place.says(12, "+3")? > comment);

    // The forge is away while the request is merged, and nobody tells.
    place.fake.state().away = true;
    place.fake.merge(12);
    place.until("the worker to notice", |_| {
        place.log().contains("cannot look")
    })?;
    place.fake.state().away = false;
    place.says(12, "rolled out to vps1")?;
    assert!(place.holds("3"));
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn strangers_get_no_previews_and_give_no_commands() -> Result<()> {
    let place = Place::make(Flavour::GitHub)?;
    let app = component("2", "true");
    let head = place.fake.open(12, "mallory", &[(APP, &app)]);
    assert_eq!(place.deliver("opened", Word::Opened(12)), 202);
    place.has_status(&head, "pending", "until someone asks")?;
    let comment = place.says(12, "not looked at until someone asks")?;
    for n in 0..3 {
        let asked = place
            .fake
            .state()
            .comment(12, "mallory", "windlass preview");
        assert_eq!(
            place.deliver(&format!("asked-{n}"), Word::Commented(12, asked)),
            202
        );
    }
    place.until("an answer", |state| state.own(12).len() == 2)?;
    let asked = place
        .fake
        .state()
        .comment(12, "alice", "Let us see.\r\nwindlass preview");
    assert_eq!(place.deliver("asked", Word::Commented(12, asked)), 202);
    place.has_status(&head, "success", "would change 1 of 1 node")?;
    place.until("the preview", |state| {
        let own = state.own(12);
        own.iter()
            .any(|it| it.id == comment && it.body.contains("merging would change"))
    })?;
    // Once: two of ours, the preview and one answer.
    assert_eq!(place.fake.state().own(12).len(), 2);
    // What was pushed after alice looked is not looked at.
    let head = place.fake.push(12, &[(APP, &component("3", "true"))]);
    assert_eq!(place.deliver("pushed", Word::Pushed(12)), 202);
    place.has_status(&head, "pending", "until someone asks")?;

    let explain = place
        .fake
        .state()
        .comment(12, "alice", "windlass explain WL601");
    assert_eq!(place.deliver("explain", Word::Commented(12, explain)), 202);
    place.until("an explanation", |state| {
        let own = state.own(12);
        own.iter().any(|it| it.body.starts_with("**WL601: "))
    })
}

#[test]
#[ignore = "lab: needs root"]
fn a_token_that_expires_holds_up_requests_and_no_roll() -> Result<()> {
    let place = Place::make(Flavour::GitLab)?;
    let app = component("2", "true");
    let head = place.fake.open(12, "alice", &[(APP, &app)]);
    place.fake.state().expired = true;
    assert_eq!(place.deliver("opened", Word::Opened(12)), 202);
    place.until("the finding", |_| place.log().contains("WL606"))?;
    assert!(!place.log().contains("glpat"), "{}", place.log());
    std::fs::write(place.fake.token_file(), "the-next-token")?;
    {
        let mut state = place.fake.state();
        (state.token, state.expired) = ("the-next-token".to_owned(), false);
    }
    place.has_status(&head, "success", "would change 1 of 1 node")?;
    place.says(12, "merging would change 1 of 1 node").map(drop)
}

/// 104 files of 50 KB that the machine is to hold: one fits into the smallest comment.
fn five_megabytes() -> Vec<(String, String)> {
    let text = "a line of forty characters, more or less\n".repeat(1220);
    let names = (0..104).map(|n| format!("{n:03}.txt"));
    let entries: String = names
        .clone()
        .map(|name| format!("  - {{ path: /etc/long/{name}, source: {name} }}\n"))
        .collect();
    let component = format!("name: long\ndescription: Long.\non: all\nfiles:\n{entries}");
    let mut files: Vec<(String, String)> = names
        .map(|name| (format!("components/long/{name}"), text.clone()))
        .collect();
    files.push(("components/long/component.yaml".to_owned(), component));
    files
}

fn long(flavour: Flavour) -> Result<()> {
    let place = Place::make(flavour)?;
    let files = five_megabytes();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let head = place.fake.open(12, "alice", &files);
    assert_eq!(place.deliver("opened", Word::Opened(12)), 202);
    place.has_status(&head, "success", "would change 1 of 1 node (104 files)")?;
    let comment = place.says(12, "merging would change 1 of 1 node (104 files)")?;
    let told = |state: &State| state.own(12)[0].body.clone();
    let first = told(&place.fake.state());
    for part in [
        "files more left out here.",
        "[The full preview](<http://",
        "is what was reviewed here",
        "a line of forty",
    ] {
        assert!(first.contains(part), "{part}");
    }
    // Asked again, the same is told, from what was kept of it.
    let edits = |state: &State| state.asked("PATCH", "comments/") + state.asked("PUT", "notes/");
    let asked = |state: &State| state.asked("GET", &format!("/{comment}"));
    let before = asked(&place.fake.state());
    assert_eq!(place.deliver("again", Word::Pushed(12)), 202);
    place.until("another look", |state| asked(state) > before)?;
    let (again, edited) = {
        let state = place.fake.state();
        (told(&state), edits(&state))
    };
    assert_eq!((again, edited), (first, 0));

    place.fake.merge(12);
    assert_eq!(place.deliver("merged", Word::Merged(12)), 202);
    assert_eq!(place.deliver("push", Word::Push), 202);
    assert_eq!(place.says(12, "rolled out to vps1")?, comment);
    let last = told(&place.fake.state());
    assert!(last.contains("files more left out here.") && last.contains("a line of forty"));
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn five_megabytes_of_differences_are_cut_and_stay_told_at_github() -> Result<()> {
    long(Flavour::GitHub)
}

#[test]
#[ignore = "lab: needs root"]
fn five_megabytes_of_differences_are_cut_and_stay_told_at_gitlab() -> Result<()> {
    long(Flavour::GitLab)
}
