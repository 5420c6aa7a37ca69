//! `windlass check` and `diff` on a branch: what the comment says, also for programs.

use std::process::Command;

use serde_json::Value;

use crate::world::World;

/// Exit code and standard output.
fn windlass(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    let secrets = world.dir.path().join("secrets");
    command.arg("-C").arg(world.origin()).args(arguments);
    let output = command.arg("--secrets").arg(secrets).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

/// Exit code and verdict of `diff main request`.
fn verdict(world: &World) -> (Option<i32>, String) {
    let (code, text) = windlass(world, &["diff", "main", "request", "--format", "sarif"]);
    let run = serde_json::from_str::<Value>(&text).unwrap()["runs"][0].clone();
    let verdict = run["properties"]["verdict"].as_str().unwrap();
    (code, verdict.to_owned())
}

fn text(world: &World) {
    world.edit("sites/www.yaml", "This page will be", "We will be");
}

#[tokio::test]
async fn a_branch_behind_its_base_is_merged_before_it_is_judged() {
    let world = World::new();
    let asked = world.request(1, text);
    let maintenance = "maintenance_text: We are working on it.";
    world.edit("cluster.yaml", maintenance, "maintenance_text: Wait.");
    world.commit("Meanwhile");
    world.roll();
    let headline = world.look(&asked).await.headline();
    assert_eq!(verdict(&world), (Some(0), headline.clone()));
    let (_, told) = windlass(&world, &["diff", "main", "request"]);
    assert!(
        told.contains("We will be") && !told.contains("Wait."),
        "{told}"
    );

    // What is not committed yet is merged as well, and nothing is written to the repository.
    world.git(&["checkout", "--quiet", "-B", "mine", "request~1"]);
    text(&world);
    world.write("NOTES.md", "Not of the cluster.\n");
    let state = || world.git(&["count-objects", "-v"]) + &world.git(&["status", "--porcelain"]);
    let before = state();
    let (code, told) = windlass(&world, &["diff", "main"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.ends_with(&format!("{headline}\n")),
        "{headline}: {told}"
    );
    assert!(!told.contains("Wait."), "{told}");
    assert_eq!(state(), before);
}

#[tokio::test]
async fn conflicts_and_limits_are_seen_before_anything_is_pushed() {
    let world = World::new();
    let zone = "zones/example.org.yaml";
    let record =
        |number: usize| format!("  - {{ name: \"r{number}\", type: TXT, value: '\"x\"' }}\n");
    let many: String = (0..20).map(record).collect();
    world.edit(zone, "records:\n", &format!("records:\n{many}"));
    world.commit("Many records");
    world.roll();
    let asked = world.request(1, |world| world.edit(zone, &many, ""));
    let preview = world.look(&asked).await;
    assert!(
        preview
            .findings
            .iter()
            .any(|it| it.finding.code.as_str() == "WL406"),
        "{preview:#?}"
    );
    assert_eq!(verdict(&world), (Some(1), preview.headline()));

    let asked = world.request(2, |world| world.write("sites/www.yaml", "mine\n"));
    world.edit("sites/www.yaml", "This page", "That page");
    world.commit("Meanwhile");
    let headline = world.look(&asked).await.headline();
    assert_eq!(headline, "cannot be merged: 1 file in conflict");
    assert_eq!(verdict(&world), (Some(1), headline));
}

#[tokio::test]
async fn the_verdict_of_a_branch_is_that_of_its_request() {
    let world = World::new();
    let asked = world.request(1, |world| {
        world.edit("sites/www.yaml", "This page will be", "We will be");
    });
    let headline = world.look(&asked).await.headline();
    let (code, text) = windlass(&world, &["diff", "main", "request"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.ends_with(&format!("{headline}\n")),
        "{headline}: {text}"
    );
    let (_, text) = windlass(&world, &["diff", "main", "request", "--format", "github"]);
    assert!(
        text.contains(&format!("::notice title=windlass::{headline}\n")),
        "{text}"
    );

    let asked = world.request(2, |world| {
        let path = "components/haproxy/haproxy.cfg.tera";
        world.edit(path, "timeout connect", "timeout conect");
    });
    let preview = world.look(&asked).await;
    let (code, text) = windlass(&world, &["diff", "main", "request", "--format", "sarif"]);
    assert_eq!(code, Some(1), "{text}");
    let run = serde_json::from_str::<Value>(&text).unwrap()["runs"][0].clone();
    let verdict = run["properties"]["verdict"].as_str();
    assert_eq!(verdict, Some(preview.headline().as_str()), "{preview:#?}");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), preview.findings.len());
    let (code, text) = windlass(&world, &["check", "request", "--format", "junit"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("<failure message=") && text.contains("timeout conect"),
        "{text}"
    );
    let (code, _) = windlass(&world, &["explain", "WL301", "--format", "sarif"]);
    assert_eq!(code, Some(2));
}
