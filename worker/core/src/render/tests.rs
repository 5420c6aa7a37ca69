use std::fmt::Write as _;

use super::example::{
    FILE, TEMPLATE_FILE, edited, errors, materials, rendered, rendered_with, snapshot,
};
use super::{Cache, Rendered};
use crate::materials::{Materials, SecretText};
use crate::model::example::put;
use crate::release::Bundle;
use crate::snapshot::Snapshot;

fn bundle(snapshot: &Snapshot) -> Bundle {
    let Rendered { bundle, findings } = rendered(snapshot, &mut Cache::default());
    bundle.unwrap_or_else(|| panic!("{:#?}", errors(&findings)))
}

fn broken(snapshot: &Snapshot) -> Vec<String> {
    errors(&rendered(snapshot, &mut Cache::default()).findings)
}

fn file<'a>(bundle: &'a Bundle, node: &str, path: &str) -> &'a str {
    let content = &bundle.releases[node].contents[&path.parse().unwrap()];
    std::str::from_utf8(content).unwrap()
}

#[test]
fn a_release_is_complete() {
    let bundle = bundle(&snapshot());
    let release = &bundle.releases["vps1"];
    let mut text = String::new();
    for (path, meta) in &release.meta.files {
        writeln!(
            text,
            "=== {path} {} {} {:?}",
            meta.mode, meta.owner, meta.inputs
        )
        .unwrap();
        if !meta.secret {
            text.push_str(file(&bundle, "vps1", path.as_str()));
        }
    }
    let components = serde_json::to_string_pretty(&release.meta.components).unwrap();
    let gates: Vec<String> = release
        .meta
        .gates
        .iter()
        .map(|gate| serde_json::to_string(gate).unwrap())
        .collect();
    insta::assert_snapshot!(format!("{text}\n{components}\n{}", gates.join("\n")));
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let many = rayon::ThreadPoolBuilder::new()
        .num_threads(7)
        .build()
        .unwrap();
    let first = one.install(|| bundle(&snapshot()));
    let second = many.install(|| bundle(&snapshot()));
    assert_eq!(first, second);
}

#[test]
fn a_changed_zone_renders_nothing_but_itself() {
    let mut cache = Cache::default();
    let cold = rendered(&snapshot(), &mut cache);
    assert!(cache.rendered > 10, "{}", cache.rendered);
    rendered(&snapshot(), &mut cache);
    assert_eq!(cache.rendered, 0);
    let changed = edited("zones/example.org.yaml", "10.80.0.20", "10.80.0.21");
    let warm = rendered(&changed, &mut cache);
    // The one zone, on each of the two nodes that have the component.
    assert_eq!(cache.rendered, 2);
    let fresh = rendered(&changed, &mut Cache::default());
    assert_eq!(warm.bundle, fresh.bundle);
    assert_ne!(warm.bundle.unwrap().digest, cold.bundle.unwrap().digest);
}

#[test]
fn the_cache_keeps_only_what_the_last_render_used() {
    let mut cache = Cache::default();
    rendered(&snapshot(), &mut cache);
    let before = cache.files.len();
    let changed = edited("sites/blog.yaml", "8081", "8089");
    rendered(&changed, &mut cache);
    assert_eq!(cache.files.len(), before);
}

#[test]
fn a_name_that_does_not_exist_is_told_even_inside_an_if() {
    let changed = edited(TEMPLATE_FILE, "{% if site.here %}", "{% if nod.name %}");
    assert_eq!(
        broken(&changed),
        [
            "WL203 components/edge/edge.cfg.tera:1:1 there is no value `nod` for templates | did you mean `node`?"
        ]
    );
}

#[test]
fn an_error_has_the_templates_line_and_column_and_what_there_is() {
    let changed = edited(TEMPLATE_FILE, "{{ server.address }}", "{{ server.addres }}");
    let told = broken(&changed);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].starts_with("WL201 components/edge/edge.cfg.tera:6:"),
        "{told:#?}"
    );
    assert!(told[0].contains("Available fields: address, local, node, port"));
}

