-- Events, waiting and done. A done one stays a while, so that its id is known when it comes again.
CREATE TABLE event (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    cluster      TEXT NOT NULL,
    body         TEXT NOT NULL,              -- the CloudEvent as JSON
    state        TEXT NOT NULL CHECK (state IN ('ready', 'leased', 'done', 'dead')),
    published    INTEGER NOT NULL,           -- all times: milliseconds since 1970
    due          INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    lease        TEXT,
    leased_until INTEGER,
    why          TEXT NOT NULL DEFAULT ''    -- why it was put back or given up
) STRICT;
CREATE INDEX event_waiting ON event (cluster, due, seq) WHERE state IN ('ready', 'leased');

-- What is known of each watched cluster.
CREATE TABLE cluster (
    name       TEXT PRIMARY KEY,
    seen       TEXT,                         -- the commit looked at last
    seen_at    INTEGER,
    rolled     TEXT,                         -- the commit that all reachable nodes hold
    rolled_at  INTEGER,
    accepted   TEXT                          -- a rewound commit that a person said yes to
) STRICT;

CREATE TABLE quarantine (
    cluster TEXT NOT NULL,
    bundle  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (cluster, bundle)
) STRICT;

-- How each roll, or each attempt at one, ended.
CREATE TABLE report (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    cluster  TEXT NOT NULL,
    "commit" TEXT NOT NULL,
    started  INTEGER NOT NULL,
    ended    INTEGER NOT NULL,
    outcome  TEXT NOT NULL,
    body     TEXT NOT NULL                   -- the whole report as JSON
) STRICT;
CREATE INDEX report_of ON report (cluster, id);
