//! Holds the picture of ARCHITECTURE.md true: who may use whom, how long a file may grow, and what the core
//! must never depend on. Reads the sources as text, so that it needs no build of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// In the core a module uses only modules of earlier rows (or of its own).
const CORE_ORDER: [&[&str]; 19] = [
    &["ids"],
    &["fence"],
    &["codes"],
    &["finding"],
    &["snapshot"],
    &["sealed"],
    &["yaml"],
    &["gate"],
    &["release", "model"],
    &["acme"],
    &["materials"],
    &["component"],
    &["render", "check", "observed"],
    &["plan"],
    &["outcome"],
    &["roll"],
    &["report"],
    &["preview"],
    &["schema"],
];

/// In the worker an adapter sees the ports and the core, never another adapter, never the flow.
const ADAPTERS: [&str; 7] = ["git", "check", "node", "probe", "queue", "acme", "forge"];
const MAY_USE: [(&str, &[&str]); 10] = [
    ("ports", &[]),
    ("git", &["ports", "telemetry"]),
    ("check", &["ports"]),
    ("node", &["ports"]),
    ("probe", &["ports"]),
    ("forge", &["ports"]),
    ("queue", &["ports", "store"]),
    ("acme", &["ports", "store"]),
    ("roll", &["ports", "store"]),
    ("inbound", &["ports", "store", "queue", "config", "web"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    files(dir, &["rs"])
}

/// What people read: Rust, shell, and what the components are made of.
fn readable(dir: &Path) -> Vec<PathBuf> {
    files(dir, &["rs", "sh", "py", "yaml", "tera"])
}

fn files(dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a source folder") {
        let path = entry.expect("an entry").path();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            found.extend(files(&path, extensions));
        } else if extensions.contains(&extension.as_ref()) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The first module below `src` that a file belongs to: `src/roll/driver.rs` and `src/roll.rs` are of `roll`.
fn module_of(src: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(src).expect("below src");
    let first = relative
        .components()
        .next()
        .expect("a name")
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// A file that holds nothing but tests may use what it likes.
fn is_test(file: &Path) -> bool {
    let named =
        |name: &std::ffi::OsStr| name == "tests" || name.to_string_lossy().ends_with("tests.rs");
    file.components().any(|part| named(part.as_os_str()))
}

/// A file's text without comments and without every item that is built for tests only. As rustfmt writes it, an item
/// ends where a line at its own depth ends with a semicolon or a comma, or begins with a closing brace.
fn production(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        if code.starts_with("#[cfg(test)]") {
            let depth = line.len() - code.len();
            let own = |line: &str| line.len() - line.trim_start().len() == depth;
            let ends = |line: &str| {
                own(line) && (line.ends_with([';', ',']) || line.trim_start().starts_with('}'))
            };
            lines.find(|line| ends(line));
        } else if !code.starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Modules that a file names as `crate::module` or in a list, `crate::{module, other::{…}}`, on one line or more.
fn crate_uses(text: &str) -> Vec<String> {
    let text = production(text);
    let after = text
        .match_indices("crate::")
        .map(|(at, word)| &text[at + word.len()..]);
    after
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => members(list),
            None => vec![rest],
        })
        .map(|path| {
            let path = path.trim_start().chars();
            path.take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        })
        .filter(|module| !module.is_empty())
        .collect()
}

/// The members of a list whose opening brace was read, as far as its closing one; what is in braces of theirs is
/// theirs.
fn members(list: &str) -> Vec<&str> {
    let mut members = Vec::new();
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&list[begin..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    members
}

#[test]
fn uses_are_read_from_the_whole_file_and_from_every_form() {
    let text = "use crate::one::{self, x};\n#[cfg(test)]\nmod tests;\nuse crate::{\n    two,\n    three::{self, four},\n    \
                five::Six,\n};\n// crate::comment\n#[cfg(test)]\nmod tests {\n    use crate::only_tests;\n    fn f() {\n    }\n}\n\
                fn f() -> crate::seven::Eight {\n    #[cfg(test)]\n    let x = crate::nine();\n    crate::ten()\n}\n";
    let used = crate_uses(text);
    assert_eq!(used, ["one", "two", "three", "five", "seven", "ten"]);
}

#[test]
fn in_the_core_data_flows_one_way() {
    let src = root().join("worker/core/src");
    let rank: BTreeMap<&str, usize> = CORE_ORDER
        .iter()
        .enumerate()
        .flat_map(|(rank, modules)| modules.iter().map(move |module| (*module, rank)))
        .collect();
    let mut broken = Vec::new();
    for file in sources(&src) {
        let module = module_of(&src, &file);
        if module == "lib" || is_test(file.strip_prefix(&src).expect("below src")) {
            continue;
        }
        let Some(own) = rank.get(module.as_str()) else {
            broken.push(format!("{module} has no place in CORE_ORDER"));
            continue;
        };
        for used in crate_uses(&std::fs::read_to_string(&file).expect("text")) {
            if let Some(other) = rank.get(used.as_str())
                && (other > own || (other == own && used != module))
            {
                broken.push(format!("{} uses {used}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn adapters_do_not_know_each_other() {
    let src = root().join("worker/src");
    let mut broken = Vec::new();
    for file in sources(&src) {
        let module = module_of(&src, &file);
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        if is_test(file.strip_prefix(&src).expect("below src")) {
            continue;
        }
        for used in crate_uses(&std::fs::read_to_string(&file).expect("text")) {
            let restricted = ADAPTERS.contains(&used.as_str())
                || matches!(
                    used.as_str(),
                    "flow" | "cli" | "worker" | "store" | "roll" | "inbound" | "config" | "web"
                );
            if used != module && restricted && !allowed.contains(&used.as_str()) {
                broken.push(format!("{} uses {used}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_core_depends_on_nothing_that_does_io() {
    let manifest =
        std::fs::read_to_string(root().join("worker/core/Cargo.toml")).expect("manifest");
    let dependencies = manifest
        .split("[dev-dependencies]")
        .next()
        .expect("the first part");
    for banned in [
        "tokio", "git2", "reqwest", "openssh", "rusqlite", "tracing", "axum", "tempfile", "rand",
        "uuid",
    ] {
        assert!(
            !dependencies.contains(&format!("{banned}.")),
            "the core must not depend on {banned}"
        );
    }
    let mut broken = Vec::new();
    for file in sources(&root().join("worker/core/src")) {
        let text = std::fs::read_to_string(&file).expect("text");
        let production = production(&text);
        for banned in [
            "std::fs",
            "std::env",
            "std::net::Tcp",
            "std::process",
            "SystemTime",
            "Instant::now",
            "HashMap",
        ] {
            if production.contains(banned) {
                broken.push(format!("{} names {banned}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// What one can read in a sitting.
const MAX_LINES: usize = 400;

/// `node/agent.sh` goes to a node as one file and is read there by its admin, from the top down, before they trust it:
/// in pieces it would have to be put together first. Its sections stand in the order of its verbs.
const EXEMPT: [&str; 1] = ["worker/node/agent.sh"];

#[test]
fn no_file_grows_past_what_one_can_read() {
    let mut long = Vec::new();
    for folder in ["worker", "tests", "scripts", "repo-template"] {
        for file in readable(&root().join(folder)) {
            let exempt = EXEMPT.iter().any(|exempt| file.ends_with(exempt));
            let lines = std::fs::read_to_string(&file)
                .expect("text")
                .lines()
                .count();
            if lines > MAX_LINES && !exempt {
                long.push(format!("{} has {lines} lines", file.display()));
            }
            let name = file.file_stem().expect("a name").to_string_lossy();
            assert!(
                !matches!(name.as_ref(), "utils" | "util" | "common" | "helpers"),
                "{} says nothing",
                file.display()
            );
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}
