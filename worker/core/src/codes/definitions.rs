//! Codes of the definitions: loading, types and cross-checks.

super::codes! {
    BROKEN_YAML = "WL101", "a file is not valid YAML or does not fit its kind",
        "The file could not be read as the definition its folder says it is. The message names the line and what was expected.";
}
