//! Codes of the definitions: loading, types and cross-checks.

super::codes! {
    BROKEN_YAML = "WL101", "a file is not valid YAML",
        "The file could not be read as YAML 1.2 at all. The place is where the reader gave up, which may be after the mistake: look at the indentation and the quotes above it.";
    UNKNOWN_KEY = "WL102", "a key that does not exist",
        "Windlass refuses keys it does not know, because a misspelt key that is silently ignored means that a setting you rely on is not there. `schemas/` has the allowed keys of every kind, and editors complete them.";
    WRONG_VALUE = "WL103", "a value of the wrong type or form",
        "The value does not fit what the key means: a word where a number belongs, a host name with a space, a port above 65535. The message says what was expected.";
    MISSING_KEY = "WL104", "a required key is missing",
        "The definition cannot be used without this key; there is no sensible default.";
    DUPLICATE_KEY = "WL105", "a key stands twice",
        "YAML readers disagree on which of the two counts, so one of them would be lost without a word. Keep one.";
    NOT_TEXT = "WL106", "a file that does not hold exactly one UTF-8 document",
        "A definition is one YAML document in UTF-8 without a byte order mark. An empty file defines nothing: delete it instead.";
    TOO_MUCH = "WL107", "a limit of size, depth or count is broken",
        "Definitions come from Git and may be hostile, so what is read is bounded: file size, total size, number of files, depth, nodes and aliases. Split the file, or generate less.";
    NOT_A_FILE = "WL108", "a symbolic link or submodule",
        "A commit must mean the same on every machine, so links and submodules are not followed. Put the file itself into the repository.";
    UNKNOWN_FILE = "WL109", "a file or folder that no part of Windlass reads",
        "Probably a misspelt folder (`site/` for `sites/`) or a wrong extension (`.yml` for `.yaml`): what stands there has no effect.";
    NO_CLUSTER = "WL110", "the repository has no cluster.yaml",
        "`cluster.yaml` names the cluster, its networks and the order of its nodes; without it no other file means anything. A commit without definitions changes nothing on any node.";
    BAD_FILE_NAME = "WL111", "a file name that cannot be the name of its definition",
        "A definition is named by its file: `nodes/vps1.yaml` is the node `vps1`. Names have a-z, 0-9 and `-`; a zone's file is its domain name, `zones/example.org.yaml`.";
    BROKEN_SCHEMA = "WL112", "a repository-owned kind without a usable schema",
        "A kind of your own lives in `definitions/<kind>/` and needs a `schema.json` (JSON Schema) there, so that mistakes in its definitions are found.";
    SCHEMA_VIOLATION = "WL113", "a definition does not fit its kind's schema",
        "The schema beside the definition refuses it; the message says which value and why.";
}
