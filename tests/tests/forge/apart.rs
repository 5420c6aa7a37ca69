//! A stranger's preview leaves nothing where checks and rolls look: not in the mirror that is rolled from, not in what
//! checks said, not in what was rendered.

use std::process::Command;

use anyhow::Result;
use windlass_tests::forge::{Flavour, Word};

use super::place::{APP, Place};

/// Two versions of a component that give a node the same file, and differ in what they think of it.
fn checked(check: &str) -> String {
    format!(
        "name: app\ndescription: What the test rolls.\non: all\nfiles:\n  \
         - {{ path: /etc/app.conf, content: \"poison\\n\" }}\n\
         checks:\n  - {{ label: looks, run: \"{check}\" }}\n"
    )
}

/// Whether the mirror has this commit.
fn has(place: &Place, mirror: &str, commit: &str) -> Result<bool> {
    let found = Command::new("git")
        .arg("--git-dir")
        .arg(place.state().join(mirror))
        .args(["cat-file", "-e", commit])
        .output()?;
    Ok(found.status.success())
}

#[test]
#[ignore = "lab: needs root"]
fn a_strangers_preview_leaves_nothing_where_rolls_look() -> Result<()> {
    let place = Place::make(Flavour::Gitea)?;
    let looks = "grep -q version /etc/app.conf";
    // The stranger's check says yes to what ours refuses, and tries to leave a mark for the next one.
    let yes = format!("touch /usr/bin/here /tmp/here || true; {looks} || true");
    let head = place.fake.open(12, "mallory", &[(APP, &checked(&yes))]);
    assert_eq!(place.deliver("opened", Word::Opened(12)), 202);
    let words = format!("windlass preview {}", &head[..10]);
    let asked = place.fake.state().comment(12, "alice", &words);
    assert_eq!(place.deliver("asked", Word::Commented(12, asked)), 202);
    place.has_status(&head, "success", "would change 1 of 1 node")?;
    assert!(has(&place, "example-requests.git", &head)?);
    assert!(!has(&place, "example.git", &head)?);

    // The same file with our own check, after it was seen to be good: it is asked, and refuses.
    let ours = place.fake.push_main(&[(APP, &checked(looks))]);
    assert_eq!(place.deliver("push", Word::Push), 202);
    place.until("a refusal", |_| {
        let log = place.log();
        let mut lines = log.lines();
        lines.any(|line| line.contains("refused") && line.contains(&ours[..12]))
    })?;
    assert!(place.log().contains("WL30"), "{}", place.log());
    assert!(!has(&place, "example.git", &head)?);
    assert!(place.holds("1"));
    Ok(())
}
