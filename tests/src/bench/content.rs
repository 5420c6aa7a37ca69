//! What every tool must bring to a node: 20 files of 60 lines and an `haproxy.cfg` with 20 sites. One function
//! writes each text, once with values (what a node must hold) and once with expressions (the template), so
//! that no tool can be given an easier task. Jinja and Tera read these templates alike.

use std::fmt::Write as _;

pub(super) const FILES: usize = 20;
const LINES: usize = 60;
pub(super) const SITES: usize = 20;
pub(super) const CONFIG: &str = "haproxy.cfg";

/// The values, or the expressions that stand for them.
pub(super) struct Words<'a> {
    pub(super) node: &'a str,
    pub(super) version: &'a str,
    pub(super) port: &'a str,
    /// Write a loop over `sites` instead of its outcome.
    pub(super) as_template: bool,
}

pub(super) struct Site {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: String,
}

/// What the sites of every tool are.
pub(super) fn sites() -> Vec<Site> {
    (0..SITES)
        .map(|index| Site {
            name: format!("site-{index:02}"),
            host: format!("site-{index:02}.example.org"),
            port: (9000 + index).to_string(),
        })
        .collect()
}

/// File's name → text, `haproxy.cfg` last.
pub(super) fn files(words: &Words<'_>) -> Vec<(String, String)> {
    let services =
        (0..FILES).map(|index| (format!("service-{index:02}.conf"), service(index, words)));
    services
        .chain([(CONFIG.to_owned(), haproxy(words))])
        .collect()
}

fn service(index: usize, words: &Words<'_>) -> String {
    let (node, version) = (words.node, words.version);
    let mut text = format!("# Service {index:02} of {node}, version {version}\n");
    for line in 1..LINES {
        // Every tenth line holds a value, as configuration files do.
        _ = match line % 10 {
            0 => writeln!(text, "label_{line:02} = \"{node}/{index:02}/{version}\""),
            _ => writeln!(text, "option_{line:02} = {}", (index * 61 + line * 7) % 97),
        };
    }
    text
}

fn haproxy(words: &Words<'_>) -> String {
    let (node, version, port) = (words.node, words.version, words.port);
    let mut text = format!(
        "# HAProxy of {node}, version {version}\n\
         global\n    maxconn 1000\n    hard-stop-after 5s\n\
         defaults\n    mode http\n    timeout connect 2s\n    timeout client 30s\n    timeout server 30s\n\
         frontend edge\n    bind :{port}\n    \
         http-request return status 200 content-type text/plain string \"{version}\" if {{ path /version/{version} }}"
    );
    each_site(words, &mut text, |site| {
        format!(
            "    use_backend {} if {{ hdr(host) -i {} }}",
            site.name, site.host
        )
    });
    each_site(words, &mut text, |site| {
        format!(
            "backend {}\n    balance leastconn\n    server local 127.0.0.1:{} maxconn 100",
            site.name, site.port
        )
    });
    text.push('\n');
    text
}

/// Adds the lines of every site, each after a line's end.
fn each_site(words: &Words<'_>, text: &mut String, lines: impl Fn(&Site) -> String) {
    if words.as_template {
        let site = Site {
            name: "{{ site.name }}".to_owned(),
            host: "{{ site.hosts[0] }}".to_owned(),
            port: "{{ site.port }}".to_owned(),
        };
        _ = write!(
            text,
            "\n{{%- for site in sites %}}\n{}\n{{%- endfor %}}",
            lines(&site)
        );
        return;
    }
    for site in sites() {
        _ = write!(text, "\n{}", lines(&site));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_changes_every_file() {
        let of = |version| {
            files(&Words {
                node: "vps1",
                version,
                port: "8100",
                as_template: false,
            })
        };
        let (one, two) = (of("one"), of("two"));
        assert_eq!(one.len(), FILES + 1);
        assert!(one.iter().zip(&two).all(|(a, b)| a.1 != b.1));
        assert!(one[0].1.lines().count() == LINES);
    }
}
