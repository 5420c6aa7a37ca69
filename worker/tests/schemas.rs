//! The committed schemas of what the worker speaks are those of the types, and no other file lies beside them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_worker_s_committed_schemas_are_current_and_no_file_is_left_over() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    let bless = std::env::var_os("BLESS").is_some();
    let mut stale = Vec::new();
    for (name, schema) in windlass::schema::own() {
        let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let file = folder.join(name);
        if bless {
            fs::write(&file, &current).unwrap();
        }
        if fs::read_to_string(&file).ok().as_ref() != Some(&current) {
            stale.push(name.to_owned());
        }
    }
    let known: BTreeSet<_> = windlass::schema::all()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !known.contains(name.as_str()) {
            stale.push(name);
        }
    }
    assert!(
        stale.is_empty(),
        "not current: {}; write them anew with `windlass schema --out schemas` or `BLESS=1 cargo test -p windlass --test schemas`",
        stale.join(", ")
    );
}
