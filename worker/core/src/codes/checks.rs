//! Codes of checks by real programs.

super::codes! {
    CHECK_REFUSED = "WL301", "a program refused the rendered configuration",
        "The program that will read this file on the node was run on it in a sandbox and refused it. No node was touched.";
}
