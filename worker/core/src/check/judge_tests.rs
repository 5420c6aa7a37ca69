use std::sync::Arc;

use super::*;
use crate::check::merged;
use crate::finding::Severity;
use crate::ids::Digest;
use crate::release::{CheckOn, Command, FileMeta, ReleaseComponent, ReleaseMeta};

const CFG: &str =
    "global\n  daemon\nbackend site_blog\n  server a 10.0.0.1:80\n  timeout conect 5s\n";
const KEY: &str = "key \"xfer\" { algorithm hmac-sha256; secret \"c2VjcmV0LXNlY3JldA==\"; };\n";

fn file(component: &str, secret: bool, inputs: &[&str]) -> FileMeta {
    FileMeta {
        digest: Digest::of(b""),
        mode: "0644".to_owned(),
        owner: "root:root".to_owned(),
        component: component.parse().unwrap(),
        secret,
        serial: false,
        inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
    }
}

fn release(node: &str) -> Release {
    let cfg: NodePath = "/etc/haproxy/haproxy.cfg".parse().unwrap();
    let key: NodePath = "/etc/haproxy/xfer.key".parse().unwrap();
    let inputs = [
        "components/haproxy/haproxy.cfg.tera",
        "sites/blog.yaml",
        "sites/shop.yaml",
    ];
    Release {
        meta: ReleaseMeta {
            cluster: "example".parse().unwrap(),
            node: node.parse().unwrap(),
            digest: Digest::of(b""),
            commit: "c".to_owned(),
            files: [
                (cfg.clone(), file("haproxy", false, &inputs)),
                (
                    key.clone(),
                    file("haproxy", true, &["components/haproxy/key.tera"]),
                ),
            ]
            .into(),
            components: vec![ReleaseComponent {
                name: "haproxy".parse().unwrap(),
                packages: vec!["haproxy".to_owned(), "socat".to_owned()],
                checks: Vec::new(),
                apply: Vec::new(),
                drain: Vec::new(),
                undrain: Vec::new(),
                remove: Vec::new(),
                units: Vec::new(),
            }],
            gates: Vec::new(),
            sources: [].into(),
        },
        contents: [
            (cfg, Arc::from(CFG.as_bytes())),
            (key, Arc::from(KEY.as_bytes())),
        ]
        .into(),
    }
}

fn check(fail_on: Option<&str>, finding: Option<&str>) -> Check {
    Check {
        command: Command {
            component: "haproxy".parse().unwrap(),
            label: "haproxy -c".to_owned(),
            run: "haproxy -c".to_owned(),
            timeout: 30,
        },
        fail_on: fail_on.map(str::to_owned),
        finding: finding.map(str::to_owned),
        on: CheckOn::Both,
        scripts: [].into(),
    }
}

const HAPROXY: &str = r"\[(?<file>/[^:\]]+):(?<line>\d+)\] : (?<message>.+)";

fn only(findings: &Findings) -> &Finding {
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings.iter().next().unwrap()
}

#[test]
fn a_refusal_quotes_the_line_and_names_the_definition() {
    let output = "[ALERT] (7) : config : parsing [/etc/haproxy/haproxy.cfg:5] : unknown keyword 'conect'.\n\
                  [ALERT] (7) : config : Fatal errors found in configuration.\n";
    let findings = judge(
        &check(None, Some(HAPROXY)),
        &Ended::Exit(1),
        output,
        &release("vps1"),
    );
    let finding = only(&findings);
    assert_eq!(finding.severity, Severity::Error);
    assert_eq!(finding.code, checks::CHECK_REFUSED);
    assert_eq!(finding.message, "haproxy -c: unknown keyword 'conect'.");
    assert_eq!(finding.at, Some(Location::file("sites/blog.yaml")));
    assert_eq!(
        finding.related[0].0.file,
        "components/haproxy/haproxy.cfg.tera"
    );
    let excerpt = finding.excerpt.as_ref().unwrap();
    assert_eq!(
        (excerpt.line, excerpt.text.as_str()),
        (5, "  timeout conect 5s")
    );
    let hint = finding.hint.as_deref().unwrap_or_default();
    assert!(hint.contains("`windlass check`"), "{hint:?}");
}

#[test]
fn every_match_is_a_finding_up_to_a_bound() {
    let line = "[/etc/haproxy/haproxy.cfg:1] : bad\n";
    let two = judge(
        &check(None, Some(HAPROXY)),
        &Ended::Exit(1),
        &line.repeat(2),
        &release("vps1"),
    );
    assert_eq!(two.len(), 2);
    let many = judge(
        &check(None, Some(HAPROXY)),
        &Ended::Exit(1),
        &line.repeat(1000),
        &release("vps1"),
    );
    assert_eq!(many.len(), MAX_FINDINGS + 1);
}

