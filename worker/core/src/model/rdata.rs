//! Owner names and values of DNS records: checked here, because named-checkzone lets much of it pass, and put
//! into the one form in which zone files are written, because the text comes from outside and must not be able
//! to end its line and begin another record.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::names::{DomainName, is_under};
use super::zone::RecordType;
use crate::codes::{Code, definitions as codes};

/// What is wrong with a name or value, before its place is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// A value as a zone file has it, with the name it points to (absolute, no dot at its end).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rdata {
    pub(crate) text: String,
    pub(crate) target: Option<Pointer>,
}

/// The name that a value points to, and whether it was written relative although it has a dot within.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) name: String,
    pub(crate) dotted: bool,
}

fn wrong(code: Code, message: String, hint: impl Into<String>) -> Problem {
    Problem {
        code,
        message,
        hint: hint.into(),
    }
}

/// The absolute owner name (lower case, no dot at its end) of a record in a zone.
pub(crate) fn owner(name: &str, kind: RecordType, zone: &DomainName) -> Result<String, Problem> {
    let shown = name.chars().take(80).collect::<String>();
    let zone = zone.as_str();
    let absolute = if name == "@" {
        return Ok(zone.to_owned());
    } else if let Some(absolute) = name.strip_suffix('.') {
        absolute.to_ascii_lowercase()
    } else if is_under(&name.to_ascii_lowercase(), zone) {
        return Err(wrong(
            codes::MISSING_DOT,
            format!("`{shown}` would become `{shown}.{zone}`"),
            format!("write it relative to the zone, or with a dot at its end: `{shown}.`"),
        ));
    } else {
        format!("{}.{zone}", name.to_ascii_lowercase())
    };
    let below = absolute.strip_prefix("*.").unwrap_or(&absolute);
    let strict = matches!(kind, RecordType::A | RecordType::Aaaa | RecordType::Mx);
    if !is_name(below, !strict) {
        return Err(wrong(
            codes::OWNER_NAME,
            format!("`{shown}` is no owner name of {kind} records"),
            if strict {
                "a host's labels have a-z, 0-9 and, within, `-`; `@` is the zone itself; `*` may only come first"
            } else {
                "labels have a-z, 0-9, `-` and `_`; `@` is the zone itself; `*` may only come first"
            },
        ));
    }
    if !is_under(&absolute, zone) {
        return Err(wrong(
            codes::OUT_OF_ZONE,
            format!("`{shown}` lies outside the zone {zone}"),
            "move the record to the zone that holds the name; name servers ignore it here",
        ));
    }
    Ok(absolute)
}

fn is_name(name: &str, underscore: bool) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || (underscore && c == '_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// Checks a value and writes it as zone files have it, all names absolute.
pub(crate) fn rdata(kind: RecordType, value: &str, zone: &DomainName) -> Result<Rdata, Problem> {
    let bad = |expected: &str| {
        wrong(
            codes::RECORD_VALUE,
            format!(
                "`{}` is no value of {kind} records",
                value.chars().take(80).collect::<String>()
            ),
            format!("write {expected}"),
        )
    };
    let plain = |text: String| Ok(Rdata { text, target: None });
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    match (kind, words.as_slice()) {
        (RecordType::A | RecordType::Aaaa, [address]) => {
            ip(kind, address).map_or_else(|| Err(bad("one address of its family")), plain)
        }
        (RecordType::Cname | RecordType::Ns | RecordType::Ptr, [target]) => {
            pointing("", target, zone)
                .ok_or_else(|| bad("a name: relative to the zone, or with a dot at its end"))
        }
        (RecordType::Mx, [preference, target]) if preference.parse::<u16>().is_ok() => {
            pointing(&format!("{preference} "), target, zone)
                .ok_or_else(|| bad("`10 mail.example.org.`"))
        }
        (RecordType::Srv, [priority, weight, port, target])
            if [priority, weight, port]
                .iter()
                .all(|number| number.parse::<u16>().is_ok()) =>
        {
            pointing(&format!("{priority} {weight} {port} "), target, zone)
                .ok_or_else(|| bad("`priority weight port target`"))
        }
        (RecordType::Txt, _) => {
            txt(value).map_or_else(|| Err(bad("at most 4096 bytes of text")), plain)
        }
        (RecordType::Caa, [flags, tag, rest @ ..])
            if flags.parse::<u8>().is_ok()
                && !rest.is_empty()
                && tag.chars().all(|c| c.is_ascii_alphanumeric()) =>
        {
            let text = rest.join(" ");
            let text = text
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'))
                .unwrap_or(&text);
            plain(format!(
                "{flags} {} {}",
                tag.to_ascii_lowercase(),
                quoted(text.as_bytes())
            ))
        }
        (RecordType::Ds | RecordType::Sshfp | RecordType::Tlsa, words) => {
            digest(kind, words).map_or_else(|| Err(bad(digest_form(kind))), plain)
        }
        _ => Err(bad(form(kind))),
    }
}

fn ip(kind: RecordType, address: &str) -> Option<String> {
    match kind {
        RecordType::A => address
            .parse::<Ipv4Addr>()
            .ok()
            .map(|address| address.to_string()),
        _ => address
            .parse::<Ipv6Addr>()
            .ok()
            .map(|address| address.to_string()),
    }
}

fn form(kind: RecordType) -> &'static str {
    match kind {
        RecordType::Mx => "`10 mail.example.org.`",
        RecordType::Srv => "`priority weight port target`",
        RecordType::Caa => "`0 issue \"letsencrypt.org\"`",
        RecordType::A | RecordType::Aaaa => "one address; several go into `values`",
        _ => "one name; several go into `values`",
    }
}

