//! A small component for tests, on the model's small repository.

use super::{Cache, Inputs, Rendered, render};
use crate::component;
use crate::finding::Findings;
use crate::materials::{Materials, SecretText};
use crate::model::{self, example};
use crate::snapshot::Snapshot;

const COMPONENT: &str = r#"
name: edge
description: A small edge.
on: { role: edge }
vars: { maxconn: 100, users: { alice: 1000 } }
packages: [haproxy]
units: [haproxy]
secrets: [stats_password]
files:
  - path: /etc/edge/edge.cfg
    template: edge.cfg.tera
    mode: "0640"
    owner: root:haproxy
  - path: /etc/edge/zones/{{ zone.name }}.zone
    each: zone in zones
    content: |
      {{ zone.name }}. SOA {{ soa_serial() }}
      {% for record in zone.records %}{{ record.name }} {{ record.type }} {{ record.values | join(sep=" ") }}
      {% endfor %}
    serial: true
  - path: /etc/edge/certs/{{ certificate.name }}.pem
    each: certificate in certificates
    when: certificate.sites | length > 0
    content: "{{ certificate.pem }}"
    secret: true
  - path: /etc/edge/users/{{ user.key }}
    each: user in vars.users
    content: "{{ user.value }}"
  - path: /etc/edge/password
    content: "{{ secrets.stats_password }}"
    secret: true
  - path: /etc/edge/verbatim
    source: verbatim.txt
checks:
  - run: sh trial.sh {{ node.name }}
    fail_on: ERROR
    finding: '(?<file>/[^:]+):(?<line>\d+): (?<message>.+)'
apply:
  - when: /etc/edge/*.cfg
    reload: haproxy
    verify: test -e /run/haproxy.pid
  - run: echo {{ vars.maxconn }}
remove:
  - stop: haproxy
gates:
  - http: { site: every }
    hold: 3s
  - tls: { certificate: wildcard }
  - closed: { tcp: 3306 }
  - dns: { zone: every, expect: serial }
    scope: cluster
  - command: test {{ node.name }} = vps1
    when: node.name == "vps1"
"#;

const TEMPLATE: &str = r#"# {{ node.name }} of {{ cluster.name }}
maxconn {{ vars.maxconn }}
{% for site in sites -%}
backend {{ site.name }}{% if site.here %} here{% endif %}
{% for server in site.servers -%}
  server {{ server.node }} {{ server.address }}:{{ server.port }}{% if not server.local %} backup{% endif %}
{% endfor -%}
{% endfor -%}
{% include "forwards.part.tera" %}
"#;

const PART: &str = "{% for forward in forwards %}{{ forward.listen }} to {{ forward.target_address }}:{{ forward.target_port }}{% endfor %}";

pub(super) const FILE: &str = "components/edge/component.yaml";
pub(super) const TEMPLATE_FILE: &str = "components/edge/edge.cfg.tera";

pub(super) fn snapshot() -> Snapshot {
    let mut snapshot = example::snapshot();
    for (path, text) in [
        (FILE, COMPONENT),
        (TEMPLATE_FILE, TEMPLATE),
        ("components/edge/forwards.part.tera", PART),
        ("components/edge/verbatim.txt", "{{ as it is }}\n"),
        ("components/edge/trial.sh", "exit 0\n"),
    ] {
        example::put(&mut snapshot, path, text);
    }
    snapshot
}

pub(super) fn edited(path: &str, from: &str, to: &str) -> Snapshot {
    let mut snapshot = snapshot();
    let text = String::from_utf8(snapshot.file(path).unwrap().to_vec()).unwrap();
    assert!(text.contains(from), "{path} does not hold {from:?}");
    example::put(&mut snapshot, path, &text.replacen(from, to, 1));
    snapshot
}

pub(super) fn materials() -> Materials {
    let mut materials = Materials::none(SecretText::new("STAND-IN PRIVATE KEY-----"));
    let pem = SecretText::new("-----BEGIN PRIVATE KEY-----\nreal-key\n");
    materials.certificates.insert("wildcard".to_owned(), pem);
    let secret = SecretText::new("hunter2hunter2");
    materials
        .secrets
        .insert("stats_password".to_owned(), secret);
    materials
}

/// Loads and renders; the findings of every stage together.
pub(super) fn rendered(snapshot: &Snapshot, cache: &mut Cache) -> Rendered {
    rendered_with(snapshot, &materials(), cache)
}

pub(super) fn rendered_with(
    snapshot: &Snapshot,
    materials: &Materials,
    cache: &mut Cache,
) -> Rendered {
    let loaded = model::load(snapshot);
    let (components, mut findings) = component::load(snapshot);
    findings.extend(loaded.findings.clone());
    let Some(model) = loaded.model.filter(|_| !findings.has_errors()) else {
        return Rendered {
            bundle: None,
            findings,
        };
    };
    let inputs = Inputs {
        snapshot,
        model: &model,
        components: &components,
        materials,
    };
    render(inputs, cache)
}

/// `code file:line message` of every error.
pub(super) fn errors(findings: &Findings) -> Vec<String> {
    let errors = findings
        .iter()
        .filter(|f| f.severity == crate::finding::Severity::Error);
    errors
        .map(|finding| {
            let at = finding.at.as_ref().map_or_else(String::new, |at| {
                format!("{}:{}:{}", at.file, at.line, at.column)
            });
            let hint = finding.hint.as_deref().unwrap_or_default();
            format!("{} {at} {} | {hint}", finding.code, finding.message)
        })
        .collect()
}
