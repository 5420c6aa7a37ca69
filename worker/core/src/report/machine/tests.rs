use super::{github, junit, sarif};
use crate::codes::checks::CHECK_REFUSED;
use crate::codes::definitions::{DUPLICATE_HOST, WRONG_VALUE};
use crate::finding::{Finding, Findings, Location};

const VERDICT: &str = "merging would be refused: 2 errors, 1 warning";

fn findings() -> Findings {
    Findings::from_iter([
        Finding::error(DUPLICATE_HOST, "blog.example.org is a host of two sites")
            .at(Location::new("sites/a b.yaml", 1, 9))
            .related(Location::new("sites/blog.yaml", 2, 4), "first defined here")
            .hint("remove one"),
        Finding::error(CHECK_REFUSED, "unknown keyword <'bogus'> & \"more\"")
            .of(&"haproxy".parse().unwrap())
            .on(&"vps1".parse().unwrap())
            .quoting("/etc/haproxy/haproxy.cfg", 53, "    bogus 3"),
        Finding::warning(WRONG_VALUE, "100% ]]>\n::error::mine\u{202e}\u{0}\r").at(Location::new(
            "sites/x,y:z.yaml",
            1,
            0,
        )),
    ])
}

#[test]
fn sarif_names_rules_places_and_the_verdict() {
    let text = serde_json::to_string_pretty(&sarif::value(&findings(), VERDICT)).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn junit_lists_each_finding_as_a_case() {
    insta::assert_snapshot!(junit::text(&findings(), VERDICT).unwrap());
    insta::assert_snapshot!(junit::text(&Findings::default(), "merging changes no node").unwrap());
}

#[test]
fn annotations_are_one_line_each_and_no_message_is_a_command() {
    let text = github::text(&findings(), VERDICT);
    assert_eq!(text.lines().count(), 4);
    assert!(
        text.lines()
            .all(|line| line.matches("::").count() == 2 || line.starts_with("::warning file="))
    );
    insta::assert_snapshot!(text);
}
