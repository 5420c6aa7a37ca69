//! Codes of Git and the worker.

super::codes! {
    REWOUND = "WL601", "the watched branch was rewound",
        "The branch no longer has the commit that was rolled out last. Only fast-forwards are rolled by themselves.";
}
