//! The texts themselves, as snapshots.

use super::*;
use crate::codes::plan::{DIVERGED, HELD};
use crate::outcome::{Failure, Outcome, StuckNode};
use crate::preview::{
    Flavour, Left, Limits, Mark, State, after, comment, left, marker, status, status_after,
};

const OLD: &str = "global\n  maxconn 1000\n\nfrontend web\n  bind :80\n";
const NEW: &str = "global\n  maxconn 2000\n\nfrontend web\n  bind :80\n";

fn limits() -> Limits {
    Limits::of(Flavour::GitHub)
}

const FORGES: [(Flavour, &str); 4] = [
    (Flavour::GitHub, "github"),
    (Flavour::GitLab, "gitlab"),
    (Flavour::Gitea, "gitea"),
    (Flavour::Forgejo, "forgejo"),
];

#[test]
fn each_forge_gets_a_change_a_long_one_a_refusal_and_what_came_of_it() {
    let (change, _) = changing(OLD, NEW);
    let (long, _) = changing(&lines(2, "old"), &lines(40, "new"));
    let outcome = Outcome::RolledBack {
        failure: failure(),
        nodes: vec![node("vps1"), node("vps2")],
        kept: vec![],
    };
    for (flavour, name) in FORGES {
        let limits = Limits::of(flavour);
        for (what, text) in [
            ("change", comment(&change, &limits)),
            ("long", comment(&long, &limits)),
            ("refusal", comment(&refused(), &limits)),
            ("after", after(told(&change, &outcome), &limits)),
        ] {
            insta::assert_snapshot!(format!("{what}_at_{name}"), text);
        }
    }
}

#[test]
fn what_was_not_kept_is_counted() {
    let (mut preview, _) = changing(OLD, NEW);
    preview.left_out = 3;
    let text = comment(&preview, &limits());
    assert!(text.contains("\n3 files more left out here.\n"), "{text}");
    preview.diffs.clear();
    let text = comment(&preview, &limits());
    assert!(text.contains("\n3 files more left out here.\n"), "{text}");
}

#[test]
fn what_is_not_looked_at_any_more_says_why() {
    for (why, words) in [
        (Left::Closed, "closed without being merged"),
        (Left::Elsewhere, "against another branch now"),
    ] {
        let (text, status) = left(&cluster(), why);
        assert!(text.starts_with(&format!("**Windlass on example: {words}")));
        assert!(text.contains(&marker(&cluster())), "{text}");
        assert!(status.description.starts_with(words) && status.state == State::Success);
    }
}

#[test]
fn other_verdicts_are_short() {
    let why = || "no `bwrap` here".to_owned();
    let verdicts = [
        Verdict::Checking,
        Verdict::NoChange,
        Verdict::Conflicted {
            files: vec!["sites/blog.yaml".to_owned(), "sites/`x`.yaml".to_owned()],
        },
        Verdict::NotRun { why: why() },
        Verdict::Withheld { why: why() },
        Verdict::Failed { why: why() },
    ];
    let tell = |verdict| {
        let preview = Preview::new(cluster(), request(), verdict);
        let status = status(&preview);
        let text = comment(&preview, &limits());
        format!("{status:?}\n{text}\n")
    };
    insta::assert_snapshot!(verdicts.map(tell).concat());
}

fn failure() -> Failure {
    Failure {
        node: node("vps2"),
        step: "gates".to_owned(),
        what: "haproxy: https://blog.example.org/".to_owned(),
        message: "503 Service Unavailable".to_owned(),
        log: vec!["/close".to_owned(), "```".to_owned()],
    }
}

#[test]
fn what_could_not_be_asked_is_said() {
    let (preview, _) = changing(OLD, NEW);
    insta::assert_snapshot!(comment(&against_base(preview), &limits()));
}

#[test]
fn the_comment_tells_how_the_roll_went() {
    let (preview, _) = changing(OLD, NEW);
    let outcomes = [
        Outcome::Unchanged { skipped: vec![] },
        Outcome::RolledOut {
            nodes: vec![node("vps1"), node("vps2")],
            skipped: vec![skipped("home", "connection timed out")],
        },
        Outcome::RolledBack {
            failure: failure(),
            nodes: vec![node("vps1"), node("vps2")],
            kept: vec![],
        },
        Outcome::Overtaken {
            by: "0123456789abcdef".repeat(2),
            nodes: vec![node("vps1")],
            left: vec![node("vps2")],
        },
        Outcome::Refused {
            findings: Findings::from_iter([Finding::error(WRONG_VALUE, "locked by @all")]),
        },
        Outcome::Stuck {
            nodes: vec![StuckNode {
                node: node("vps2"),
                why: "no answer".to_owned(),
                mend: "look at vps2".to_owned(),
            }],
            failure: Some(failure()),
        },
    ];
    let told = outcomes.map(|outcome| {
        let status = status_after(&preview, &outcome);
        format!(
            "{status:?}\n{}\n",
            after(told(&preview, &outcome), &limits())
        )
    });
    insta::assert_snapshot!(told.concat());
}

