//! Codes of the plan and its policy.

super::codes! {
    DRIFT = "WL401", "a file on a node was changed by hand",
        "The node holds something else than the release it last confirmed. Windlass does not overwrite it silently: bring the change into the repository, or set `drift: overwrite` in the policy of cluster.yaml.";
}
