//! Codes of the plan and its policy.

super::codes! {
    DRIFT = "WL401", "a file on a node was changed by hand",
        "The node holds something else than the release it last confirmed. Windlass does not overwrite it silently: bring the change into the repository, or run `windlass adopt NODE PATH`, or set `drift: overwrite` in the policy of cluster.yaml. A copy of what was there is kept on the node.";
    NODE_DOWN = "WL402", "a node cannot be reached and the policy does not go on without it",
        "With `unreachable: refuse` nothing is rolled while a node is down. Bring the node back, or set `unreachable: skip`: the roll then goes on without it and the node catches up when it returns. Where no node at all can be reached nothing is rolled under either policy.";
    FROZEN = "WL403", "the cluster is frozen",
        "`policy.freeze` in cluster.yaml has a window that covers this moment. What was pushed stays pending and is rolled after the window.";
    LOCKED = "WL404", "the cluster is locked",
        "`policy.lock` in cluster.yaml says that nothing may be rolled. Remove it and push to go on.";
    QUORUM = "WL405", "a role has fewer healthy nodes than its quorum",
        "A roll takes nodes out of rotation one after the other, so it never begins on a cluster that is degraded already. A node counts as healthy when it can be reached and no attempt on it is unfinished or stuck. Mend the nodes, or lower `policy.quorum`.";
    TOO_MUCH = "WL406", "the roll would remove more than the policy allows",
        "`policy.limits` caps the share of DNS records, backends or files that one roll may remove, counted from ten existing ones up. DNS records and backends are compared by name between the commit that the nodes hold and the new one; files between the releases of every node that has a turn. If this is what you want, raise the limit in the same commit.";
    QUARANTINED = "WL407", "this was rolled back before",
        "The same bundle, or this node's part of it, was rolled back. It is not tried again by itself until the definitions change. When the cause lay elsewhere and is mended: `windlass roll --retry`. Only where nothing but certificates changes, the worker tries again by itself, later each time: no commit would mend that, and the certificate that is served comes to its end.";
    INCOMPLETE = "WL408", "a secret or certificate is missing",
        "The bundle was rendered with a stand-in for a secret or certificate that this worker was not given. It can be looked at and compared, but not rolled.";
    FOREIGN = "WL409", "the node belongs to someone else",
        "The machine at this address says that it is another node, or a node of another cluster. Look at the address in the node's file. If the machine shall move here: `windlass forget` it from its old cluster first.";
    UNFINISHED = "WL410", "an attempt on the node is not finished",
        "Another roll is in the middle of this node's turn, or the worker that began it died. Unless it is confirmed the node goes back by itself; try again then.";
    STUCK = "WL411", "the node is stuck half way",
        "The node could not put its old release back. A person must look: `windlass status` names the step that failed; when it is mended, `windlass rollback NODE` finishes it.";
    BAD_GLOB = "WL412", "an action's `when` is not a glob pattern",
        "The pattern under `apply: - when:` of the component cannot be read. `*` stays within one folder, `**` crosses folders.";
    UNMEASURED = "WL413", "what the roll removes could not be measured",
        "The commit that the nodes hold is not in this repository (or cannot be read any more), so the limits for DNS records and backends were not applied.";
    CLOCK = "WL414", "a node's clock is wrong",
        "The node's clock differs from the worker's by minutes. Certificates, SOA serials and logs depend on it; look at its time service.";
    CANCELLED = "WL415", "the roll was cancelled",
        "Someone stopped it before any node was touched.";
    UNUSABLE = "WL416", "a node answers, but is not as its file says",
        "The machine shows another SSH host key than its file pins, or the user of its file is not root and cannot become it. `unreachable: skip` does not cover this: the node is there, so somebody must look. The message says what to mend; nothing is rolled until then.";
    TOO_LARGE = "WL417", "the plan is too large for the queue",
        "With a message broker a roll goes from turn to turn in messages, each with the whole plan, and a broker takes messages up to a limit (RabbitMQ: 16 MiB). Roll this commit once by hand with `windlass roll`, which needs no messages, or push it in smaller steps.";
    CERTIFICATE_LOST = "WL418", "the nodes serve a certificate that the worker does not have",
        "A host is served over TLS now, and the worker has no certificate for it: its state directory was lost, or the site changed from a certificate by file to one that is ordered and does not cover the host yet. A roll would take TLS away from the host, so nothing is rolled until the certificate is there. The nodes were asked, and hold none that fits and is in force. What the commit that was rolled out wants is being ordered anew, and the nodes still send the authority's question on. Otherwise put the old PEM file into the worker's directory of certificates, or leave the site as it was until its new certificate is there: a file of `certificates/` with `acme: {}` has one ordered before any site uses it.";
    HELD = "WL419", "a merged request is held",
        "Someone who may merge typed `windlass hold` in a request that the commit brings, so nothing of the branch is rolled. Type `windlass release` in the request to go on. `windlass roll` by hand rolls it all the same: it asks no forge.";
    DIVERGED = "WL420", "what would be rolled is not what was reviewed",
        "The request was merged, and the nodes would get something else than its comment showed: the branch moved on meanwhile, or it was merged before it had been looked at. The request's comment shows the new plan. With `on_divergence: wait` in the policy of cluster.yaml nothing is rolled until someone who may merge types `windlass release` in the request; that is for exactly the bundle that the comment shows. With `on_divergence: roll` it is rolled and told. `windlass roll` by hand rolls it too.";
}
