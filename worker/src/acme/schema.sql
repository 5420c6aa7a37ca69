-- Accounts with certificate authorities. The credentials hold a private key: this file has mode 0600.
CREATE TABLE acme_account (
    cluster     TEXT NOT NULL,
    directory   TEXT NOT NULL,
    credentials TEXT NOT NULL,               -- JSON
    PRIMARY KEY (cluster, directory)
) STRICT;

-- Orders, and every step of theirs in the order in which it happened.
CREATE TABLE acme_order (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    cluster     TEXT NOT NULL,
    certificate TEXT NOT NULL,
    key         TEXT,                        -- private key, PEM, until it lies beside its chain
    over        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX acme_order_open ON acme_order (cluster, certificate) WHERE over = 0;
CREATE INDEX acme_order_of ON acme_order (cluster, certificate, id);

CREATE TABLE acme_entry (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id INTEGER NOT NULL REFERENCES acme_order (id) ON DELETE CASCADE,
    at       INTEGER NOT NULL,               -- milliseconds since 1970
    entry    TEXT NOT NULL                   -- JSON
) STRICT;
CREATE INDEX acme_entry_of ON acme_entry (order_id, id);

-- What is known of a certificate beside its orders.
CREATE TABLE acme_certificate (
    cluster     TEXT NOT NULL,
    certificate TEXT NOT NULL,
    suggestion  TEXT,                        -- JSON: for which serial, from when to when, when to ask again
    asked       INTEGER NOT NULL DEFAULT 0,  -- a person wants it renewed
    PRIMARY KEY (cluster, certificate)
) STRICT;
