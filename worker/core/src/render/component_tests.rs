//! Runs the tests that owners keep beside their components. Only the component under test is rendered, so that
//! a test says something about it alone; materials are always stand-ins.

use std::sync::Arc;

use rayon::prelude::*;
use serde_json::Value;

use super::{Cache, Inputs, render};
use crate::codes::components as codes;
use crate::component::case::{Expectation, TestCase};
use crate::component::{self, Components};
use crate::finding::{Finding, Findings, Location, Severity};
use crate::materials::{Materials, SecretText};
use crate::model;
use crate::release::Release;
use crate::snapshot::{Entry, Snapshot};
use crate::yaml::{self, At, nearest};

/// The cluster that tests with definitions of their own are laid over.
pub const BASE: [(&str, &str); 4] = [
    (
        "cluster.yaml",
        "name: test
domain: example.org
networks: { public: 10.0.0.0/24 }
order: [vps1, vps2, homelab]
edge: { role: edge, network: public }
",
    ),
    (
        "nodes/vps1.yaml",
        "roles: [edge, dns-secondary]
addresses: { public: 10.0.0.1 }
ssh:
  network: public
  host_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f]
",
    ),
    (
        "nodes/vps2.yaml",
        "roles: [edge, dns-secondary]
addresses: { public: 10.0.0.2 }
ssh:
  network: public
  host_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f]
",
    ),
    (
        "nodes/homelab.yaml",
        "roles: [dns-primary]
addresses: { public: 10.0.0.3 }
ssh:
  network: public
  host_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f]
",
    ),
];

/// Every test of every component; findings for what is not as a test expects.
pub fn run(snapshot: &Snapshot) -> Findings {
    let (components, found) = component::load(snapshot);
    if found.has_errors() {
        // The components' own findings are told by whoever loads them for real.
        return Findings::default();
    }
    run_loaded(snapshot, &components)
}

/// As `run`, of components that were loaded without an error.
pub fn run_loaded(snapshot: &Snapshot, components: &Components) -> Findings {
    let files: Vec<(&String, &Arc<[u8]>)> = snapshot.entries.iter().filter_map(test_file).collect();
    let results: Vec<Findings> = files
        .into_par_iter()
        .map(|(file, bytes)| one(snapshot, components, file, bytes))
        .collect();
    results.into_iter().flatten().collect::<Findings>().sorted()
}

fn test_file<'a>((path, entry): (&'a String, &'a Entry)) -> Option<(&'a String, &'a Arc<[u8]>)> {
    let (_, name) = path.strip_prefix("components/")?.split_once('/')?;
    let Entry::File(bytes) = entry else {
        return None;
    };
    (name.starts_with("tests/") && name.ends_with(".yaml")).then_some((path, bytes))
}

fn one(snapshot: &Snapshot, components: &Components, file: &str, bytes: &[u8]) -> Findings {
    let case: TestCase = match yaml::parse(file, bytes) {
        Ok(case) => case,
        Err(findings) => return findings,
    };
    let name = file.split('/').nth(1).unwrap_or_default();
    let components = components.only(name);
    let test = Test { file, case: &case };
    let rendered = match test.rendered(snapshot, &components) {
        Ok(release) => release,
        Err(findings) => return findings,
    };
    let found = case
        .expect
        .iter()
        .flat_map(|expected| test.judge(expected, &rendered));
    let of = components.iter().next().map(component::Folder::name);
    let named = |finding: Finding| match of {
        Some(name) => finding.of(name),
        None => finding,
    };
    found.map(named).collect()
}

struct Test<'a> {
    file: &'a str,
    case: &'a TestCase,
}

