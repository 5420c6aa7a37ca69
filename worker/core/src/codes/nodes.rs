//! Codes of nodes and rolls.

super::codes! {
    UNREACHABLE = "WL501", "a node could not be reached",
        "No SSH connection to the node could be made, or it broke in the middle of an answer. Look at whether the \
         machine is up, at its address and port in `nodes/`, and at firewalls between the worker and it. What was \
         begun on the node is finished or taken back: after a lost connection its dead-man's timer goes back to the \
         last confirmed release by itself.";
    HOST_KEY = "WL502", "a node answers with another SSH host key than its file pins",
        "The key that the machine showed is none of `ssh.host_keys` in the node's file. Either the machine was set up \
         anew, then pin the key that `cat /etc/ssh/ssh_host_ed25519_key.pub` prints on its console (not one fetched \
         over the network), or someone stands between the worker and the node.";
    NODE_REFUSED = "WL503", "a node refused what it was asked",
        "The agent on the node changed nothing and says why: another attempt is under way, the node holds another \
         release than the plan was made for, it belongs to another cluster, or `sudo` wants a password. Nodes are \
         asked again with a new plan.";
    DRIFT = "WL504", "files on a node are not as the last release left them",
        "Files that this roll would replace were changed by hand, or were never written by Windlass. They are not \
         overwritten silently. See what changed with `windlass drift`; bring the change into the repository, or take \
         the file over with `windlass adopt`, which keeps a copy on the node below /var/lib/windlass/adopted.";
    STEP_FAILED = "WL505", "a step failed on a node",
        "A command of a component failed or did not end in time on the node. A failed activation has gone back to the \
         release before it by then. The last lines of its output stand with the finding.";
    FENCED = "WL506", "a node follows a newer roll",
        "Every roll has a number that only grows, and the node has seen a higher one: another worker or another roll \
         has taken over. This one stops.";
    STUCK = "WL507", "a node could not go back by itself",
        "Putting the old release back failed half way, so a person must act. Log in to the node; the attempt's `log` \
         below /var/lib/windlass/attempts says what failed, and its `keep.tar` holds the files as they were. Mend the \
         cause, then roll back again: that repeats every step.";
    NOT_ADMITTED = "WL508", "a condition that must hold before a node's turn does not hold",
        "A component names gates under `before:` that must hold before the node is taken out of rotation. One of them \
         did not, so no node was touched. The message names the gate and what was seen.";
}
