//! The model as a whole: whatever the files hold, loading ends with a model or with findings.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::example::{edited, put, snapshot, with};
use super::*;
use crate::snapshot::{Entry, MAX_FILE_BYTES, Snapshot};

fn codes(snapshot: &Snapshot) -> Vec<&'static str> {
    load(snapshot)
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

fn model(snapshot: &Snapshot) -> Arc<Model> {
    let loaded = load(snapshot);
    loaded
        .model
        .unwrap_or_else(|| panic!("{:#?}", loaded.findings))
}

#[test]
fn what_is_not_a_definition_is_told_of() {
    for (path, entry, code) in [
        ("nodes/link.yaml", Entry::Symlink, "WL108"),
        ("sites", Entry::Submodule, "WL108"),
        (
            "sites/big.yaml",
            Entry::TooLarge(MAX_FILE_BYTES * 100),
            "WL107",
        ),
    ] {
        let mut snapshot = snapshot();
        snapshot.entries.insert(path.to_owned(), entry);
        assert_eq!(codes(&snapshot), [code], "{path}");
        assert!(load(&snapshot).model.is_none());
    }
    for (path, code, is_error) in [
        ("site/x.yaml", "WL109", false),
        ("clutser.yaml", "WL109", false),
        ("nodes/x.yml", "WL109", true),
        ("sites/deep/x.yaml", "WL109", true),
        ("sites/x.txt", "WL109", false),
    ] {
        let loaded = load(&with(path, "roles: []\n"));
        let found: Vec<_> = loaded
            .findings
            .iter()
            .map(|finding| finding.code.as_str())
            .collect();
        assert_eq!(
            (found, loaded.model.is_none()),
            (vec![code], is_error),
            "{path}"
        );
    }
    for path in [
        "README.md",
        ".github/x.yaml",
        "sites/README.md",
        "docs/x.yaml",
        "components/x/y",
        ".gitignore",
    ] {
        assert_eq!(codes(&with(path, "x")), [""; 0], "{path}");
    }
    assert_eq!(
        codes(&with(
            "nodes/Vps9.yaml",
            "roles: []\naddresses: {}\nssh: { host_keys: [] }\n"
        )),
        ["WL111"]
    );
}

#[test]
fn a_repository_without_a_cluster_is_one_clear_error() {
    let empty = load(&Snapshot::default());
    let told: Vec<_> = empty
        .findings
        .iter()
        .map(|finding| finding.message.as_str())
        .collect();
    assert_eq!(told, ["the commit holds no definitions at all"]);
    let mut without = snapshot();
    without.entries.remove("cluster.yaml");
    assert_eq!(codes(&without), ["WL110"]);
    let cut = Snapshot {
        over_limit: Some("more than 20000 files".into()),
        ..snapshot()
    };
    assert_eq!(codes(&cut), ["WL107"]);
}

