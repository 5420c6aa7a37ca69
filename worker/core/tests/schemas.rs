//! The committed schemas are those of the types: editors must not complete keys that the worker refuses.

use std::fs;
use std::path::Path;

#[test]
fn committed_schemas_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let bless = std::env::var_os("BLESS").is_some();
    let mut stale = Vec::new();
    for (name, schema) in windlass_core::schema::all() {
        let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let file = folder.join(name);
        if bless {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &current).unwrap();
        }
        if fs::read_to_string(&file).ok().as_ref() != Some(&current) {
            stale.push(name.to_owned());
        }
    }
    assert!(
        stale.is_empty(),
        "not current: {}; write them anew with `windlass schema --out schemas` or `BLESS=1 cargo test -p windlass-core --test schemas`",
        stale.join(", ")
    );
}
