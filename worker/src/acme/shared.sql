-- Of what the workers of a cluster keep together at a broker: how much of it this database knows, or has changed.
CREATE TABLE acme_shared (
    cluster TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest  TEXT,                            -- of the sealed record that was read or written last
    PRIMARY KEY (cluster, key)
) STRICT;

-- The commit that a roll of any worker's ended with.
CREATE TABLE acme_rolled (
    cluster TEXT NOT NULL PRIMARY KEY,
    rolled  TEXT NOT NULL,
    at      INTEGER NOT NULL                 -- milliseconds since 1970
) STRICT;
