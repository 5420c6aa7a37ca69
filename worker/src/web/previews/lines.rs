//! The lines of a difference: with their numbers, with what was found beside them, and with the words in which a line
//! differs from the one whose place it took.

use std::collections::BTreeMap;

use serde::Serialize;
use windlass_core::finding::Severity;
use windlass_core::preview::Shown;
use windlass_core::report::visible::clean;
use windlass_core::report::words::words;

/// Lines of one file; a browser must stay usable.
const MOST_LINES: usize = 5000;

#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) class: &'static str,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    /// It is what differs in its line.
    strong: bool,
    text: String,
}

impl Part {
    fn new(strong: bool, text: &str) -> Self {
        Self {
            strong,
            text: clean(&text.replace('\t', "    ")),
        }
    }
}

/// What was found in this rendered file, by line.
pub(super) fn beside<'a>(path: &str, findings: &'a [Shown]) -> BTreeMap<u32, Vec<&'a Shown>> {
    let mut beside: BTreeMap<u32, Vec<&Shown>> = BTreeMap::new();
    for shown in findings {
        if let Some(excerpt) = shown.finding.excerpt.as_ref().filter(|e| e.path == path) {
            beside.entry(excerpt.line).or_default().push(shown);
        }
    }
    beside
}

pub(super) fn lines(diff: &str, mut beside: BTreeMap<u32, Vec<&Shown>>) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut old, mut new) = (0_u32, 0_u32);
    let texts: Vec<&str> = diff.lines().take(MOST_LINES).collect();
    for (text, parts) in texts.iter().zip(parts(&texts)) {
        let (class, numbers) = match text.as_bytes().first() {
            Some(b'@') => {
                (old, new) = begins(text);
                ("hunk", (None, None))
            }
            Some(b'+') => ("new", (None, Some(&mut new))),
            Some(b'-') => ("old", (Some(&mut old), None)),
            Some(b' ') => ("same", (Some(&mut old), Some(&mut new))),
            _ => ("hunk", (None, None)),
        };
        let number = |count: Option<&mut u32>| {
            let count = count?;
            let now = *count;
            *count += 1;
            Some(now)
        };
        let (before, after) = (number(numbers.0), number(numbers.1));
        let word = |number: Option<u32>| number.map(|n| n.to_string()).unwrap_or_default();
        lines.push(Line {
            class,
            old: word(before),
            new: word(after),
            parts,
        });
        let found = after.and_then(|after| beside.remove(&after));
        lines.extend(found.into_iter().flatten().map(note));
    }
    // What was found in lines that do not change.
    lines.extend(beside.into_values().flatten().map(note));
    lines
}

/// Lines that went, followed by some that came: the first of these took the place of the first of those, and so on.
fn parts(texts: &[&str]) -> Vec<Vec<Part>> {
    let plain = |text: &&str| vec![Part::new(false, text)];
    let mut parts: Vec<Vec<Part>> = texts.iter().map(plain).collect();
    let mut at = 0;
    while at < texts.len() {
        let count = |from: usize, sign: char| {
            let rest = texts.get(from..).unwrap_or_default().iter();
            rest.take_while(|text| text.starts_with(sign)).count()
        };
        let gone = count(at, '-');
        let come = count(at + gone, '+');
        for index in at..at + gone.min(come) {
            pair(texts, &mut parts, index, index + gone);
        }
        at += (gone + come).max(1);
    }
    parts
}

fn pair(texts: &[&str], parts: &mut [Vec<Part>], old: usize, new: usize) {
    let text = |index: usize| texts.get(index).and_then(|text| text.get(1..));
    let (Some(before), Some(after)) = (text(old), text(new)) else {
        return;
    };
    let Some((before, after)) = words(before, after) else {
        return;
    };
    for (index, sign, words) in [(old, "-", before), (new, "+", after)] {
        if let Some(place) = parts.get_mut(index) {
            *place = vec![Part::new(false, sign)];
            place.extend(words.iter().map(|word| Part::new(word.changed, &word.text)));
        }
    }
}

fn note(shown: &Shown) -> Line {
    let finding = &shown.finding;
    Line {
        class: match finding.severity {
            Severity::Error => "note",
            Severity::Warning => "note warning",
        },
        old: String::new(),
        new: String::new(),
        parts: vec![Part::new(
            false,
            &format!("{}: {}", finding.code, finding.message),
        )],
    }
}

/// The first line numbers of `@@ -3,4 +5,6 @@`.
fn begins(hunk: &str) -> (u32, u32) {
    let mut numbers = hunk.split([' ', ',']).filter_map(|part| {
        let number = part.strip_prefix(['-', '+'])?;
        number.parse().ok()
    });
    (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_differ_stand_out() {
        let diff = "@@ -1,3 +1,3 @@\n-maxconn 1000\n-x\n+maxconn 2000\n+entirely another\n same\n-only gone\n";
        let lines = lines(diff, BTreeMap::new());
        let strong = lines.iter().flat_map(|line| &line.parts);
        let strong: Vec<&str> = strong
            .filter(|part| part.strong)
            .map(|part| part.text.as_str())
            .collect();
        assert_eq!(strong, ["1000", "2000"]);
        let texts: Vec<String> = lines
            .iter()
            .map(|line| line.parts.iter().map(|part| part.text.as_str()).collect())
            .collect();
        let expected: Vec<&str> = diff.lines().collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn lines_have_their_numbers() {
        let diff =
            "@@ -3,3 +3,3 @@\n same\n-gone\n+come\n same\n@@ -20 +21 @@\n-x\n\\ No newline\n";
        let lines = lines(diff, BTreeMap::new());
        let shown: Vec<String> = lines
            .iter()
            .map(|line| format!("{}:{}:{}", line.class, line.old, line.new))
            .collect();
        let expected = [
            "hunk::", "same:3:3", "old:4:", "new::4", "same:5:5", "hunk::", "old:20:", "hunk::",
        ];
        assert_eq!(shown, expected);
    }
}