impl Test<'_> {
    fn rendered(&self, own: &Snapshot, components: &Components) -> Result<Release, Findings> {
        let snapshot = self.snapshot(own);
        let loaded = model::load(&snapshot);
        let Some(model) = loaded.model else {
            return Err(self.cannot(&loaded.findings));
        };
        let materials = Materials::none(SecretText::new(STAND_IN_CERTIFICATE));
        let inputs = Inputs {
            snapshot: &snapshot,
            model: &model,
            components,
            materials: &materials,
        };
        let rendered = render(inputs, &mut Cache::default());
        let Some(mut bundle) = rendered.bundle else {
            return Err(self.cannot(&rendered.findings));
        };
        let node = &self.case.given.node;
        bundle.releases.remove(&node.value).ok_or_else(|| {
            let message = format!("there is no node `{node}` in this test");
            let known = model.nodes.keys().map(|name| name.as_str());
            let known: Vec<&str> = known.collect();
            Findings::from_iter([Finding::error(codes::COMPONENT_TEST_BROKEN, message)
                .at(node.location(self.file))
                .hint(format!("there are: {}", known.join(", ")))])
        })
    }

    fn snapshot(&self, own: &Snapshot) -> Snapshot {
        let Some(given) = &self.case.given.definitions else {
            return own.clone();
        };
        let mut snapshot = Snapshot::of_texts("test", BASE);
        for (path, definition) in given {
            let text = match definition {
                Value::Null => {
                    snapshot.entries.remove(path);
                    continue;
                }
                Value::String(text) => text.clone(),
                // JSON is YAML.
                other => other.to_string(),
            };
            let entry = Entry::File(Arc::from(text.into_bytes()));
            snapshot.entries.insert(path.clone(), entry);
        }
        snapshot
    }

    /// The test's definitions do not render: each reason, at the test.
    fn cannot(&self, findings: &Findings) -> Findings {
        let errors = findings
            .iter()
            .filter(|found| found.severity == Severity::Error);
        let finding = |error: &Finding| {
            let message = format!("{:?} cannot be run: {}", self.case.name, error.message);
            let finding = Finding::error(codes::COMPONENT_TEST_BROKEN, message).at(self
                .case
                .given
                .node
                .location(self.file));
            let finding = match &error.at {
                Some(place) => finding.related(place.clone(), "here, as the test gives it"),
                None => finding,
            };
            match &error.hint {
                Some(hint) => finding.hint(hint),
                None => finding,
            }
        };
        errors.map(finding).collect()
    }

    fn judge(&self, expected: &Expectation, release: &Release) -> Vec<Finding> {
        let path = &expected.file;
        let content = release
            .contents
            .iter()
            .find(|(own, _)| own.as_str() == path.as_str());
        let Some((_, content)) = content else {
            return self.not_there(expected, release).into_iter().collect();
        };
        if expected.absent {
            return vec![self.failed(path, format!("{path} is there"))];
        }
        let text = String::from_utf8_lossy(content);
        let missing = expected
            .contains
            .iter()
            .filter(|wanted| !text.contains(wanted.trim_end()));
        let missing = missing.map(|wanted| {
            let finding = self.failed(wanted, format!("{path} does not hold {}", shown(wanted)));
            match closest(wanted, &text) {
                Some((line, like)) => finding.quoting(path.as_str(), line, like),
                None => finding.hint("the file is empty"),
            }
        });
        let unwanted = expected.not_contains.iter().filter_map(|text_| {
            let start = text.find(text_.trim_end())?;
            let line = text[..start].matches('\n').count();
            let finding = self.failed(text_, format!("{path} holds {}", shown(text_)));
            let quoted = text.lines().nth(line).unwrap_or_default();
            Some(finding.quoting(path.as_str(), small(line + 1), quoted))
        });
        missing.chain(unwanted).collect()
    }

    fn not_there(&self, expected: &Expectation, release: &Release) -> Option<Finding> {
        if expected.absent {
            return None;
        }
        let path = &expected.file;
        let node = &self.case.given.node;
        let finding = self.failed(path, format!("{path} is not rendered on {node}"));
        let known = release.contents.keys().map(|path| path.as_str());
        Some(match nearest(path, known.clone()) {
            Some(near) => finding.hint(format!("did you mean {near}?")),
            None => finding.hint(format!(
                "there are: {}",
                known.collect::<Vec<_>>().join(", ")
            )),
        })
    }

    fn failed<T>(&self, at: &At<T>, what: String) -> Finding {
        let message = format!("{:?} failed: {what}", self.case.name);
        Finding::error(codes::COMPONENT_TEST_FAILED, message)
            .at(Location::new(self.file, at.line, at.column))
    }
}

const STAND_IN_CERTIFICATE: &str =
    "-----BEGIN CERTIFICATE-----\nstand-in for tests\n-----END CERTIFICATE-----\n";

fn shown(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let more = if text.trim_end().contains('\n') {
        " …"
    } else {
        ""
    };
    format!("`{}`{more}", line.unwrap_or_default())
}

