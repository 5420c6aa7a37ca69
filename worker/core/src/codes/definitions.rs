//! Codes of the definitions: loading, types and cross-checks.

super::codes! {
    BROKEN_YAML = "WL101", "a file is not valid YAML",
        "The file could not be read as YAML 1.2 at all. The place is where the reader gave up, which may be after the mistake: look at the indentation and the quotes above it.";
    UNKNOWN_KEY = "WL102", "a key that does not exist",
        "Windlass refuses keys it does not know, because a misspelt key that is silently ignored means that a setting you rely on is not there. `schemas/` has the allowed keys of every kind, and editors complete them.";
    WRONG_VALUE = "WL103", "a value of the wrong type or form",
        "The value does not fit what the key means: a word where a number belongs, a host name with a space, a port above 65535. The message says what was expected.";
    MISSING_KEY = "WL104", "a required key is missing",
        "The definition cannot be used without this key; there is no sensible default.";
    DUPLICATE_KEY = "WL105", "a key stands twice",
        "YAML readers disagree on which of the two counts, so one of them would be lost without a word. Keep one.";
    NOT_TEXT = "WL106", "a file that does not hold exactly one UTF-8 document",
        "A definition is one YAML document in UTF-8 without a byte order mark. An empty file defines nothing: delete it instead.";
    TOO_MUCH = "WL107", "a limit of size, depth or count is broken",
        "Definitions come from Git and may be hostile, so what is read is bounded: file size, total size, number of files, depth, nodes and aliases. Split the file, or generate less.";
    NOT_A_FILE = "WL108", "a symbolic link or submodule",
        "A commit must mean the same on every machine, so links and submodules are not followed. Put the file itself into the repository.";
    UNKNOWN_FILE = "WL109", "a file or folder that no part of Windlass reads",
        "Probably a misspelt folder (`site/` for `sites/`) or a wrong extension (`.yml` for `.yaml`): what stands there has no effect.";
    NO_CLUSTER = "WL110", "the repository has no cluster.yaml",
        "`cluster.yaml` names the cluster, its networks and the order of its nodes; without it no other file means anything. A commit without definitions changes nothing on any node.";
    BAD_FILE_NAME = "WL111", "a file name that cannot be the name of its definition",
        "A definition is named by its file: `nodes/vps1.yaml` is the node `vps1`. Names have a-z, 0-9 and `-`; a zone's file is its domain name, `zones/example.org.yaml`.";
    BROKEN_SCHEMA = "WL112", "a repository-owned kind without a usable schema",
        "A kind of your own lives in `definitions/<kind>/` and needs a `schema.json` (JSON Schema) there, so that mistakes in its definitions are found.";
    SCHEMA_VIOLATION = "WL113", "a definition does not fit its kind's schema",
        "The schema beside the definition refuses it; the message says which value and why.";
    DUPLICATE_HOST = "WL120", "a host name belongs to two sites",
        "The edge sends the requests of a host to exactly one site, so one of the two would never be seen. Remove the host from one of them.";
    HOST_WITHOUT_ZONE = "WL121", "a site's host lies in no zone of the repository",
        "No DNS record is made for it. Add the zone, or write `dns: { manage: false }` in the site where its DNS is looked after elsewhere.";
    UNKNOWN_NODE = "WL122", "a node that does not exist",
        "A node exists when it has a file in `nodes/`. Check the spelling, or add the node.";
    UNKNOWN_ROLE = "WL123", "a role that no node has",
        "What is placed by this role would run nowhere, silently. Check the spelling, or give the role to a node.";
    UNKNOWN_NETWORK = "WL124", "a network that does not exist",
        "Networks are named in `networks` of `cluster.yaml`.";
    OUTSIDE_NETWORK = "WL125", "an address outside its network",
        "The address of a node in a network must lie in one of the network's ranges; anything else is a typing mistake that firewalls and DNS would carry further.";
    DUPLICATE_ADDRESS = "WL126", "two nodes with the same address",
        "Gates, DNS and SSH would all speak with one of the two machines and take it for both.";
    ORDER = "WL127", "the order does not name every node once",
        "`order` in `cluster.yaml` decides whose turn is next; a node that is missing there would never be rolled.";
    WAVES = "WL128", "waves that cannot be rolled",
        "A wave needs at least one node, and a node has one turn in a roll.";
    QUORUM = "WL129", "a quorum larger than its role",
        "More nodes would have to be healthy than there are, so no roll could ever begin.";
    HOST_KEYS = "WL130", "a node's host key is missing or malformed",
        "The worker gives root's commands only to machines it can identify. The key is the content of `/etc/ssh/ssh_host_ed25519_key.pub` on the node: read it at the console, not over a connection that is not yet trusted.";
    SSH = "WL131", "it is not clear how to reach a node",
        "`ssh` has exactly one of `network` (the node's address in it is used) and `address`.";
    DEADLINES = "WL132", "deadlines that no node can meet",
        "A node counts as healthy after its gates held for `min_healthy_time`; `healthy_deadline` must leave time for that, and `progress_deadline` for the whole turn.";
    EMPTY_FREEZE = "WL133", "a freeze that ends before it begins",
        "It would never cover any time, and what it should protect would be rolled. Put the later time last; mind the time zones.";
    PORT_COLLISION = "WL134", "two things on the same port of a node",
        "Only one can listen. Configuration checkers accept it and the service fails when it starts. Port 22 is sshd's, 53 the name server's, 80 and 443 belong to the edge.";
    UNKNOWN_CERTIFICATE = "WL135", "a certificate that does not exist",
        "A certificate exists when it has a file in `certificates/`.";
    NOT_COVERED = "WL136", "a certificate that does not cover a site's host",
        "Browsers would refuse the site. A name `*.example.org` covers `www.example.org`, but neither `example.org` nor `a.b.example.org` (RFC 6125).";
    FORWARD_TARGET = "WL137", "a forward that leads nowhere",
        "A forward leads to a node in a network where the node has an address, or to an address outside the cluster.";
    MAINTENANCE = "WL138", "a maintenance page or text that cannot be shown",
        "Pages are HTML files of the repository below `errors/`; a text is one line.";
    EMPTY_LIST = "WL139", "a list that must have something in it",
        "Without an entry the definition has no effect.";
    OWNER_NAME = "WL140", "a record's name is no name",
        "Names of hosts (A, AAAA, MX) have a-z, 0-9 and `-`; others may have `_` as well. BIND refuses zones that break this.";
    OUT_OF_ZONE = "WL141", "a record outside its zone",
        "Name servers ignore it with a warning, so the record would not exist. Put it into the zone that holds the name.";
    RECORD_VALUE = "WL142", "a record's value does not fit its type",
        "An A record holds an IPv4 address, an MX record a preference and a name, and so on.";
    MISSING_DOT = "WL143", "a name without the dot at its end",
        "In a zone, a name without a dot at its end is relative: `www.example.org` in the zone example.org means `www.example.org.example.org`. No checker finds it, because it is valid. Write the dot, or write the name relative to the zone.";
    CNAME_CONFLICT = "WL144", "a CNAME beside other records",
        "A CNAME says that its name is only another name for something else, so nothing else may stand there, also not a second CNAME. The zone itself always has SOA and NS records and can therefore never be a CNAME.";
    TARGET_IS_CNAME = "WL145", "an MX, NS or SRV record that points to an alias",
        "RFC 2181 forbids it, and mail servers and resolvers fail on it. Point to the name that has the addresses.";
    MISSING_ADDRESS = "WL146", "a server's name without an address",
        "Name servers and mail servers inside our own zones need an A or AAAA record there; a delegation to servers below itself needs them as glue. Checkers only mention it in passing, resolvers fail.";
    TTL = "WL147", "a TTL that makes no sense",
        "A TTL is 1 second to 7 days: what is wrong in DNS stays wrong in caches for that long, whatever is rolled back. All records of one name and type share one TTL.";
    SOA = "WL148", "an SOA that makes no sense",
        "Secondaries ask every `refresh`, after a failure every `retry`, and stop answering after `expire` without contact. A `minimum` above a day keeps new names unseen for that long.";
    ZONE_SERVERS = "WL149", "a zone that is not served properly",
        "A zone has exactly one (hidden) primary, at least one secondary that answers, and the names of its servers in `nameservers`.";
    EDGE_ADDRESS = "WL150", "an edge node without a published address",
        "Sites resolve to the edge nodes' addresses in `edge.network`; this node has none there and would never be asked.";
    HEALTH = "WL151", "a health check that cannot pass",
        "HTTP statuses go from 100 to 599.";
    DANGLING = "WL152", "an alias of a name that does not exist",
        "The target lies in a zone of this repository, but there is no record: whoever asks gets NXDOMAIN.";
    NO_ACME = "WL153", "a certificate that nobody orders",
        "A site with `tls: {}` gets a certificate that the worker orders, and so does a certificate with `acme`. For that `acme` in `cluster.yaml` must name the authorities to order from. Otherwise name a certificate of `certificates/`, whose chain and key the worker is given as a file.";
    CERTIFICATE_TAKEN = "WL154", "two certificates of the same name",
        "A certificate that is ordered for a site is named like the site (or like its zone, with `group: zone`), and a file in `certificates/` has that name already. Name that certificate in the site, or rename the file.";
    UNPROVABLE = "WL155", "a name that no authority can be shown to be ours",
        "An authority asks for a token over HTTP at every address that the name resolves to. So each must be an edge node's, where HAProxy sends the request on to the worker. Or it asks the name's servers for a record, the only way for a wildcard: `dns: {}` below `acme` in `cluster.yaml` sets that up, and `_acme-challenge` before the name must then lead to the zone for challenges.";
    AUTHORITY = "WL156", "a certificate authority that cannot be asked",
        "An authority needs a name, the https URL of its ACME directory and, if its own certificate does not come from a root that the worker's machine trusts, a PEM file of this repository with that root.";
    CHALLENGE_ZONE = "WL158", "there is no zone that challenges can be written to",
        "To prove a name through DNS the worker writes a record, new with every order, to a zone that nothing else changes. It is `acme` below the cluster's domain, or what `zone` below `acme.dns` says; it lies in a zone of the repository, or `zones/` has a file for it. The records of that zone are the worker's alone.";
    CERTIFICATE_SECRET = "WL159", "a certificate that cannot be given by this secret",
        "`secret` in a file of `certificates/` names the secret that holds chain and key: `secrets/<name>.age`, or a file in the worker's directory of secrets. A certificate is either ordered (`acme`) or given.";
    SECRET_IN_CLEAR = "WL170", "a secret that is not encrypted",
        "Files of `secrets/` are encrypted with age and named `<name>.age`; `README.md` and hidden files may lie beside them. Whatever was pushed in the clear can be read by everyone who has the repository, also after it was deleted: replace the secret itself.";
    SECRET_FORM = "WL171", "an encrypted secret that cannot be used",
        "A secret stands in `secrets/<name>.age`, armored (text, as `age --armor` and `windlass secret set` write it). Templates name it as `secrets.<name>`, so the name has letters, digits and `_`.";
    RECIPIENT = "WL172", "a secret that is not encrypted for the recipients",
        "`secrets.recipients` in `cluster.yaml` says who can read the secrets: the worker, and the people who change them. After a change there, `windlass secret rotate` encrypts all of them anew. Whoever was a recipient before can still read the old files in Git's history: replace the secrets themselves where that matters.";
}
