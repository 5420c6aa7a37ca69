//! Keeps secrets out of findings: a program that refuses a key file tends to quote it, and findings end up in
//! logs and in comments that everyone can read.

use std::collections::BTreeSet;

use crate::release::Release;

/// Shorter words are too common to be told from ordinary ones.
const SHORTEST: usize = 8;

fn is_boundary(c: char) -> bool {
    c.is_whitespace() || "\"'`;,{}()[]<>|".contains(c)
}

/// Words that could be a secret: not a path, a plain keyword or a PEM frame.
fn could_be_secret(word: &str) -> bool {
    word.len() >= SHORTEST
        && !word.starts_with("/etc/")
        && !word.starts_with("/var/")
        && !word.starts_with("-----")
        && !word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// The output with every word that stands in a secret file replaced by `<secret>`.
pub(super) fn secrets(output: &str, release: &Release) -> String {
    let texts: Vec<_> = release
        .contents
        .iter()
        .filter(|(path, _)| {
            let meta = release.meta.files.get(*path);
            meta.is_some_and(|meta| meta.secret)
        })
        .map(|(_, content)| String::from_utf8_lossy(content))
        .collect();
    let words: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| text.split(is_boundary))
        .filter(|word| could_be_secret(word))
        .collect();
    if words.is_empty() {
        return output.to_owned();
    }
    let mut clean = String::with_capacity(output.len());
    for piece in output.split_inclusive(is_boundary) {
        let word = piece.trim_end_matches(is_boundary);
        if words.contains(word) || words.contains(word.trim_end_matches([':', '.'])) {
            clean.push_str("<secret>");
            clean.push_str(&piece[word.len()..]);
        } else {
            clean.push_str(piece);
        }
    }
    clean
}
