//! One stranger's request that tries everything, pushed three times, because what is wrong with its files keeps its
//! templates from being rendered, and what is wrong with those keeps its programs from being run.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;

use windlass_core::preview::{Flavour, Limits, Preview, Verdict, comment};

use crate::world::{SECRET, World};

/// Stands in a file of the worker that everybody on this machine may read.
const MARK: &str = "windlass-mark-7f31";

/// Tries all that a program can try; every line that it prints becomes a finding.
fn evil(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        r#"name: evil
description: Tries what a stranger would.
on: {{ role: edge }}
packages: []
files:
  - {{ path: /etc/evil.conf, content: "x\n" }}
checks:
  - label: looks around
    run: |
      for file in /etc/shadow /root/.ssh/id_ed25519 {dir}/id_ed25519 {dir}/secrets/xfer_key; do
          if test -s "$file"; then echo "LEAK file $file $(tr '\0' ' ' < "$file")"; fi
      done
      # What is in /proc has no size.
      for file in /proc/[0-9]*/environ; do
          if tr '\0' '\n' < "$file" | grep -i -E '^(cargo|rust|nextest|windlass)'; then echo "LEAK environment $file"; fi
      done
      if env | grep -i -E 'cargo|rust|home=/root/.|user'; then echo "LEAK environment"; fi
      if bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null; then echo "LEAK network"; fi
      if touch /usr/here 2>/dev/null; then echo "LEAK write"; fi
      echo "tried everything"
      exit 1
    finding: '(?<message>.+)'
  - label: fork bomb
    run: "bash -c 'for i in $(seq 400); do sleep 30 & done; echo LEAK forked'"
    finding: '(?<message>LEAK.+|.*fork.*)'
  - label: flood
    run: yes @everyone | head -c 10000000000
    timeout: 60
"#
    )
}

fn told(preview: &Preview) -> String {
    let told = comment(preview, &Limits::of(Flavour::GitHub));
    let stored = serde_json::to_string(preview).unwrap();
    for secret in [MARK, SECRET, "LEAK", "root:$", "root:*"] {
        assert!(
            !stored.contains(secret) && !told.contains(secret),
            "{secret}: {told}"
        );
    }
    let mut fence = None;
    for line in told.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            None if ticks > 2 => fence = Some(ticks),
            Some(open) if line.len() == ticks && ticks >= open => fence = None,
            None => assert!(!line.contains("@everyone"), "{told}"),
            Some(_) => {}
        }
    }
    assert_eq!(fence, None, "{told}");
    told
}

#[tokio::test]
async fn files_out_of_the_tree_and_names_that_shout_are_told_and_do_nothing() {
    let world = World::new();
    let outside = world.dir.path().join("outside.yaml");
    fs::write(&outside, format!("hosts: [{MARK}]\n")).unwrap();
    let asked = world.request(1, |world| {
        symlink(&outside, world.origin().join("sites/linked.yaml")).unwrap();
        symlink("/etc/shadow", world.origin().join("sites/shadow.yaml")).unwrap();
        world.write("sites/@everyone ```\n\n# loud.yaml", "hosts: 1\n");
        world.write("sites/<img src=x>.yaml", "hosts: 1\n");
    });
    let preview = world.look(&asked).await;
    assert_eq!(preview.verdict, Verdict::Refused, "{preview:#?}");
    let told = told(&preview);
    assert!(told.contains("sites/linked.yaml"), "{told}");
    assert!(told.contains("\\u{a}"), "{told}");
}

#[tokio::test]
async fn templates_without_end_are_ended() {
    let world = World::new();
    let asked = world.request(1, |world| {
        let turn = "{% for a in range(end=90000) %}";
        let endless = format!("{}{}", turn.repeat(3), "{% endfor %}".repeat(3));
        world.edit(
            "components/haproxy/haproxy.cfg.tera",
            "global\n",
            &format!("{endless}global\n"),
        );
    });
    let preview = world.look(&asked).await;
    assert_eq!(preview.verdict, Verdict::Refused, "{preview:#?}");
    assert_eq!(preview.findings[0].finding.code.as_str(), "WL218");
    assert!(told(&preview).contains("10 s of processor time"));

    let asked = world.request(1, |world| {
        let doubling = "{% set text = \"0123456789\" %}".to_owned()
            + &"{% set text = text ~ text %}".repeat(40);
        world.edit(
            "components/haproxy/haproxy.cfg.tera",
            "global\n",
            &format!("{doubling}global\n"),
        );
    });
    let preview = world.look(&asked).await;
    assert!(told(&preview).contains("512 MiB of memory"), "{preview:#?}");
}

#[tokio::test]
async fn programs_see_nothing_of_the_worker_and_meet_limits() {
    let world = World::new();
    fs::write(world.dir.path().join("id_ed25519"), MARK).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = world.request(1, |world| {
        world.write(
            "components/evil/component.yaml",
            &evil(world.dir.path(), port),
        );
        let key = world.dir.path().join("id_ed25519");
        let lua = format!("global\n    lua-load {}\n", key.display());
        world.edit("components/haproxy/haproxy.cfg.tera", "global\n", &lua);
        world.edit(
            "components/haproxy/haproxy.cfg.tera",
            "\ndefaults",
            "\ndefaults\n    errorfile 500 /etc/shadow",
        );
        let named = "components/bind-secondary/named.conf.tera";
        world.edit(named, "options {", "include \"/etc/shadow\";\noptions {");
    });
    let preview = world.look(&asked).await;
    assert_eq!(preview.verdict, Verdict::Refused, "{preview:#?}");
    let told = told(&preview);
    for words in [
        "tried everything",
        "fork",
        "it printed more than 16 MiB",
        "No such file",
        "file not found",
        "error opening file",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(
        listener.accept().is_err(),
        "the sandbox reached this machine"
    );
}
