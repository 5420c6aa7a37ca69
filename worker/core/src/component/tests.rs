use super::load;
use crate::finding::Findings;
use crate::snapshot::Snapshot;

fn told(files: &[(&str, &str)]) -> Vec<String> {
    let (_, findings) = load(&Snapshot::of_texts("test", files.iter().copied()));
    lines(&findings)
}

fn lines(findings: &Findings) -> Vec<String> {
    findings
        .iter()
        .map(|finding| {
            let line = finding.at.as_ref().map_or(0, |at| at.line);
            let hint = finding.hint.as_deref().unwrap_or_default();
            format!("{} {line} {} | {hint}", finding.code, finding.message)
        })
        .collect()
}

/// What is said of a component with this in its component.yaml.
fn of(text: &str) -> Vec<String> {
    let text = format!("name: web\non: all\n{text}");
    told(&[
        ("components/web/component.yaml", &text),
        ("components/web/web.conf.tera", ""),
    ])
}

fn order(components: &[(&str, &str)]) -> Result<Vec<String>, Vec<String>> {
    let files: Vec<(String, String)> = components
        .iter()
        .map(|(name, after)| {
            (
                format!("components/{name}/component.yaml"),
                format!("name: {name}\non: all\nafter: [{after}]\n"),
            )
        })
        .collect();
    let files = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    let (components, findings) = load(&Snapshot::of_texts("test", files));
    if findings.has_errors() {
        return Err(lines(&findings));
    }
    Ok(components
        .iter()
        .map(|folder| folder.name().to_string())
        .collect())
}

#[test]
fn components_come_after_those_they_name_and_else_by_name() {
    let given = [("d", "b"), ("c", ""), ("b", "c"), ("a", "")];
    assert_eq!(order(&given).unwrap(), ["a", "c", "b", "d"]);
}

#[test]
fn circles_and_unknown_names_have_no_order() {
    let told = order(&[("a", "b"), ("b", "a"), ("c", "")]).unwrap_err();
    assert_eq!(
        told,
        ["WL207 3 a, b wait for each other | remove one `after` of the circle"]
    );
    let told = order(&[("firewall", ""), ("b", "firewal")]).unwrap_err();
    assert!(told[0].contains("did you mean `firewall`?"), "{told:?}");
}

#[test]
fn a_component_is_called_as_its_folder() {
    let told = told(&[("components/web/component.yaml", "name: wob\non: all\n")]);
    assert!(told[0].starts_with("WL205 1"), "{told:?}");
}

#[test]
fn a_folder_has_a_component_yaml() {
    let told = told(&[("components/web/web.conf", "x")]);
    assert!(told[0].starts_with("WL204"), "{told:?}");
}

#[test]
fn files_have_one_source_that_exists() {
    let told = of("files:\n  - path: /etc/web.conf\n");
    assert!(told[0].starts_with("WL206 4"), "{told:?}");
    let told = of("files:\n  - path: /etc/web.conf\n    content: a\n    template: web.conf.tera\n");
    assert!(told[0].starts_with("WL206 4"), "{told:?}");
    let told = of("files:\n  - path: /etc/web.conf\n    template: wob.conf.tera\n");
    assert!(told[0].starts_with("WL204 5"), "{told:?}");
    assert!(
        told[0].ends_with("did you mean `web.conf.tera`?"),
        "{told:?}"
    );
}

#[test]
fn values_that_would_fail_on_the_node_are_refused_here() {
    let file = "files:\n  - path: /etc/web.conf\n    content: a\n    ";
    for bad in [
        format!("{file}mode: \"644\"\n"),
        format!("{file}mode: \"4755\"\n"),
        format!("{file}owner: root\n"),
        format!("{file}owner: \"root:web; rm\"\n"),
        format!("{file}each: zones\n"),
        "apply:\n  - when: /etc/{a\n    reload: web\n".to_owned(),
        "apply:\n  - when: etc/web\n    reload: web\n".to_owned(),
        "apply:\n  - reload: web; reboot\n".to_owned(),
        "drain:\n  - when: /etc/**\n    stop: web\n".to_owned(),
        "packages: [\"web; reboot\"]\n".to_owned(),
        "units: [\"-f\"]\n".to_owned(),
        "secrets: [\"a b\"]\n".to_owned(),
        "checks:\n  - run: web -t\n    fail_on: \"(\"\n".to_owned(),
        "checks:\n  - run: web -t\n    finding: \"(?<line>[0-9]+)\"\n".to_owned(),
    ] {
        let told = of(&bad);
        assert_eq!(told.len(), 1, "{bad}: {told:?}");
        assert!(told[0].starts_with("WL205"), "{bad}: {told:?}");
    }
}

#[test]
fn an_action_that_is_enough_alone_says_for_which_files() {
    for bad in [
        "apply:\n  - reload: web\n    alone: true\n",
        "drain:\n  - run: echo\n    alone: true\n",
    ] {
        let told = of(bad);
        assert!(told[0].starts_with("WL205"), "{bad}: {told:?}");
        assert!(told[0].contains("`alone`"), "{bad}: {told:?}");
    }
    let good = of("apply:\n  - when: /etc/web/*.pem\n    alone: true\n    reload: web\n");
    assert!(good.is_empty(), "{good:?}");
}

#[test]
fn actions_and_gates_choose_one_thing() {
    for bad in [
        "apply:\n  - reload: web\n    restart: web\n",
        "apply:\n  - verify: \"true\"\n",
        "gates:\n  - hold: 3s\n",
        "gates:\n  - http: { site: every, url: http://a.example/ }\n",
        "gates:\n  - dns: { zone: every }\n",
        "gates:\n  - dns: { zone: every, name: a.example, type: A, answer: [10.0.0.1] }\n",
    ] {
        let told = of(bad);
        assert!(told[0].starts_with("WL206"), "{bad}: {told:?}");
    }
}