#[test]
fn exit_0_is_judged_by_what_was_said() {
    let vps1 = release("vps1");
    let well = Ended::Exit(0);
    assert!(
        judge(
            &check(Some("ERROR"), Some(HAPROXY)),
            &well,
            "all fine\n",
            &vps1
        )
        .is_empty()
    );

    let said = judge(
        &check(Some("^ERROR"), None),
        &well,
        "x\nERROR: bad zone\n",
        &vps1,
    );
    assert!(said.has_errors());
    assert!(only(&said).message.contains("bad zone"));

    let warned = judge(
        &check(None, Some(HAPROXY)),
        &well,
        "[/etc/haproxy/haproxy.cfg:1] : hm\n",
        &vps1,
    );
    assert_eq!(only(&warned).code, checks::CHECK_WARNED);
    assert!(!warned.has_errors());
}

#[test]
fn without_a_match_the_last_lines_speak() {
    let findings = judge(
        &check(None, Some(HAPROXY)),
        &Ended::Exit(3),
        "one\ntwo\nthree\nfour\nfive\n\nsix\n",
        &release("vps1"),
    );
    let message = &only(&findings).message;
    assert!(message.contains("exit status 3") && message.contains("six"));
    assert!(!message.contains("one"), "{message}");
}

#[test]
fn a_missing_program_names_the_packages() {
    let output = "/run/windlass/command: 1: haproxy: not found\n";
    for ended in [Ended::Exit(127), Ended::NotFound("haproxy".to_owned())] {
        let findings = judge(&check(None, None), &ended, output, &release("vps1"));
        let finding = only(&findings);
        assert_eq!(finding.code, checks::CHECK_PROGRAM_MISSING);
        assert!(finding.message.contains("needs haproxy"));
        assert!(
            finding
                .hint
                .as_ref()
                .unwrap()
                .contains("apt-get install haproxy socat")
        );
    }
}

#[test]
fn limits_have_codes_of_their_own() {
    let vps1 = release("vps1");
    let late = judge(&check(None, None), &Ended::TimedOut, "", &vps1);
    assert_eq!(only(&late).code, checks::CHECK_TIMED_OUT);
    let killed = judge(
        &check(None, None),
        &Ended::Killed("too much output".to_owned()),
        "",
        &vps1,
    );
    assert_eq!(only(&killed).code, checks::CHECK_KILLED);
}

#[test]
fn hostile_patterns_and_output_do_no_harm() {
    let vps1 = release("vps1");
    for bad in ["(", "(?<file>a", "(a{1000}){1000}"] {
        let findings = judge(&check(Some(bad), None), &Ended::Exit(0), "x", &vps1);
        assert_eq!(only(&findings).code, checks::CHECK_PATTERN);
    }
    let escape = judge(
        &check(None, None),
        &Ended::Exit(1),
        "\u{1b}]0;owned\u{7}\r\n",
        &vps1,
    );
    assert!(!only(&escape).message.contains('\u{1b}'));
    let huge = "[/etc/haproxy/haproxy.cfg:99999999999999999999] : x";
    let huge = judge(&check(None, Some(HAPROXY)), &Ended::Exit(1), huge, &vps1);
    assert!(only(&huge).excerpt.is_none());
}

#[test]
fn a_secret_is_neither_quoted_nor_repeated() {
    let output = "[/etc/haproxy/xfer.key:1] : bad secret 'c2VjcmV0LXNlY3JldA=='\n";
    let findings = judge(
        &check(None, Some(HAPROXY)),
        &Ended::Exit(1),
        output,
        &release("vps1"),
    );
    let finding = only(&findings);
    assert_eq!(finding.message, "haproxy -c: bad secret '<secret>'");
    assert!(finding.excerpt.is_none());
    let all = format!("{finding:?}");
    assert!(!all.contains("c2Vjc"), "{all}");
}

#[test]
fn the_same_mistake_on_every_node_is_told_once() {
    let output = "[/etc/haproxy/haproxy.cfg:5] : unknown keyword\n";
    let both: Findings = ["vps1", "vps2"]
        .iter()
        .flat_map(|node| {
            judge(
                &check(None, Some(HAPROXY)),
                &Ended::Exit(1),
                output,
                &release(node),
            )
        })
        .collect();
    assert_eq!(both.len(), 2);
    let once = merged(both);
    assert_eq!(only(&once).node, None);
}
