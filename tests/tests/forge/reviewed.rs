//! What was reviewed is what is applied, and people can hold a merge, release it, and have it tried again.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result};
use windlass_tests::forge::{Flavour, State, Word};

use super::place::{APP, Place, component};

const OTHER: &str = "components/other/component.yaml";
const ANOTHER: &str = "name: other\ndescription: Another.\non: all\nfiles:\n  - { path: /etc/other.conf, content: \"other\\n\" }\n";

/// A request that was previewed, and merged after the branch had moved on.
fn diverge(place: &Place) -> Result<(String, u64)> {
    let head = place
        .fake
        .open(12, "alice", &[(APP, &component("2", "true"))]);
    assert_eq!(place.deliver("opened", Word::Opened(12)), 202);
    let comment = place.says(12, "merging would change 1 of 1 node")?;
    place.fake.push_main(&[(OTHER, ANOTHER)]);
    place.fake.merge(12);
    assert_eq!(place.deliver("push", Word::Push), 202);
    assert_eq!(place.deliver("merged", Word::Merged(12)), 202);
    Ok((head, comment))
}

fn types(place: &Place, request: u64, who: &str, words: &str) {
    let comment = place.fake.state().comment(request, who, words);
    let told = Word::Commented(request, comment);
    assert_eq!(place.deliver(&format!("typed-{comment}"), told), 202);
}

/// The page that our comment links to.
fn page(place: &Place, request: u64) -> Result<String> {
    let state = place.fake.state();
    let own = state.own(request);
    let body = &own.first().context("a comment")?.body;
    let (_, rest) = body
        .split_once("[The full preview](<http://")
        .context("a link")?;
    let (address, _) = rest.split_once('>').context("its end")?;
    let (host, path) = address.split_once('/').context("a path")?;
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"
    )?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

#[test]
#[ignore = "lab: needs root"]
fn what_is_not_as_reviewed_waits_until_it_is_released() -> Result<()> {
    let place = Place::with_policy(Flavour::Gitea, "on_divergence: wait")?;
    let (head, comment) = diverge(&place)?;
    assert_eq!(
        place.says(12, "merged, and waits: this is not what was reviewed")?,
        comment
    );
    place.has_status(&head, "pending", "this is not what was reviewed")?;
    assert!(place.holds("1"));
    place.says(12, "windlass release")?;
    assert!(page(&place, 12)?.contains("/etc/app.conf"));

    types(&place, 12, "mallory", "windlass release");
    place.until("a no", |state| {
        state.own(12).iter().any(|it| it.body.starts_with("Sorry"))
    })?;
    assert!(place.holds("1"));
    types(&place, 12, "alice", "I have read it.\nwindlass release");
    place.has_status(&head, "success", "rolled out to vps1")?;
    assert!(place.holds("2"));
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn what_is_not_as_reviewed_is_rolled_and_told() -> Result<()> {
    let place = Place::make(Flavour::GitLab)?;
    let (head, comment) = diverge(&place)?;
    assert_eq!(
        place.says(12, "**This is not what was reviewed.**")?,
        comment
    );
    place.has_status(&head, "success", "rolled out to vps1")?;
    assert!(place.holds("2"));
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_merge_is_held_over_a_restart_released_and_tried_again() -> Result<()> {
    let mut place = Place::make(Flavour::GitHub)?;
    let head = place.fake.open(
        12,
        "alice",
        &[(APP, &component("2", "test -e /etc/mended"))],
    );
    assert_eq!(place.deliver("opened", Word::Opened(12)), 202);
    place.says(12, "merging would change 1 of 1 node")?;
    types(&place, 12, "alice", "windlass hold");
    place.has_status(&head, "pending", "held by alice")?;
    place.fake.merge(12);
    assert_eq!(place.deliver("merged", Word::Merged(12)), 202);
    assert_eq!(place.deliver("push", Word::Push), 202);
    let comment = place.says(12, "merged, and held until someone releases it")?;
    place.has_status(&head, "pending", "held by alice")?;

    // Another worker takes up what this one left; nobody tells it of the release but the comment itself.
    place.restart()?;
    place.until("the next worker", |_| {
        place.log().matches("the worker is ready").count() == 2
    })?;
    assert!(place.holds("1"));
    types(&place, 12, "alice", "windlass release");
    assert_eq!(place.says(12, "rolled back (vps1")?, comment);
    place.has_status(&head, "failure", "rolled back (vps1")?;

    fs::write(place.lab.node("vps1").root().join("etc/mended"), "")?;
    types(&place, 12, "alice", "windlass retry");
    place.has_status(&head, "success", "rolled out to vps1")?;
    assert!(place.holds("2"));
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn commands_whose_webhook_was_lost_are_found_and_carried_out_once() -> Result<()> {
    let mut place = Place::make(Flavour::Forgejo)?;
    let head = place
        .fake
        .open(12, "alice", &[(APP, &component("2", "true"))]);
    place.says(12, "merging would change 1 of 1 node")?;
    let explained = |place: &Place| {
        let state = place.fake.state();
        let own = state.own(12);
        own.iter().filter(|it| it.body.starts_with("**WL6")).count()
    };
    place
        .fake
        .state()
        .comment(12, "alice", "windlass explain WL601");
    place.until("an explanation", |state| state.own(12).len() == 2)?;
    // Typed while nobody works.
    place.stop()?;
    place
        .fake
        .state()
        .comment(12, "alice", "windlass explain WL602");
    place.fake.state().comment(12, "alice", "windlass hold");
    place.start()?;
    place.has_status(&head, "pending", "held by alice")?;
    place.until("the other explanation", |state| state.own(12).len() == 3)?;
    // Another worker finds the same comments, and has nothing to do with them.
    place.restart()?;
    let listed = |state: &State| state.asked("GET", "/issues/12/comments");
    let before = listed(&place.fake.state());
    place.until("a look at the comments", |state| listed(state) > before)?;
    let release = place.fake.state().comment(12, "alice", "windlass release");
    place.deliver("release", Word::Commented(12, release));
    place.has_status(&head, "success", "would change 1 of 1 node")?;
    assert_eq!(explained(&place), 2);
    Ok(())
}
