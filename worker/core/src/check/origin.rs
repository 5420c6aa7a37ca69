//! Finds the definition behind a rendered line, so that a person is sent to the file that they wrote and not to
//! one that a template made. The rules are few: a definition is behind a line when its name (the stem of its
//! file) stands in the line, else in the head of the section that the line is in, else in the file's path.
//! Where no name is found the template is named, which is never wrong, only less exact.

use crate::finding::Location;
use crate::ids::NodePath;
use crate::release::FileMeta;

/// How far up a section's head is looked for.
const SECTION_LINES: usize = 400;

/// Where a rendered line comes from, with the template when that is another file.
pub(super) struct Origin {
    pub(super) at: Location,
    pub(super) template: Option<Location>,
}

/// `None` where a file has no inputs at all.
pub(super) fn of(meta: &FileMeta, path: &NodePath, text: &str, line: usize) -> Option<Origin> {
    let template = meta.inputs.first()?;
    let lines: Vec<&str> = text.lines().collect();
    let at_line = line.checked_sub(1).and_then(|index| lines.get(index));
    let places = [
        at_line.copied(),
        section_head(&lines, line),
        Some(path.as_str()),
    ];
    let found = places
        .into_iter()
        .flatten()
        .find_map(|place| named_in(place, &meta.inputs));
    Some(match found {
        Some(definition) => Origin {
            at: Location::file(definition),
            template: Some(Location::file(template)),
        },
        None => Origin {
            at: Location::file(template),
            template: None,
        },
    })
}

/// The nearest line above that begins at the margin, where the line itself is indented: `backend blog` of
/// haproxy, `zone "example.org" {` of named, `Match User x` of sshd.
fn section_head<'a>(lines: &[&'a str], line: usize) -> Option<&'a str> {
    let index = line.checked_sub(1)?;
    lines.get(index)?.strip_prefix([' ', '\t'])?;
    let above = lines[..index].iter().rev().take(SECTION_LINES);
    above
        .copied()
        .find(|text| text.starts_with(|c: char| !c.is_whitespace() && !"#;})/".contains(c)))
}

/// The definition whose name fits best. A node's or certificate's name stands in many lines that a site is to
/// blame for, so those count only where nothing else fits.
fn named_in<'a>(text: &str, inputs: &'a [String]) -> Option<&'a str> {
    let definitions = inputs.iter().skip(1);
    definitions
        .filter_map(|input| {
            let (kind, file) = input.rsplit_once('/')?;
            let stem = file
                .strip_suffix(".yaml")
                .or_else(|| file.strip_suffix(".yml"))?;
            let fit = words(text).filter_map(|word| fit(word, stem)).max()?;
            let specific = !matches!(kind, "nodes" | "certificates");
            Some(((specific, fit, stem.len()), input.as_str()))
        })
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, input)| input)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .filter(|word| !word.is_empty())
}

/// 3: the whole word, 2: its beginning, 1: a part of it between `-`, `_` or `.`.
fn fit(word: &str, stem: &str) -> Option<u8> {
    if word == stem {
        return Some(3);
    }
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
    word.match_indices(stem)
        .filter(|(at, _)| {
            edge(word[..*at].chars().next_back()) && edge(word[at + stem.len()..].chars().next())
        })
        .map(|(at, _)| if at == 0 { 2 } else { 1 })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;

    fn meta(inputs: &[&str]) -> FileMeta {
        FileMeta {
            digest: Digest::of(b""),
            mode: "0644".to_owned(),
            owner: "root:root".to_owned(),
            component: "haproxy".parse().unwrap(),
            secret: false,
            serial: false,
            inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
        }
    }

    fn origin(inputs: &[&str], path: &str, text: &str, line: usize) -> String {
        let found = of(&meta(inputs), &path.parse().unwrap(), text, line).unwrap();
        found.at.file
    }

    const SITES: [&str; 6] = [
        "components/haproxy/haproxy.cfg.tera",
        "cluster.yaml",
        "nodes/vps1.yaml",
        "sites/blog.yaml",
        "sites/shop.yaml",
        "zones/example.org.yaml",
    ];

    #[test]
    fn the_line_itself_names_the_site() {
        let text = "frontend in\n  use_backend site_shop if { hdr(host) shop.example.org }\n";
        assert_eq!(origin(&SITES, "/etc/x", text, 2), "sites/shop.yaml");
    }

    #[test]
    fn a_host_name_leads_to_the_site_and_not_to_the_zone() {
        let text = "blog.example.org be_7\n";
        assert_eq!(origin(&SITES, "/etc/x", text, 1), "sites/blog.yaml");
    }

    #[test]
    fn else_the_section_names_it_even_when_the_line_names_a_node() {
        let text =
            "backend site_blog\n  # shop is elsewhere\n\n  timeout conect 5s\nbackend other\n";
        assert_eq!(origin(&SITES, "/etc/x", text, 4), "sites/blog.yaml");
    }

    #[test]
    fn a_name_inside_a_longer_word_is_no_match() {
        let text = "backend weblogs\n  server blogger 10.0.0.1:80\n";
        assert_eq!(origin(&SITES, "/etc/x", text, 2), SITES[0]);
    }

    #[test]
    fn else_the_path_names_it_else_the_template() {
        let zones = "/etc/bind/zones/example.org";
        assert_eq!(
            origin(&SITES, zones, "@ IN SOAP\n", 1),
            "zones/example.org.yaml"
        );
        assert_eq!(
            origin(&SITES, "/etc/x", "global\n  bogus\n", 2),
            "components/haproxy/haproxy.cfg.tera"
        );
        assert_eq!(origin(&SITES, "/etc/x", "global\n", 99), SITES[0]);
    }
}
