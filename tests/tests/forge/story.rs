//! A request from its opening to its outcome, at each forge.

use anyhow::Result;
use windlass_tests::forge::{Flavour, Word};

use super::place::{APP, Place, component};

fn story(flavour: Flavour) -> Result<()> {
    // Nothing but webhooks tells the worker anything.
    let mut place = Place::with_poll(flavour, "on_divergence: roll", "1h")?;
    place.reconfigure("poll: 3s", "poll: 1h")?;
    place.reconfigure("sweep: 60s", "sweep: 1h")?;
    let version = |version: &str| component(version, "true");
    let first = place.fake.open(12, "alice", &[(APP, &version("2"))]);
    assert_eq!(place.deliver("opened", Word::Opened(12)), 202);
    let comment = place.says(12, "merging would change 1 of 1 node")?;
    place.has_status(&first, "success", "would change 1 of 1 node")?;

    // A push edits the same comment.
    let second = place.fake.push(12, &[(APP, &version("3"))]);
    assert_eq!(place.deliver("pushed", Word::Pushed(12)), 202);
    assert_eq!(place.says(12, "+3")?, comment);
    place.has_status(&second, "success", "would change 1 of 1 node")?;

    let merged = place.fake.merge(12);
    // The push is told before or after: it does not matter.
    assert_eq!(place.deliver("merged", Word::Merged(12)), 202);
    assert_eq!(place.deliver("push", Word::Push), 202);
    assert_eq!(place.says(12, "rolled out to vps1")?, comment);
    place.has_status(&second, "success", "rolled out to vps1")?;
    place.has_status(&merged, "success", "rolled out to vps1")?;
    assert!(place.holds("3"));

    // A roll that goes back is told as such, with node and step.
    let broken = component("4", "false");
    let head = place.fake.open(13, "alice", &[(APP, &broken)]);
    assert_eq!(place.deliver("opened-13", Word::Opened(13)), 202);
    let comment = place.says(13, "merging would change 1 of 1 node")?;
    place.fake.merge(13);
    assert_eq!(place.deliver("push-13", Word::Push), 202);
    assert_eq!(place.deliver("merged-13", Word::Merged(13)), 202);
    assert_eq!(place.says(13, "rolled back (vps1")?, comment);
    place.has_status(&head, "failure", "rolled back (vps1")?;
    assert!(place.holds("3"));

    // What changes no node makes no noise.
    let head = place.fake.open(
        14,
        "alice",
        &[(APP, &version("3")), ("README.md", "words\n")],
    );
    assert_eq!(place.deliver("opened-14", Word::Opened(14)), 202);
    place.has_status(&head, "success", "changes no node")?;
    assert!(place.fake.state().own(14).is_empty());
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_request_is_previewed_merged_and_told_at_github() -> Result<()> {
    story(Flavour::GitHub)
}

#[test]
#[ignore = "lab: needs root"]
fn a_request_is_previewed_merged_and_told_at_gitea() -> Result<()> {
    story(Flavour::Gitea)
}

#[test]
#[ignore = "lab: needs root"]
fn a_request_is_previewed_merged_and_told_at_forgejo() -> Result<()> {
    story(Flavour::Forgejo)
}

#[test]
#[ignore = "lab: needs root"]
fn a_request_is_previewed_merged_and_told_at_gitlab() -> Result<()> {
    story(Flavour::GitLab)
}
