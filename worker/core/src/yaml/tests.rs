use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code)]
struct Whole {
    name: String,
    size: u16,
    #[serde(default)]
    parts: Vec<At<Part>>,
    only: Option<Part>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code)]
struct Part {
    port: At<u16>,
    on: bool,
    #[serde(default)]
    inner: Thing,
}

/// Code, line and column of every finding.
fn mistakes(text: &str) -> Vec<(&'static str, u32, u32)> {
    let findings = parse::<Whole>("x.yaml", text.as_bytes()).err().unwrap();
    let place = |finding: &Finding| {
        let at = finding.at.as_ref().unwrap();
        (finding.code.as_str(), at.line, at.column)
    };
    findings.iter().map(place).collect()
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = "size: big
parts:
  - port: 70000
    on: true
  - prot: 1
    port: 1
    on: yes
    inner:
      map: {a: x, a: y, b: [z]}
  - {}
only: {port: 1, port: 2, on: true}
what: 1
";
    assert_eq!(
        mistakes(text),
        [
            ("WL104", 1, 1),
            ("WL103", 1, 7),
            ("WL103", 3, 11),
            ("WL102", 5, 5),
            ("WL103", 7, 9),
            ("WL105", 9, 19),
            ("WL103", 9, 28),
            ("WL104", 10, 5),
            ("WL104", 10, 5),
            ("WL105", 11, 17),
            ("WL102", 12, 1),
        ]
    );
    // What is wrong is not missing too, and what is right is no mistake.
    assert_eq!(mistakes("name: x\nsize: big\n"), [("WL103", 2, 7)]);
    assert_eq!(mistakes("name: x\nsize: 1\nonly: 3\n").len(), 1);
    let all_wrong = "name: x\nsize: 1\nparts: [".to_owned() + &"1, ".repeat(5000) + "]";
    assert_eq!(mistakes(&all_wrong).len(), 20);
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Thing {
    #[serde(default)]
    port: u16,
    #[serde(default)]
    on: bool,
    #[serde(default)]
    map: BTreeMap<String, At<String>>,
}

/// Code, line and column of the one finding.
fn refused(bytes: &[u8]) -> (&'static str, u32, u32) {
    let findings = parse::<Thing>("x.yaml", bytes).unwrap_err();
    let finding = findings.iter().next().unwrap();
    let at = finding.at.as_ref().unwrap();
    (finding.code.as_str(), at.line, at.column)
}

#[test]
fn every_kind_of_mistake_has_its_code_and_place() {
    assert_eq!(refused(b"map: {a: x\n"), ("WL101", 1, 6));
    assert_eq!(refused(b"on: true\nprot: 1\n"), ("WL102", 2, 1));
    assert_eq!(refused(b"port: x\n"), ("WL103", 1, 7));
    assert_eq!(refused(b"port: 70000\n"), ("WL103", 1, 7));
    assert_eq!(refused(b"on: yes\n"), ("WL103", 1, 5));
    assert_eq!(refused(b"map: {a: x,\n b: y,\n a: z}\n"), ("WL105", 3, 2));
    assert_eq!(refused(b"port: 1\n---\nport: 2\n").0, "WL106");
    assert_eq!(refused(b"map: {a: \"\n \xff\"}"), ("WL106", 2, 2));
    assert_eq!(refused(b"\xef\xbb\xbfport: 1\n"), ("WL106", 1, 1));
    assert_eq!(refused(b"# nothing\n---\n\n"), ("WL106", 0, 0));
    assert_eq!(refused(b""), ("WL106", 0, 0));
}

#[test]
fn hostile_files_break_a_limit_and_nothing_else() {
    let laughs: String = (1..12).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
        let last = format!("*a{}", n - 1);
        text + &format!("a{n}: &a{n} [{}]\n", [last.as_str(); 9].join(","))
    });
    let deep = "[".repeat(100_000);
    let nested = format!("map: {}1{}", "{a: ".repeat(80), "}".repeat(80));
    let many = format!("map: [{}]", "x, ".repeat(300_000));
    for (code, text) in [
        (codes::TOO_MUCH, laughs),
        (codes::BROKEN_YAML, deep),
        (codes::TOO_MUCH, nested),
        (codes::TOO_MUCH, many),
    ] {
        let findings = parse::<serde_json::Value>("x.yaml", text.as_bytes()).unwrap_err();
        assert_eq!(
            findings.iter().next().unwrap().code,
            code,
            "{}",
            &text[..20]
        );
    }
    let deepest = format!("map: {}1{}\nprot: 1\n", "{a: ".repeat(30), "}".repeat(30));
    assert_eq!(mistakes(&deepest).len(), 4);
    let zone = format!("map: [{}]", "{name: x, type: A, value: y}, ".repeat(20_000));
    assert!(parse::<serde_json::Value>("x.yaml", zone.as_bytes()).is_ok());
}

#[test]
fn values_know_their_place() {
    let thing: Thing = parse("x.yaml", b"map:\n  a: \"x\"\n  b: y\n").unwrap();
    assert_eq!(
        thing.map["b"].location("x.yaml"),
        Location::new("x.yaml", 3, 6)
    );
    assert_eq!((thing.port, thing.on), (0, false));
    let text = b"list:\n  - a/b: [1, 2]\n";
    assert_eq!(
        locate("x", text, "/list/0/a~1b/1"),
        Location::new("x", 2, 14)
    );
    assert_eq!(locate("x", text, "/list/9"), Location::new("x", 2, 3));
}

#[test]
fn near_words_are_offered() {
    assert_eq!(
        did_you_mean("adresses", &["addresses", "roles"]),
        "did you mean `addresses`?"
    );
    assert_eq!(
        did_you_mean("xyzzy", &["addresses", "roles"]),
        "allowed: addresses, roles"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse::<Thing>("x.yaml", &bytes);
        let _ = parse::<serde_json::Value>("x.yaml", &bytes);
        let _ = locate("x.yaml", &bytes, "/a/0");
    }
}