#[test]
fn what_is_not_as_reviewed_is_told_with_what_differs() {
    let (reviewed, _) = changing(OLD, NEW);
    let (mut planned, _) = changing(OLD, &NEW.replace("2000", "3000"));
    planned.request.base = "89abcdef".repeat(5);
    let refused = |code, words: &str| Outcome::Refused {
        findings: Findings::from_iter([Finding::error(code, words)]),
    };
    let rolled = Outcome::RolledOut {
        nodes: vec![node("vps1")],
        skipped: vec![],
    };
    let never = Preview::new(cluster(), request(), Verdict::Checking);
    let told = [
        (
            &reviewed,
            refused(DIVERGED, "merging request 12 rolls something else"),
        ),
        (&reviewed, rolled),
        (&never, refused(HELD, "request 12 is held by alice")),
    ];
    let told = told.map(|(reviewed, outcome)| {
        let status = status_after(reviewed, &outcome);
        let after = after(
            After {
                reviewed,
                planned: Some(&planned),
                outcome: &outcome,
            },
            &limits(),
        );
        let (first, _) = after.split_once("#### The roll").unwrap();
        let (_, last) = after.split_once("\n---\n").unwrap();
        format!("{status:?}\n{first}…\n{last}\n")
    });
    insta::assert_snapshot!(told.concat());
}

#[test]
fn five_megabytes_are_cut_at_whole_files_and_the_verdict_survives() {
    let (mut preview, _) = changing(OLD, NEW);
    let long = changing(
        "",
        &lines(
            90_000,
            "a line that is neither short nor long, and there are many",
        ),
    );
    preview.diffs.extend(long.0.diffs);
    preview.diffs.extend(changing(OLD, NEW).0.diffs);
    for flavour in FORGES.map(|(flavour, _)| flavour) {
        let limits = Limits::of(flavour);
        let text = comment(&preview, &limits);
        assert!(text.len() < 3000, "{}", text.len());
        assert!(text.starts_with("**Windlass on example: merging would change 2 of 3 nodes"));
        assert!(text.contains("maxconn 2000") && text.contains("2 files more left out here"));
        assert!(
            text.contains(&preview.bundle.unwrap().to_string()) && text.contains("windlass hold")
        );
    }
}

#[test]
fn a_status_is_one_short_line_with_the_true_outcome() {
    let (preview, _) = changing(OLD, NEW);
    let many: Vec<NodeName> = (0..9)
        .map(|n| node(&format!("{}{n}", "long".repeat(10))))
        .collect();
    let outcome = Outcome::RolledOut {
        nodes: many,
        skipped: vec![],
    };
    let told = status_after(&preview, &outcome);
    assert_eq!(
        (told.state, told.description.chars().count()),
        (State::Success, 140)
    );
    assert_eq!(told.context, "windlass/example");
    assert_eq!(status(&preview).state, State::Success);
    assert_eq!(status(&refused()).state, State::Failure);
}

#[test]
fn a_preview_is_stored_and_read_again() {
    for preview in [refused(), changing(OLD, NEW).0] {
        let stored = serde_json::to_string(&preview).unwrap();
        assert_eq!(serde_json::from_str::<Preview>(&stored).unwrap(), preview);
    }
}

#[test]
fn the_comment_says_for_other_workers_what_was_reviewed_and_what_may_be_released() {
    let (mut reviewed, _) = changing(OLD, NEW);
    (reviewed.request.head, reviewed.request.base) = ("a1".repeat(20), "b2".repeat(20));
    let before = comment(&reviewed, &limits());
    let mark = Mark::read(&before, &cluster()).unwrap();
    assert_eq!((mark.bundle, mark.waits), (reviewed.bundle, None));
    assert_eq!(
        (&mark.head, &mark.base),
        (&reviewed.request.head, &reviewed.request.base)
    );
    assert_eq!(Mark::read(&before, &"other".parse().unwrap()), None);
    // Forges may write line ends their own way.
    assert_eq!(
        Mark::read(&before.replace('\n', "\r\n"), &cluster()),
        Some(mark.clone())
    );

    let (mut planned, _) = changing(OLD, &NEW.replace("2000", "3000"));
    planned.request.base = "89abcdef".repeat(5);
    let outcome = Outcome::Refused {
        findings: Findings::from_iter([Finding::error(DIVERGED, "something else")]),
    };
    let told = After {
        reviewed: &reviewed,
        planned: Some(&planned),
        outcome: &outcome,
    };
    let waits = Mark {
        waits: planned.bundle,
        ..mark
    };
    assert_eq!(Mark::read(&after(told, &limits()), &cluster()), Some(waits));

    reviewed.request.head = "a --> <b>".to_owned();
    let mark = Mark::read(&comment(&reviewed, &limits()), &cluster()).unwrap();
    assert_eq!(mark.head, "");
}
