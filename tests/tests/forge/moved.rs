//! Requests whose ground moves: the branch and the nodes, while others are merged and pushed.

use anyhow::Result;
use windlass_tests::forge::{Flavour, Word};

use super::place::{APP, Place, component};

/// A component of its own, so that nothing is in conflict.
fn other(name: &str, text: &str) -> (String, String) {
    let path = format!("components/{name}/component.yaml");
    let component = format!(
        "name: {name}\ndescription: Another.\non: all\nfiles:\n  - {{ path: /etc/{name}.conf, content: \"{text}\\n\" }}\n"
    );
    (path, component)
}

#[test]
#[ignore = "lab: needs root"]
fn open_requests_follow_the_branch_and_show_only_their_own_difference() -> Result<()> {
    // Nobody asks the forge by the clock here: what follows is woken by the push and by the roll.
    let place = Place::with_poll(Flavour::Gitea, "on_divergence: roll", "1h")?;
    let requests = [(12, "first"), (13, "second")];
    let mut heads = Vec::new();
    for (number, name) in requests {
        let (path, text) = other(name, "mine");
        heads.push(place.fake.open(number, "alice", &[(&path, &text)]));
        assert_eq!(
            place.deliver(&format!("opened-{number}"), Word::Opened(number)),
            202
        );
        place.says(number, "merging would change 1 of 1 node (1 file)")?;
    }

    // The gate holds for a while, so that requests are looked at in the middle of the roll.
    let slow = component("2", "sleep 3").replace("deadline: 4s", "deadline: 60s");
    let moved = place.fake.push_main(&[(APP, &slow)]);
    assert_eq!(place.deliver("push", Word::Push), 202);
    let base = format!("merged into `main` at `{}`", &moved[..12]);
    for (number, name) in requests {
        place.until("its own difference alone", |state| {
            let own = state.own(number);
            own.len() == 1
                && own[0].body.contains(&base)
                && own[0]
                    .body
                    .contains("merging would change 1 of 1 node (1 file)")
                && own[0].body.contains(&format!("/etc/{name}.conf"))
                && !own[0].body.contains("/etc/app.conf")
        })?;
    }
    place.until("the roll", |_| place.holds("2"))?;

    // One is closed, the other is merged: neither goes on saying what it would do.
    place.fake.close(12);
    assert_eq!(place.deliver("closed", Word::Closed(12)), 202);
    place.says(12, "closed without being merged")?;
    place.has_status(&heads[0], "success", "nothing is rolled")?;
    place.fake.merge(13);
    assert_eq!(place.deliver("merged", Word::Merged(13)), 202);
    assert_eq!(place.deliver("push-13", Word::Push), 202);
    place.says(13, "rolled out to vps1").map(drop)
}
