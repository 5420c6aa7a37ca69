//! Codes of Git and the worker.

super::codes! {
    REWOUND = "WL601", "the watched branch was rewound",
        "The branch no longer contains the commit that was rolled out last: it was force-pushed, reset, or its history was rewritten. Windlass follows a branch forward only, because going to an older tree would undo changes that nobody reviewed the undoing of.\n\nIf the new history is right, say so: `windlass accept-rewind CLUSTER COMMIT` with the commit that the branch points at now. That commit, and only it, is then rolled like any other. If it is not right, push the branch to where it was. To undo a change, prefer `git revert`: it goes forward.";
    BRANCH_MISSING = "WL602", "the watched branch does not exist",
        "The remote can be reached, but has no branch of the configured name: it was renamed or deleted, or the name in the worker's configuration has a slip. Nodes stay as they are. Create the branch, or change `repository.branch` in the worker's configuration.";
    REMOTE_DENIED = "WL603", "the Git remote refuses the worker",
        "The remote answered, and said no: the token or deploy key is wrong, was revoked, or may not read the repository; or the SSH host key is none of those pinned. With a private authority, `repository.ca_file` names its certificate. The token and the key are read from their files at every fetch, so replacing the file is enough. A changed host key is never accepted by itself: compare it over another way, then change `repository.host_keys`.";
    ANOTHER_CLUSTER = "WL604", "the repository defines another cluster",
        "The name in the repository's `cluster.yaml` is not the one under which the worker watches this repository. Nodes remember which cluster they belong to, and a mixed-up URL must not move them to another one.";
    UNTRUSTED = "WL605", "the commit bears no signature that counts",
        "`repository.signed_by` in the worker's configuration names who may sign what is rolled out, and the newest commit of the watched branch is not signed by one of them. It alone is looked at: its signature covers its whole tree. Commits are signed with SSH keys: `git config gpg.format ssh`, `git config user.signingkey ~/.ssh/id_ed25519.pub`, `git commit -S`. A merge that a forge makes is signed by the forge's key or by none; merge on a machine with your key instead. Nodes stay as they are.";
    FORGE_DENIED = "WL606", "the forge refuses the worker's token",
        "The Git server's interface answered, and said no: the token is wrong, was revoked or has expired, or lacks a permission that reading requests, commenting or setting a commit status takes. Rolls go on; requests wait, and are looked at again every few minutes. The token is read from its file for every question, so replacing the file is enough. `windlass forge check` says which permissions are missing; docs/forges has a page for each forge.";
    CONFIG_CLUSTERS = "WL611", "the worker's configuration lists its clusters wrongly",
        "Each entry of `clusters` in `worker.yaml` has a name of its own, which is the name in that repository's `cluster.yaml`, and a poll interval of at least a second.";
    CONFIG_REPOSITORY = "WL612", "a repository is configured wrongly",
        "The worker fetches over https (with a token from a file), over ssh (with a deploy key and pinned host keys) or from a path on the same machine. Plain http, passwords in URLs and unpinned ssh hosts are refused, because whoever can answer in the server's place decides what your nodes run.";
    CONFIG_QUEUE = "WL613", "the queue is configured wrongly",
        "`queue: embedded` is a durable queue in the worker's own database; `queue: amqp://user@host:port/vhost` or `amqps://…` is RabbitMQ, through which several workers share their clusters' work. The password stands in a file that `broker.password_file` names, never in the URL; `broker.ca_file` and `broker.certificate_file` go with amqps. docs/queue.md has the rest.";
    CONFIG_HOOK = "WL614", "the hook is configured wrongly",
        "`hook.secret_files` names one file with the secret that the sender signs with, or two while it is being replaced, and `listen` says where the hook is served.";
    CONFIG_ACME = "WL615", "the worker cannot order certificates",
        "To order certificates the worker must be reached by the edge nodes at `listen` or at `acme.listen`. Workers that share a cluster's work through a broker also share its orders: accounts, private keys and finished certificates go from one to the other through the broker, encrypted with age. So `age_identities` must name an identity, the same one for all workers of the cluster (`age-keygen -o FILE` makes it). Without one, use the embedded queue, or give certificates as files.";
    CONFIG_FORGE = "WL616", "the forge is configured wrongly",
        "`clusters[].forge` names the Git server whose requests (pull requests, merge requests) are looked at: `kind`, its address as people see it (`url`; github.com and gitlab.com are known), the project as `owner/name`, and a file with the access token of the account that comments. The token is sent over https only, or to this machine. The guide has a page for each forge: docs/forges.";
    CONFIG_PUBLIC = "WL617", "the worker's public address is configured wrongly",
        "`public_url` is what the comments on requests link to: where people's browsers reach the worker's `listen`, usually a proxy that adds TLS. It is `https://HOST` or `https://HOST/PATH`, with nothing after it; http only for this very machine.";
    CONFIG_API = "WL618", "the API is configured wrongly",
        "`api.token_file` names a file with the token (16 characters at least) that requests must show to wake a cluster or to answer dead events over the API; `listen` says where the API is served. Without `api` it only reads.";
    CONFLICT = "WL641", "a request cannot be merged into its branch",
        "The request and the watched branch both changed the named files since they parted, in a way that Git cannot put together. Nothing was rendered, because nobody knows yet what merging would give. Merge the branch into the request, or rebase the request onto it, and solve the conflict there; the preview follows by itself.";
}
