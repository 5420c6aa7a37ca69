//! No text of a request gets out of its code: read with a Markdown parser that shares nothing with what wrote it.

use proptest::prelude::*;
use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

use super::*;
use crate::codes;
use crate::outcome::{Failure, Outcome, StuckNode};
use crate::preview::limits::units;
use crate::preview::{Flavour, Limits, after, answer, answered, comment};
use crate::report::diff::{FileDiff, Shared};

/// What is HTML, link or text outside of code, in the order of the document.
fn outside(markdown: &str) -> (String, Vec<String>, Vec<String>) {
    let (mut text, mut html, mut links) = (String::new(), Vec::new(), Vec::new());
    let mut in_code = false;
    for event in Parser::new_ext(markdown, Options::all()) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Text(words) if !in_code => text.push_str(&words),
            Event::Html(tags) | Event::InlineHtml(tags) => html.push(tags.into_string()),
            Event::Start(Tag::Image { dest_url, .. }) => links.push(format!("image {dest_url}")),
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                ..
            }) => {
                assert_ne!(link_type, LinkType::Autolink);
                links.push(dest_url.into_string());
            }
            Event::InlineMath(words) | Event::DisplayMath(words) => panic!("math: {words}"),
            _ => {}
        }
    }
    (text, html, links)
}

const OURS: &str = "https://windlass.example.org/previews/4f2a";

fn assert_harmless(markdown: &str) {
    let (text, html, links) = outside(markdown);
    assert!(
        text.is_ascii() || text.contains('−') || text.contains('…'),
        "{text}"
    );
    for sign in ["@", "#", "!", "~", "$", "%", "&", "://", "www.", ":smile:"] {
        assert!(!text.contains(sign), "{sign} in {text}");
    }
    assert!(links.iter().all(|link| link == OURS), "{links:?}");
    for tags in html {
        let known = ["<!-- windlass:example -->", "</details>"];
        let summary = tags.strip_prefix("<details><summary><code>");
        let summary = summary.and_then(|rest| rest.split_once("</code> on "));
        let is_plain = summary.is_some_and(|(path, rest)| {
            let rest = rest.trim_end().strip_suffix("</summary>");
            !path.contains(['<', '>', '@'])
                && rest.is_some_and(|rest| !rest.contains(['<', '>', '@']))
        });
        let mark = tags.trim().strip_prefix("<!-- windlass:example/looked ");
        let is_mark = mark.and_then(|mark| mark.strip_suffix("-->"));
        let is_mark = is_mark.is_some_and(|mark| {
            let own = |c: char| c.is_ascii_alphanumeric() || "= :".contains(c);
            mark.chars().all(own)
        });
        assert!(
            known.contains(&tags.trim()) || is_mark || is_plain,
            "{tags}"
        );
    }
    for line in markdown.lines() {
        assert!(!line.starts_with('/'), "a forge's command: {line}");
        assert!(
            !line.chars().any(crate::report::visible::is_hidden),
            "{line:?}"
        );
    }
}

#[test]
fn an_answer_shows_its_words_and_hides_what_it_answers() {
    let cluster: crate::ids::ClusterName = "example".parse().unwrap();
    let texts = codes::all().map(|it| codes::Entry::from(it).text);
    for words in texts.chain(["Nothing is held here.".to_owned()]) {
        let text = answer(&cluster, 17, &words);
        let (shown, html, _) = outside(&text);
        let mark = "<!-- windlass:example/answers 17 -->";
        assert_eq!(html.last().map(|it| it.trim()), Some(mark), "{text}");
        assert!(!shown.contains("answers 17"), "{text}");
        assert_eq!(answered(&text.replace('\n', "\r\n"), &cluster), Some(17));
        assert!(!text.contains(&crate::preview::marker(&cluster)));
    }
    for none in [
        "",
        "<!-- windlass:example/answers -->",
        "<!-- windlass:example/answers x -->",
        "<!-- windlass:other/answers 17 -->",
        " <!-- windlass:example/answers 17 -->",
        "<!-- windlass:example/answers 17 -->\nmore",
    ] {
        assert_eq!(answered(none, &cluster), None, "{none}");
    }
}

