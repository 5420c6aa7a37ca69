//! Codes of checks by real programs, and of the certificates and secrets given to the worker.

super::codes! {
    CHECK_REFUSED = "WL301", "a program refused the rendered configuration",
        "The program that will read this file on the node was run on it in a sandbox and refused it. No node was touched.";
    CHECK_WARNED = "WL302", "a program accepted the rendered configuration, but warned",
        "The check ended well and still said something that its `finding` pattern recognises. Where that should stop a roll, name it in the check's `fail_on`.";
    CHECK_TIMED_OUT = "WL303", "a check did not end in time",
        "The program was killed after the check's `timeout`. It may wait for the network, which checks do not have, or for input. Raise `timeout` only where the work really takes that long.";
    CHECK_KILLED = "WL304", "a check broke a limit of the sandbox",
        "Checks have limits for memory, processes, file sizes and output, because a commit decides what they run. The message names the limit.";
    CHECK_PROGRAM_MISSING = "WL305", "a checking program is not installed",
        "The configuration was not checked here. Install the named Debian package on the machine that runs the worker (its service need not run). The nodes run the same check before anything changes.";
    NO_SANDBOX = "WL306", "programs cannot be run safely on this machine",
        "Checks run commands that the cluster repository names, so Windlass runs them only in a bubblewrap sandbox. Without one it renders, compares and plans, and leaves the checks to the nodes. Install the package `bubblewrap`, and allow user namespaces where they were switched off (`sysctl kernel.unprivileged_userns_clone=1`, `user.max_user_namespaces`). In a container the engine must allow namespaces and a fresh `/proc`: docs/docker.md says how.";
    CHECK_PATTERN = "WL307", "a check's pattern is not a usable regular expression",
        "`fail_on` and `finding` are regular expressions of Rust's regex crate: no look-around, no back references, and limited in size.";
    CHECK_PATH = "WL308", "a file cannot be shown to a check",
        "In the sandbox `/usr` (but not `/usr/local`), `/lib`, `/bin`, `/sbin`, `/proc`, `/dev` and `/sys` belong to the worker's machine. Put own files below `/etc`, `/usr/local`, `/var`, `/opt` or `/srv`, or run the check on the nodes only (`on: node`).";
    CERTIFICATE_UNREADABLE = "WL321", "a certificate file cannot be used",
        "The PEM file in the worker's `certificates` directory must hold the certificate, its chain and one private key, all in PEM.";
    CERTIFICATE_KEY = "WL322", "a certificate and its private key do not belong together",
        "The private key in the PEM file is not the one that the first certificate was issued for. HAProxy would refuse to start with it.";
    CERTIFICATE_NAMES = "WL323", "a certificate does not cover a name",
        "`certificates/<name>.yaml` says which names the certificate is for; the PEM file given to the worker does not cover all of them. Browsers would refuse the site.";
    CERTIFICATE_EXPIRY = "WL324", "a certificate has expired or soon will",
        "HAProxy accepts an expired certificate without a word; browsers do not. Renew it and put the new PEM file into the worker's `certificates` directory.";
    MATERIAL_EXPOSED = "WL325", "a private key or secret is readable by everyone",
        "Files in the worker's `certificates` and `secrets` directories should have mode 0600 or 0640.";
    SECRET_UNREADABLE = "WL326", "a secret file cannot be used",
        "A secret is a text in a file of the worker's `secrets` directory that is named like the secret. It must be readable by the worker, valid UTF-8, and not empty or larger than 64 KiB.";
    CERTIFICATE_CHAIN = "WL327", "a certificate comes without its chain",
        "Browsers often know the missing issuer and other clients do not, so that the site works for some people only. The PEM file must hold the certificate first, then the certificates of its issuers.";
    CERTIFICATE_ALERT = "WL328", "a certificate in use comes to its end",
        "It should have been renewed by now: half of the time that was there for it has passed, or `acme.alert_days` in cluster.yaml is reached. `windlass cert show NAME` says when it is tried next and what went wrong last. For a certificate that is given as a file: get a new one and put it in place, or `windlass cert import FILE`.";
    CERTIFICATE_BEHIND = "WL329", "a node serves another certificate than the one in use",
        "The node was away when the certificate was rolled, or its roll has not come yet. Until then clients get the certificate before it there, which may expire. The next sweep rolls it as soon as the node can be reached; where that does not help, `windlass status` and `windlass plan` say what is in the way.";
    CERTIFICATE_ORDER = "WL330", "a certificate cannot be ordered",
        "The last try to order it failed; the message says at what. It is tried again, later each time, and a certificate in use stays in use until then; a site without one is served over plain HTTP only. `windlass cert show NAME` says when the next try is due, `windlass cert renew NAME --force` makes it now.\n\nWhere the way of the authority's question is broken, the edge nodes may not know where the worker answers: set `acme_server` of the component `haproxy` in cluster.yaml (`components: { haproxy: { vars: { acme_server: \"ADDRESS:PORT\" } } }`) to the address of `acme.listen` in worker.yaml, as the nodes reach it.";
    SECRET_TWICE = "WL335", "a secret that is given twice",
        "The repository has it encrypted, and the worker's directory of secrets has a file of the same name. The file is used, so a change in the repository would have no effect. Delete one of them.";
}
