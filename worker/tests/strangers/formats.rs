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