/// A preview with this text wherever text of a request can stand.
fn everywhere(text: &str) -> Preview {
    let mut preview = changing(&format!("{text}\nold\n"), &format!("{text}\n{text}\n")).0;
    let hostile = || vec![text.to_owned(), text.to_owned()];
    let findings = Findings::from_iter([Finding::error(WRONG_VALUE, text)
        .at(Location::new(text, 1, 1))
        .quoting(text, 1, text)
        .related(Location::file(text), text)
        .hint(text)]);
    let snapshot = Snapshot::of_texts("c", [(text, text)]);
    preview.findings = Shown::all(&findings, &snapshot);
    preview.request.branch = text.to_owned();
    let roll = preview.roll.as_mut().unwrap();
    roll.skipped = vec![skipped("home", text)];
    for turn in &mut roll.turns {
        turn.drain = hostile();
        turn.actions = hostile();
        turn.gates = hostile();
        turn.because = hostile();
    }
    preview.diffs.push(Shared {
        nodes: vec![node("vps1")],
        file: FileDiff {
            path: "/etc/@everyone".parse().unwrap(),
            kind: crate::plan::ChangeKind::Replace,
            added: 1,
            removed: 0,
            diff: None,
            note: Some(text.to_owned()),
        },
    });
    let long = changing("", &format!("{text}\n").repeat(40)).0;
    preview.diffs.extend(long.diffs);
    preview
}

fn every_comment(text: &str, limits: &Limits) -> Vec<String> {
    let preview = everywhere(text);
    let verdicts = [
        preview.verdict.clone(),
        Verdict::Conflicted {
            files: vec![text.to_owned()],
        },
        Verdict::NotRun {
            why: text.to_owned(),
        },
        Verdict::Failed {
            why: text.to_owned(),
        },
    ];
    let mut comments: Vec<String> = verdicts
        .into_iter()
        .map(|verdict| {
            let preview = Preview {
                verdict,
                ..preview.clone()
            };
            comment(&preview, limits)
        })
        .collect();
    let failure = Failure {
        node: node("vps1"),
        step: text.to_owned(),
        what: text.to_owned(),
        message: text.to_owned(),
        log: vec![text.to_owned()],
    };
    let outcomes = [
        Outcome::Unchanged {
            skipped: vec![skipped("home", text)],
        },
        Outcome::Refused {
            findings: preview.findings.iter().map(|s| s.finding.clone()).collect(),
        },
        Outcome::Stuck {
            nodes: vec![StuckNode {
                node: node("vps1"),
                why: text.to_owned(),
                mend: text.to_owned(),
            }],
            failure: Some(failure),
        },
    ];
    comments.extend(
        outcomes
            .iter()
            .map(|outcome| after(told(&preview, outcome), limits)),
    );
    comments
}

#[test]
fn known_tricks_do_nothing() {
    let tricks = [
        "@everyone",
        "``` @everyone",
        "`````````` @all",
        "~~~ @all",
        "` @all `` @all",
        "\n```\n@all\n",
        "\r\n/close\n/merge",
        "/approve",
        "![x](https://evil.example/x.png)",
        "[x](javascript:alert(1))",
        "<script>alert(1)</script>",
        "</code></summary></details>@all<img src=x onerror=alert(1)>",
        "-->\n<b>x</b><!-- windlass:other -->",
        "https://evil.example www.evil.example a@evil.example",
        "fixes #1 !2 $3 %4 ~bug &5 :smile:",
        "$`x`$ $$x$$",
        "\u{202e}gnp.exe\u{2066}\u{200b}\u{feff}\u{e0041}\u{1b}[2J\u{0}",
        "---\n# title\n> quote",
        "    @indented",
        "\t@tab",
        "|a|b|\n|-|-|\n|@all|x|",
        "[^1]: @all",
        "\\`@all\\`",
        "{{ site.secret }} {% raw %}",
        "+++\n@all\n+++",
    ];
    for trick in tricks {
        for flavour in [Flavour::GitHub, Flavour::GitLab, Flavour::Gitea] {
            for text in every_comment(trick, &Limits::of(flavour)) {
                assert_harmless(&text);
            }
        }
    }
}

fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("`".to_owned()),
        Just("```".to_owned()),
        Just("~~~~".to_owned()),
        Just("\n".to_owned()),
        Just("@all".to_owned()),
        Just("<b>".to_owned()),
        Just("](x)".to_owned()),
        Just("![".to_owned()),
        Just("\\".to_owned()),
        Just("/close".to_owned()),
        Just("\u{202e}".to_owned()),
        Just(" ".to_owned()),
        Just("𝒳".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_text_gets_out_of_its_code(text in nasty()) {
        for text in every_comment(&text, &Limits::of(Flavour::GitHub)) {
            assert_harmless(&text);
        }
    }

    #[test]
    fn the_limit_always_holds(text in nasty(), bytes in 0_usize..9000, characters in 0_usize..9000) {
        let limits = Limits { bytes, characters, ..Limits::of(Flavour::GitHub) };
        for text in every_comment(&text, &limits) {
            prop_assert!(text.len() <= bytes && units(&text) <= characters, "{}", text.len());
            if bytes.min(characters) > 120 {
                prop_assert!(text.starts_with("**Windlass on example: "));
                prop_assert!(text.contains("<!-- windlass:example -->"));
            }
            if bytes.min(characters) > 200 {
                assert_harmless(&text);
            }
        }
    }
}
