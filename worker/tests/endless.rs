//! Templates that do not come to an end are a finding, in bounded time and memory: Tera cannot be interrupted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

fn windlass(arguments: &[&str], dir: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    let output = command.arg("-C").arg(dir).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code(), said)
}

#[test]
fn templates_without_end_are_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("cluster");
    let (code, said) = windlass(&["init", repo.to_str().unwrap()], dir.path());
    assert_eq!(code, Some(0), "{said}");
    let out = dir.path().join("out");
    let render = ["render", "--out", out.to_str().unwrap()];
    let template = repo.join("components/haproxy/haproxy.cfg.tera");
    let good = fs::read_to_string(&template).unwrap();
    let turn = "{% for a in range(end=90000) %}";
    let silent = format!("{}{}", turn.repeat(3), "{% endfor %}".repeat(3));
    let doubling =
        "{% set text = \"0123456789\" %}".to_owned() + &"{% set text = text ~ text %}".repeat(40);
    for (endless, limit) in [
        (silent, "10 s of processor time"),
        (doubling, "512 MiB of memory"),
    ] {
        fs::write(&template, format!("{good}{endless}")).unwrap();
        let (code, said) = windlass(&render, &repo);
        assert_eq!(code, Some(1), "{said}");
        for words in ["WL218", limit, "--> components/haproxy/haproxy.cfg.tera"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    fs::write(&template, good).unwrap();
    let (code, said) = windlass(&render, &repo);
    assert_eq!(code, Some(0), "{said}");
}