#[test]
fn an_error_in_component_yaml_is_placed_there() {
    let changed = edited(FILE, "echo {{ vars.maxconn }}", "echo {{ vars.maxcon }}");
    let told = broken(&changed);
    let text = String::from_utf8(changed.file(FILE).unwrap().to_vec()).unwrap();
    let line = 1 + text
        .lines()
        .position(|line| line.contains("maxcon "))
        .unwrap();
    assert!(
        told[0].starts_with(&format!("WL201 {FILE}:{line}:")),
        "{told:#?}"
    );
    let changed = edited(
        FILE,
        "certificate.sites | length > 0",
        "certificate.site | length > 0",
    );
    assert!(
        broken(&changed)[0].starts_with("WL201"),
        "{:?}",
        broken(&changed)
    );
}

#[test]
fn every_broken_template_is_told_at_once() {
    let mut changed = edited(
        TEMPLATE_FILE,
        "{% for site in sites -%}",
        "{% for site sites -%}",
    );
    put(
        &mut changed,
        "components/edge/other.tera",
        "{{ node.name | nothing }}",
    );
    put(&mut changed, "components/edge/third.tera", "\n{% if %}");
    let told = broken(&changed);
    assert!(told.len() >= 2, "{told:#?}");
    assert!(
        told.iter().any(|t| t.contains("edge.cfg.tera:3:")),
        "{told:#?}"
    );
    assert!(
        told.iter().any(|t| t.contains("third.tera:2:")),
        "{told:#?}"
    );
}

#[test]
fn templates_see_nothing_of_the_workers_world() {
    for call in [
        "get_env(name=\"PATH\")",
        "now()",
        "get_random(start=0, end=9)",
    ] {
        let changed = edited(
            TEMPLATE_FILE,
            "{{ vars.maxconn }}",
            &format!("{{{{ {call} }}}}"),
        );
        assert!(broken(&changed)[0].starts_with("WL202"), "{call}");
    }
    let changed = edited(TEMPLATE_FILE, "forwards.part.tera", "../../cluster.yaml");
    assert!(broken(&changed)[0].starts_with("WL202"));
}

#[test]
fn a_template_that_writes_without_end_is_ended() {
    let endless = "{% for a in range(end=90000) %}{% for b in range(end=90000) %}{{ node.name }} is here{% endfor %}{% endfor %}";
    let changed = edited(TEMPLATE_FILE, "maxconn {{ vars.maxconn }}", endless);
    assert!(broken(&changed)[0].starts_with("WL213"));
}

#[test]
fn macros_that_could_call_themselves_are_refused() {
    let endless = "{% component again() %}{{<again />}}{% endcomponent again %}{{<again />}}";
    let changed = edited(TEMPLATE_FILE, "maxconn", endless);
    assert!(broken(&changed)[0].starts_with("WL202"));
}

#[test]
fn secrets_stay_where_nobody_sees_them() {
    let leaks = [
        (
            "    content: \"{{ certificate.pem }}\"\n    secret: true",
            "    content: \"{{ certificate.pem }}\"",
        ),
        (
            "stats_password }}\"\n    secret: true",
            "stats_password }}\"",
        ),
        (
            "echo {{ vars.maxconn }}",
            "echo {{ secrets.stats_password }}",
        ),
        (
            "    content: \"{{ secrets",
            "    mode: \"0644\"\n    content: \"{{ secrets",
        ),
    ];
    for (from, to) in leaks {
        let told = broken(&edited(FILE, from, to));
        assert!(told[0].starts_with("WL210"), "{told:#?}");
    }
    let changed = edited(
        FILE,
        "{{ secrets.stats_password }}",
        "{{ throw(message=secrets.stats_password) }}",
    );
    let told = format!("{:?}", rendered(&changed, &mut Cache::default()).findings);
    assert!(
        told.contains("WL201") && !told.contains("hunter2"),
        "{told}"
    );
}

