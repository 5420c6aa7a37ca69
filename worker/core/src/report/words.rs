//! Two lines of which one took the other's place, word by word: so that people see at once what is another.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

/// In lines that have less in common, nothing stands out.
const ALIKE: f32 = 0.4;
/// Longer lines are nothing that people read.
const LONGEST: usize = 2000;
const DEADLINE: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub changed: bool,
    pub text: String,
}

/// The old line's words and the new one's; `None` where they are too different.
pub fn words(old: &str, new: &str) -> Option<(Vec<Word>, Vec<Word>)> {
    if old.len().max(new.len()) > LONGEST {
        return None;
    }
    let diff = TextDiff::configure().timeout(DEADLINE).diff_words(old, new);
    if diff.ratio() < ALIKE {
        return None;
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for change in diff.iter_all_changes() {
        let text = change.value();
        match change.tag() {
            ChangeTag::Equal => {
                put(&mut before, false, text);
                put(&mut after, false, text);
            }
            ChangeTag::Delete => put(&mut before, true, text),
            ChangeTag::Insert => put(&mut after, true, text),
        }
    }
    Some((before, after))
}

fn put(words: &mut Vec<Word>, changed: bool, text: &str) {
    match words.last_mut() {
        Some(last) if last.changed == changed => last.text.push_str(text),
        _ => words.push(Word {
            changed,
            text: text.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    fn told(old: &str, new: &str) -> Option<[String; 2]> {
        let (old, new) = words(old, new)?;
        Some([old, new].map(|words| {
            let words = words.iter().map(|word| match word.changed {
                true => format!("[{}]", word.text),
                false => word.text.clone(),
            });
            words.collect()
        }))
    }

    #[test]
    fn what_differs_in_a_line_stands_out() {
        let told = |old, new| told(old, new).unwrap();
        assert_eq!(
            told("  maxconn 1000", "  maxconn 2000"),
            ["  maxconn [1000]", "  maxconn [2000]"]
        );
        assert_eq!(
            told("bind :80", "bind :80 :443 alpn"),
            ["bind :80", "bind :80[ :443 alpn]"]
        );
    }

    #[test]
    fn nothing_does_in_lines_that_have_little_in_common() {
        assert_eq!(told("option httplog", "server one 192.0.2.1:80"), None);
        assert_eq!(told(&"a ".repeat(2000), "a b"), None);
    }
}