#[test]
fn own_kinds_are_held_against_their_schema() {
    let schema =
        r#"{"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}"#;
    let own = |schema: Option<&str>, text: &str| {
        let mut snapshot = with("definitions/volume/data.yaml", text);
        if let Some(schema) = schema {
            put(&mut snapshot, "definitions/volume/schema.json", schema);
        }
        snapshot
    };
    let good = model(&own(Some(schema), "size: 3\n"));
    assert_eq!(good.definitions["volume"]["data"]["size"], 3);
    let wrong = load(&own(Some(schema), "# volume\nsize: large\n"));
    let finding = wrong.findings.iter().next().unwrap();
    assert_eq!(
        (finding.code.as_str(), finding.at.as_ref().unwrap().line),
        ("WL113", 2)
    );
    assert_eq!(codes(&own(None, "size: 3\n")), ["WL112"]);
    assert_eq!(codes(&own(Some("{"), "size: 3\n")), ["WL112"]);
    assert_eq!(
        codes(&own(
            Some(r#"{"$ref": "https://example.org/x"}"#),
            "size: 3\n"
        )),
        ["WL112"]
    );
    assert_eq!(
        codes(&own(Some(r#"{"type": "objekt"}"#), "size: 3\n")),
        ["WL112"]
    );
}

#[test]
fn sites_and_name_servers_give_records() {
    let model = model(&snapshot());
    let zones = derive::zones(&model);
    let records: Vec<String> = zones
        .into_values()
        .flatten()
        .map(|set| {
            format!(
                "{} {} {} {} {}",
                set.name,
                set.ttl,
                set.kind,
                set.values.join(" | "),
                set.from.file
            )
        })
        .collect();
    insta::assert_snapshot!(records.join("\n"));
}

#[test]
fn an_explicit_record_or_a_delegation_beats_the_derived_one() {
    let last = "  - { name: \"@\", type: TXT, value: v=spf1 mx -all }\n";
    for (record, host) in [
        ("  - { name: blog, type: CNAME, value: mail }\n", "blog"),
        (
            "  - { name: blog, type: NS, value: ns.example.net. }\n",
            "blog",
        ),
    ] {
        let model = model(&edited(
            "zones/example.org.yaml",
            last,
            &format!("{last}{record}"),
        ));
        let zones = derive::zones(&model);
        let kinds: Vec<_> = zones
            .values()
            .flatten()
            .filter(|set| set.name == host)
            .map(|set| set.kind)
            .collect();
        assert_eq!(kinds.len(), 1, "{record}");
        assert!(!kinds.contains(&RecordType::A), "{record}");
    }
    let second = "network: public, network6: public6 }";
    let dual = model(&edited("cluster.yaml", "network: public }", second));
    let zones = derive::zones(&dual);
    let published = zones
        .values()
        .flatten()
        .filter(|set| set.name == "blog")
        .count();
    assert_eq!(published, 2, "A and AAAA");
}

#[test]
fn a_changed_file_is_the_only_one_read_again() {
    let cache = Cache::default();
    let first = load_cached(&snapshot(), &cache);
    let (before, files) = (first.model.unwrap(), cache.len());
    let changed = edited("sites/blog.yaml", "8081", "8083");
    let after = load_cached(&changed, &cache).model.unwrap();
    assert_eq!(cache.len(), files + 1);
    assert!(Arc::ptr_eq(
        &before.sites["shop"].value,
        &after.sites["shop"].value
    ));
    assert_eq!(after.sites["blog"].port.get(), 8083);
    for _ in 0..20 {
        load_cached(&snapshot(), &cache);
    }
    assert_eq!(cache.len(), files, "what no load uses is forgotten");
}

#[test]
fn placements_follow_the_order_of_the_cluster() {
    let model = model(&edited(
        "cluster.yaml",
        "order: [homelab, vps1, vps2]",
        "order: [homelab, vps2, vps1]",
    ));
    let nodes: Vec<_> = model
        .nodes_of(&model.sites["blog"].on)
        .into_iter()
        .map(|node| node.as_str())
        .collect();
    assert_eq!(nodes, ["vps2", "vps1"]);
}

/// The example with a few bytes of a few files replaced, removed or doubled.
fn mutated() -> impl Strategy<Value = Snapshot> {
    let mutation = (
        any::<Index>(),
        any::<Index>(),
        0..20_usize,
        "[-a-z0-9:{}\\[\\]\"&* \n#,|>%@]{0,6}",
    );
    proptest::collection::vec(mutation, 1..6).prop_map(|mutations| {
        let mut snapshot = snapshot();
        let paths: Vec<String> = snapshot.entries.keys().cloned().collect();
        for (file, at, length, text) in mutations {
            let path = file.get(&paths);
            let mut bytes = snapshot.file(path).unwrap_or_default().to_vec();
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, text.bytes());
            snapshot
                .entries
                .insert(path.clone(), Entry::File(bytes.into()));
        }
        snapshot
    })
}

proptest! {
    #[test]
    fn loading_ends_with_a_model_or_with_errors(snapshot in mutated()) {
        let loaded = load(&snapshot);
        prop_assert_eq!(loaded.model.is_none(), loaded.findings.has_errors());
        if let Some(model) = &loaded.model {
            derive::zones(model);
        }
        crate::report::findings::text(&loaded.findings, &snapshot, crate::report::findings::Style::Plain);
    }

    #[test]
    fn loading_twice_tells_the_same(snapshot in mutated()) {
        let shared = Cache::default();
        let (first, second, third) =
            (load_cached(&snapshot, &shared), load_cached(&snapshot, &shared), load(&snapshot));
        prop_assert_eq!(&first.findings, &second.findings);
        prop_assert_eq!(&first.findings, &third.findings);
        prop_assert_eq!(&first.model, &second.model);
    }

    #[test]
    fn any_bytes_are_findings(files in proptest::collection::btree_map(
        "(cluster|nodes/a|sites/b|zones/c.d|forwards/e|certificates/f|definitions/g/h).yaml",
        proptest::collection::vec(any::<u8>(), 0..200), 0..4)) {
        let entries: BTreeMap<_, _> =
            files.into_iter().map(|(path, bytes)| (path, Entry::File(bytes.into()))).collect();
        let loaded = load(&Snapshot { entries, ..Snapshot::default() });
        prop_assert!(loaded.findings.has_errors());
    }
}