#[test]
fn missing_materials_are_stood_in_for_and_said() {
    let none = Materials::none(SecretText::new("STAND-IN PRIVATE KEY-----"));
    let Rendered { bundle, findings } = rendered_with(&snapshot(), &none, &mut Cache::default());
    let bundle = bundle.unwrap();
    let told: Vec<&str> = bundle
        .incomplete
        .iter()
        .map(|f| f.message.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "the worker was not given the certificate `wildcard`",
            "the worker was not given the secret `stats_password`"
        ]
    );
    assert!(!findings.has_errors());
    assert!(file(&bundle, "vps1", "/etc/edge/certs/wildcard.pem").starts_with("STAND-IN"));
    let complete = rendered_with(&snapshot(), &materials(), &mut Cache::default());
    assert!(complete.bundle.unwrap().incomplete.is_empty());
}

#[test]
fn paths_that_are_not_ours_or_not_clean_are_refused() {
    for (path, code) in [
        ("/etc/passwd", "WL209"),
        ("/proc/sys/x", "WL209"),
        ("/var/lib/windlass/x", "WL209"),
        ("/etc/../x", "WL205"),
        ("etc/x", "WL205"),
        ("/etc/edge/verbatim", "WL208"),
        ("/etc/edge/edge.cfg/x", "WL208"),
    ] {
        let told = broken(&edited(FILE, "/etc/edge/password", path));
        assert!(told[0].starts_with(code), "{path}: {told:#?}");
    }
}

#[test]
fn variables_are_overridden_but_never_misspelt() {
    let mut changed = snapshot();
    let text = String::from_utf8(changed.file("cluster.yaml").unwrap().to_vec()).unwrap();
    let with = |vars: &str| format!("{text}components: {{ edge: {{ vars: {{ {vars} }} }} }}\n");
    put(&mut changed, "cluster.yaml", &with("maxconn: 7"));
    assert!(file(&bundle(&changed), "vps1", "/etc/edge/edge.cfg").contains("maxconn 7\n"));
    put(&mut changed, "cluster.yaml", &with("maxcon: 7"));
    let told = broken(&changed);
    assert!(
        told[0].starts_with("WL212") && told[0].contains("`maxconn`"),
        "{told:#?}"
    );
}

#[test]
fn a_serial_is_marked_where_it_is_used() {
    let told = broken(&edited(FILE, "    serial: true\n", ""));
    assert!(told[0].contains("soa_serial"), "{told:#?}");
    let told = broken(&edited(FILE, "{{ soa_serial() }}", "1"));
    assert!(told[0].contains("serial: true"), "{told:#?}");
}

#[test]
fn a_shell_keeps_its_own_braces() {
    let command = |run: &str| {
        let changed = edited(FILE, "echo {{ vars.maxconn }}", run);
        let release = bundle(&changed).releases["vps1"].clone();
        release.meta.components[0].apply[1].command.run.clone()
    };
    assert_eq!(
        command("echo ${#HOME} ${HOME%/*}"),
        "echo ${#HOME} ${HOME%/*}"
    );
    assert_eq!(
        command("echo {% raw %}${#HOME}{% endraw %} {{ vars.maxconn }}"),
        "echo ${#HOME} 100"
    );
}

#[test]
fn gates_name_what_exists() {
    for (from, to) in [
        ("certificate: wildcard", "certificate: wildcrd"),
        ("site: every", "site: nothing"),
        ("zone: every", "zone: example.net"),
        (
            "closed: { tcp: 3306 }",
            "closed: { tcp: 3306, on: public6 }",
        ),
    ] {
        let told = broken(&edited(FILE, from, to));
        assert!(told[0].starts_with("WL214"), "{told:#?}");
    }
}
