//! Codes of nodes and rolls.

super::codes! {
    UNREACHABLE = "WL501", "a node could not be reached",
        "No SSH connection to the node could be made. Look at its address, port, host key and whether it is up.";
}