/// The rendered line that is most like the first one that is missing.
fn closest<'t>(wanted: &str, text: &'t str) -> Option<(u32, &'t str)> {
    let lines = wanted.lines().filter(|line| !line.trim().is_empty());
    let missing = lines.clone().find(|line| !text.contains(line.trim()));
    let wanted = missing
        .or_else(|| lines.clone().next())
        .unwrap_or_default()
        .trim();
    let mut best: Option<(f64, u32, &str)> = None;
    for (index, line) in text.lines().enumerate().take(20_000) {
        let likeness = strsim::normalized_levenshtein(wanted, line.trim());
        if best.is_none_or(|(found, ..)| likeness > found) {
            best = Some((likeness, small(index + 1), line));
        }
    }
    best.map(|(_, line, text)| (line, text))
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Components {
    /// This component alone; the others' names stay known.
    fn only(&self, name: &str) -> Self {
        let mut one = self.clone();
        one.ordered.retain(|folder| folder.name().as_str() == name);
        one
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::model::example::put;

    const CASE: &str = r#"name: a site becomes a backend
given:
  node: vps2
  definitions:
    sites/wiki.yaml:
      hosts: [wiki.example.net]
      on: { nodes: [vps1] }
      port: 9000
    zones/example.net.yaml: |
      contact: hostmaster@example.net
      primary: { role: dns-primary }
      secondaries: { role: dns-secondary }
      nameservers: [vps1.example.net]
    certificates/wildcard.yaml: { names: ["*.example.net"] }
expect:
  - file: /etc/edge/edge.cfg
    contains:
      - |
        backend wiki
        server vps1 10.0.0.1:9000 backup
    not_contains: [backend blog]
  - file: /etc/edge/certs/wildcard.pem
    absent: true
"#;

    fn told(from: &str, to: &str) -> Vec<String> {
        assert!(CASE.contains(from));
        let mut snapshot = example::snapshot();
        put(
            &mut snapshot,
            "components/edge/tests/site.yaml",
            &CASE.replacen(from, to, 1),
        );
        let findings = run(&snapshot);
        let quoted = findings.iter().map(|found| match &found.excerpt {
            Some(excerpt) => format!(" > {}: {}", excerpt.line, excerpt.text),
            None => String::new(),
        });
        let quoted: Vec<String> = quoted.collect();
        example::errors(&findings)
            .into_iter()
            .zip(quoted)
            .map(|(error, quoted)| error + &quoted)
            .collect()
    }

    #[test]
    fn a_test_that_holds_says_nothing() {
        assert_eq!(told("9000", "9000"), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_is_told_with_the_line_most_like_it() {
        let told = told("10.0.0.1:9000 backup", "10.0.0.2:9000");
        assert_eq!(
            told,
            [
                "WL215 components/edge/tests/site.yaml:19:9 \"a site becomes a backend\" failed: \
              /etc/edge/edge.cfg does not hold `backend wiki` … |  > 4: server vps1 10.0.0.1:9000 backup"
            ]
        );
    }

    #[test]
    fn what_should_not_be_there_is_quoted() {
        let told = told("[backend blog]", "[backend wiki]");
        assert!(
            told[0].starts_with("WL215 components/edge/tests/site.yaml:21:20"),
            "{told:?}"
        );
        assert!(
            told[0].ends_with("holds `backend wiki` |  > 3: backend wiki"),
            "{told:?}"
        );
    }

    #[test]
    fn files_are_there_or_not() {
        assert!(told("/etc/edge/edge.cfg", "/etc/edge/egde.cfg")[0].contains("did you mean"));
        let told = told("/etc/edge/certs/wildcard.pem", "/etc/edge/password");
        assert!(told[0].contains("/etc/edge/password is there"), "{told:?}");
    }

    #[test]
    fn a_test_that_cannot_be_run_says_why() {
        for (from, to) in [
            ("node: vps2", "node: vps9"),
            ("port: 9000", "port: 0"),
            ("      contact: hostmaster@example.net\n", ""),
        ] {
            let told = told(from, to);
            assert!(
                told[0].starts_with("WL216 components/edge/tests/site.yaml:3"),
                "{told:?}"
            );
        }
        assert!(told("expect:", "expct:")[0].starts_with("WL1"));
    }
}