fn digest_form(kind: RecordType) -> &'static str {
    match kind {
        RecordType::Ds => "`key-tag algorithm digest-type hex`",
        RecordType::Sshfp => "`algorithm type hex`",
        _ => "`usage selector type hex`",
    }
}

/// Small numbers, then hexadecimal digits that may be split by white space.
fn digest(kind: RecordType, words: &[&str]) -> Option<String> {
    let limits: &[u32] = match kind {
        RecordType::Ds => &[65535, 255, 255],
        RecordType::Sshfp => &[255, 255],
        _ => &[255, 255, 255],
    };
    let (numbers, hex) = words.split_at_checked(limits.len())?;
    let in_range =
        |(number, limit): (&&str, &u32)| number.parse::<u32>().is_ok_and(|n| n <= *limit);
    let hex = hex.concat().to_ascii_lowercase();
    let fits = numbers.iter().zip(limits).all(in_range)
        && (2..=1024).contains(&hex.len())
        && hex.len().is_multiple_of(2)
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| format!("{} {hex}", numbers.join(" ")))
}

fn pointing(before: &str, target: &str, zone: &DomainName) -> Option<Rdata> {
    let lower = target.to_ascii_lowercase();
    let (name, dotted) = match lower.strip_suffix('.') {
        // "." alone: "there is none" (null MX, SRV without service).
        Some("") => {
            return Some(Rdata {
                text: format!("{before}."),
                target: None,
            });
        }
        Some(absolute) => (absolute.to_owned(), false),
        None if lower == "@" => (zone.as_str().to_owned(), false),
        None => (format!("{lower}.{zone}"), lower.contains('.')),
    };
    is_name(&name, true).then(|| Rdata {
        text: format!("{before}{name}."),
        target: Some(Pointer { name, dotted }),
    })
}

/// Text as strings of at most 255 bytes each. A value that begins with a quote is read as zone files write it.
fn txt(value: &str) -> Option<String> {
    const MOST: usize = 4096;
    let strings = if value.starts_with('"') {
        unquoted(value)?
    } else {
        vec![value.as_bytes().to_vec()]
    };
    if strings.iter().map(Vec::len).sum::<usize>() > MOST {
        return None;
    }
    let pieces: Vec<String> = strings
        .iter()
        .flat_map(|string| {
            let empty = string.is_empty().then(|| quoted(b""));
            string.chunks(255).map(quoted).chain(empty)
        })
        .collect();
    Some(pieces.join(" "))
}

fn unquoted(value: &str) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    let mut bytes = value.bytes();
    loop {
        match bytes.next() {
            None => return Some(strings),
            Some(b' ' | b'\t') => {}
            Some(b'"') => {
                let mut string = Vec::new();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'\\' => string.push(escaped(&mut bytes)?),
                        byte => string.push(byte),
                    }
                }
                strings.push(string);
            }
            Some(_) => return None,
        }
    }
}

/// What follows a backslash: three decimal digits, or the character itself.
fn escaped(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, bytes.next()?, bytes.next()?];
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\{other:03}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: RecordType, value: &str) -> Option<String> {
        let zone = "example.org".parse().unwrap();
        rdata(kind, value, &zone).ok().map(|rdata| rdata.text)
    }

    #[test]
    fn texts_become_quoted_strings_of_at_most_255_bytes() {
        assert_eq!(
            text(RecordType::Txt, "v=spf1 -all").unwrap(),
            "\"v=spf1 -all\""
        );
        assert_eq!(
            text(RecordType::Txt, "\"a b\" \"c\\\"\"").unwrap(),
            "\"a b\" \"c\\\"\""
        );
        assert_eq!(
            text(RecordType::Txt, "x\n1 IN A 192.0.2.1\"").unwrap(),
            "\"x\\0101 IN A 192.0.2.1\\\"\""
        );
        let long = text(RecordType::Txt, &"k".repeat(300)).unwrap();
        assert_eq!(
            long,
            format!("\"{}\" \"{}\"", "k".repeat(255), "k".repeat(45))
        );
        assert_eq!(text(RecordType::Txt, "\"open"), None);
        assert_eq!(text(RecordType::Txt, &"k".repeat(5000)), None);
    }

    #[test]
    fn values_are_written_with_absolute_names() {
        let written = |kind, value| text(kind, value).unwrap();
        assert_eq!(written(RecordType::Cname, "web"), "web.example.org.");
        assert_eq!(written(RecordType::Cname, "@"), "example.org.");
        assert_eq!(
            written(RecordType::Mx, "10  Mail.Example.NET."),
            "10 mail.example.net."
        );
        assert_eq!(written(RecordType::Mx, "0 ."), "0 .");
        assert_eq!(
            written(RecordType::Srv, "0 5 443 web"),
            "0 5 443 web.example.org."
        );
        assert_eq!(written(RecordType::Aaaa, "2001:DB8::0:1"), "2001:db8::1");
        assert_eq!(
            written(RecordType::Caa, "0 issue \"ca.example; x=1\""),
            "0 issue \"ca.example; x=1\""
        );
        assert_eq!(written(RecordType::Sshfp, "4 2 ABCD ef01"), "4 2 abcdef01");
    }

    #[test]
    fn values_that_could_break_out_of_their_line_are_refused() {
        for (kind, value) in [
            (RecordType::A, "192.0.2.1\n@ A 192.0.2.2"),
            (RecordType::Cname, "a;b"),
            (RecordType::Cname, "a (b)"),
            (RecordType::Mx, "10 a$b"),
            (RecordType::Srv, "0 0 70000 web"),
            (RecordType::Tlsa, "3 1 1 xyz"),
            (RecordType::Ds, "1 8"),
            (RecordType::Caa, "0 issue"),
        ] {
            assert_eq!(text(kind, value), None, "{kind} {value:?}");
        }
    }
}
