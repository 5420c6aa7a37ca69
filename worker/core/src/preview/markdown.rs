//! Markdown that carries hostile text. Nothing of a request stands outside of code: in code spans and fences no
//! forge makes mentions, links, images, references to issues or HTML. What would end the code early is met by a
//! longer delimiter; no line begins with text of a request, because forges read commands there.

use crate::report::visible::clean;

/// Longer names and lines are cut: nobody reads them, and a limit must hold for them.
const LONGEST_SPAN: usize = 300;
const LONGEST_LINE: usize = 500;

/// A code span of any text.
pub(super) fn code(text: &str) -> String {
    let text = clean(&cut(text, LONGEST_SPAN));
    if text.trim().is_empty() {
        return "`(empty)`".to_owned();
    }
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    // Spaces at both ends are taken off by who reads it; without them a backtick would join the delimiter.
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Code spans, separated by commas; more than `most` are counted.
pub(super) fn codes<'a>(texts: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let texts: Vec<&str> = texts.into_iter().collect();
    let mut shown: Vec<String> = texts.iter().take(most).map(|text| code(text)).collect();
    if texts.len() > most {
        shown.push(format!("{} more", texts.len() - most));
    }
    shown.join(", ")
}

/// A fenced block of lines, each with its first character from us.
pub(super) fn fence<'a>(kind: &str, lines: impl Iterator<Item = &'a str>) -> String {
    let mut body = String::new();
    for line in lines {
        body.push_str(&clean(&cut(&line.replace('\t', "    "), LONGEST_LINE)));
        body.push('\n');
    }
    let fence = "`".repeat(longest_run(&body, '`').max(2) + 1);
    format!("{fence}{kind}\n{body}{fence}\n")
}

/// Text within HTML, where Markdown is not read.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::new();
    for c in clean(&cut(text, LONGEST_SPAN)).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '@' => escaped.push_str("&#64;"),
            '`' => escaped.push_str("&#96;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// An address of our own; `None` for what would break out of `<…>`.
pub(super) fn link(words: &str, address: &str) -> Option<String> {
    let web = address.starts_with("https://") || address.starts_with("http://");
    let safe = |c: char| c.is_ascii_graphic() && !"<>()[]`\"'\\".contains(c);
    (web && address.chars().all(safe)).then(|| format!("[{words}](<{address}>)"))
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn longest_run(text: &str, of: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}
