//! Codes of components, templates and rendering.

super::codes! {
    TEMPLATE_FAILED = "WL201", "a template could not be rendered",
        "The template named a value that does not exist, or failed otherwise. The message names the template, line and column.";
    TEMPLATE_SYNTAX = "WL202", "a template is not valid",
        "The template is not valid Tera 2: a tag that is not closed, an unknown filter, an include of a template that its component's folder does not have. `docs/components.md` has the language on one page; many examples on the web are of Tera 1.";
    UNKNOWN_NAME = "WL203", "a template uses a name that does not exist",
        "Templates see exactly the names that `docs/components.md` lists. A misspelt name in an `if` would silently be false, so every name is looked up before anything is rendered.";
    FILE_MISSING = "WL204", "a component names a file that its folder does not have",
        "`template`, `source` and scripts of checks are files of the component's own folder, by their path below it.";
    BAD_COMPONENT_VALUE = "WL205", "a value in component.yaml cannot be used",
        "A path, glob, regular expression, mode, owner, unit or package that does not have the form it needs. The message says which.";
    ONE_OF = "WL206", "an entry of component.yaml says too much or too little",
        "Files, actions and gates choose one of several keys: a file has one of `template`, `content` and `source`; an action does one thing; a gate probes one thing.";
    ORDER = "WL207", "components cannot be put in order",
        "`after` names a component that does not exist, or components wait for each other in a circle.";
    SAME_PATH = "WL208", "two files claim the same path",
        "On one node every path belongs to exactly one file of one component, else the one written last would win. A file cannot be where another one needs a folder either.";
    PATH_REFUSED = "WL209", "a path is not Windlass' to write",
        "Windlass writes configuration. Device, process and temporary file systems, its own state, the package database and the user database are left to their owners; create users with systemd-sysusers or a command.";
    SECRET_SHOWN = "WL210", "a secret would be visible",
        "A file made from `secrets` or from a certificate's key must be marked `secret: true`, so that it is never diffed, logged or readable for everyone. Commands and gates cannot use secrets, because a process list shows them.";
    MATERIAL_MISSING = "WL211", "a certificate or secret was not given to the worker",
        "A stand-in was rendered in its place, so that checks and diffs can go on. Such a release is never rolled. Put `<name>.pem` into the worker's directory of certificates, or `<name>` into that of secrets.";
    UNKNOWN_VAR = "WL212", "an override names a variable that the component does not have",
        "cluster.yaml or a node overrides a variable of a component that component.yaml does not declare in `vars`; it would have no effect.";
    TOO_LARGE = "WL213", "a rendered file is too large",
        "A template wrote more than a configuration file can sensibly hold, so it probably loops.";
    GATE_UNRESOLVED = "WL214", "a gate cannot be resolved",
        "The gate names a site, certificate, zone or network that does not exist, or the node has no address in the network to probe.";
    COMPONENT_TEST_FAILED = "WL215", "a component's own test failed",
        "A test in `components/<name>/tests/` expects something of a rendered file that it does not have.";
    COMPONENT_TEST_BROKEN = "WL216", "a component's own test cannot be run",
        "The definitions given in the test do not make a valid repository, or the test names a node that it does not have.";
    CERTIFICATE_PENDING = "WL217", "a certificate that is being ordered",
        "The first roll of a new site, or of a new host, brings the way on which an authority's question reaches the worker; the host is served over plain HTTP, or with another certificate that was ordered and covers it. Hosts that the certificate in use covers keep it. Then the worker orders the certificate and rolls once more, with TLS, redirect and the gate for both. If that does not follow within minutes, the worker's log says why.";
    ENDLESS = "WL218", "templates that do not come to an end",
        "Rendering is tried first in a process of its own, with 10 s of processor time and 512 MiB of memory, because a template cannot be interrupted. A thousand sites take a fifth of a second, so a loop runs within a loop within a loop, or a `set` doubles its text again and again.";
    UNANSWERED = "WL219", "a certificate whose authority would ask in vain",
        "A certificate that is proven over HTTP needs a way for the authority's question from every edge node to the worker. The component `haproxy` sends `/.well-known/acme-challenge/` to its variable `acme_server`, and answers 404 where that is empty. Set it in cluster.yaml, `components: { haproxy: { vars: { acme_server: \"ADDRESS:PORT\" } } }`, to the address of `acme.listen` in worker.yaml as the edge nodes reach it. Names that are proven through DNS do not need it.";
}
